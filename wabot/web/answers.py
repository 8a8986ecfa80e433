"""Answers: JSON, and errors that are always `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

CODES = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    408: "timeout", 409: "conflict", 413: "too_large", 415: "unsupported_media_type",
    417: "expectation_failed", 422: "invalid", 500: "internal", 503: "unavailable",
}  # fmt: skip

RETRY_AFTER = {"Retry-After": "5"}


# `default`: an archive may hold what is no JSON, such as a date in a document of the earlier service.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


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


def error(
    status: int,
    message: str,
    *,
    details: Iterable[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> web.Response:
    """An error as JSON; `beside`: other fields of the answer."""
    told = {"code": CODES.get(status, "error"), "message": message, "details": list(details)}
    response = reply({"error": told, **(beside or {})}, status=status, headers=headers)
    if status in (408, 413):
        response.force_close()  # what is left of the body is not worth reading
    return response
