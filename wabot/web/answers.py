"""Answers: JSON, and errors that are always `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from aiohttp import web

from wabot.core.json_limits import Json

CODES = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    408: "timeout", 409: "conflict", 413: "too_large", 415: "unsupported_media_type",
    417: "expectation_failed", 422: "invalid", 500: "internal", 503: "unavailable",
}  # fmt: skip

RETRY_AFTER = {"Retry-After": "5"}


# `default`: an archive may hold what is no JSON, such as a date in a document of the earlier service.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


PIECE = 65_536
"""The bytes of a long answer that are written at a time."""


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        details: Iterable[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.details, self.headers = status, message, list(details), headers


def reply(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` as JSON."""
    body = _to_json(value).encode(errors="replace")
    return web.Response(body=body, status=status, headers=headers, content_type="application/json", charset="utf-8")


class Encoded:
    """A list whose entries are JSON already, so that it can be made in a thread and written in pieces."""

    __slots__ = ("entries", "size")

    def __init__(self, entries: Iterable[object]) -> None:
        self.entries = [_entry(entry).encode(errors="replace") for entry in entries]
        self.size = sum(map(len, self.entries))


def _entry(entry: object) -> str:
    """An entry as JSON; fields that are JSON already come last."""
    if not isinstance(entry, dict) or not any(isinstance(value, Json) for value in entry.values()):
        return _to_json(entry)
    ready = {name: value for name, value in entry.items() if isinstance(value, Json)}
    head = _to_json({name: value for name, value in entry.items() if name not in ready})[1:-1]
    return "{" + ",".join(filter(None, [head, *(f"{_to_json(name)}:{value}" for name, value in ready.items())])) + "}"


def reply_long(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` as JSON; lists that may be long must be Encoded. Written as fast as the client reads."""
    pieces = list(_pieces(value))
    size = sum(map(len, pieces))
    more = {**(headers or {}), "Content-Length": str(size)} if size > PIECE else headers
    body = _written(pieces) if size > PIECE else b"".join(pieces)
    return web.Response(body=body, status=status, headers=more, content_type="application/json", charset="utf-8")


def _pieces(value: object) -> Iterator[bytes]:
    if isinstance(value, Encoded):
        yield b"["
        for place, entry in enumerate(value.entries):
            yield b"," + entry if place else entry
        yield b"]"
    elif isinstance(value, dict):
        yield b"{"
        for place, (name, item) in enumerate(value.items()):
            yield ("," if place else "").encode() + _to_json(name).encode() + b":"
            yield from _pieces(item)
        yield b"}"
    elif isinstance(value, list):
        yield b"["
        for place, item in enumerate(value):
            yield b"," if place else b""
            yield from _pieces(item)
        yield b"]"
    else:
        yield _to_json(value).encode(errors="replace")


async def _written(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    chunk = bytearray()
    for piece in pieces:
        chunk += piece
        if len(chunk) >= PIECE:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


def error(
    status: int,
    message: str,
    *,
    details: Iterable[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> web.Response:
    """An error as JSON; `beside`: further fields of the answer."""
    described = {"code": CODES.get(status, "error"), "message": message, "details": list(details)}
    response = reply({"error": described, **(beside or {})}, status=status, headers=headers)
    if status in (408, 413):
        response.force_close()  # the rest of the body is not read
    return response


def route_pattern(request: web.Request) -> str:
    """The pattern of a request's route, since its path may contain a phone number; "unknown" if there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
