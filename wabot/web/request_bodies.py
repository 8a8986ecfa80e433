"""Reads request bodies and parses them into models. Each has limits of size and time; all together have one of size.

Large bodies are parsed in a thread.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from wabot.core import json_limits
from wabot.core.template_check import MOST_NAMED
from wabot.offload import Offload
from wabot.web.answers import RETRY_AFTER, Refusal
from wabot.web.auth import ACCOUNTS
from wabot.web.request_account import NAMED
from wabot.web.validation import InvalidFields, validated

WEBHOOK_LIMIT, API_LIMIT = 4 << 20, 16 << 20
ACCOUNT_LIMIT = 4096
"""The most bytes of a body that only names an account."""
IN_FLIGHT = 64 << 20
"""The most bytes of bodies being received: this much for webhooks, and as much for all other requests."""
READ_SECONDS = 30.0
NESTING = 32
FIELDS = 256
"""The most fields of one object."""

OFFLOAD = web.AppKey("offload", Offload)

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def refuse_large(request: web.Request, limit: int) -> None:
    """Raise Refusal if the Content-Length is larger than `limit` bytes."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)


class _Reading:
    """A body that is being received."""

    def __init__(self) -> None:
        self.deadline = asyncio.timeout(READ_SECONDS)
        self.chunks: list[bytes] = []
        self.size = 0
        self.gave_way = False


class Bodies:
    """Limits the bodies being received to IN_FLIGHT bytes in all.

    Beyond that the oldest is dropped: it is the slowest, so slow clients cannot keep others out, and a request of
    normal speed ends before it is the oldest.
    """

    def __init__(self) -> None:
        self._used = 0
        self._readings: dict[_Reading, None] = {}

    async def read(self, request: web.Request, limit: int) -> bytes:
        """The body, at most `limit` bytes in at most READ_SECONDS."""
        refuse_large(request, limit)
        if request.content.is_eof():  # small bodies arrive with the headers
            return _bounded(request.content.read_nowait(), limit)
        with self._reading() as reading:
            try:
                async with reading.deadline:
                    async for chunk in request.content.iter_any():
                        self._add(reading, chunk)
                        if reading.size > limit:
                            raise _too_large(limit)
            except TimeoutError:
                if not reading.gave_way:
                    raise Refusal(408, f"the request took longer than {READ_SECONDS:g} s") from None
            except (web.RequestPayloadError, ConnectionError) as broken:
                broken.__traceback__ = None  # the stream keeps the exception, and with it all frames and their bytes
                raise Refusal(400, "the connection broke while the body was received") from None
            if reading.gave_way:
                raise Refusal(503, "too many bytes are being received at once", headers=RETRY_AFTER)
            return b"".join(reading.chunks)

    @contextmanager
    def _reading(self) -> Iterator[_Reading]:
        reading = _Reading()
        self._readings[reading] = None
        try:
            yield reading
        finally:
            self._let_go(reading)

    def _add(self, reading: _Reading, chunk: bytes) -> None:
        if reading.gave_way:
            return
        reading.chunks.append(chunk)
        reading.size += len(chunk)
        self._used += len(chunk)
        while self._used > IN_FLIGHT:
            oldest = next(iter(self._readings))
            oldest.gave_way = True
            if not oldest.deadline.expired():
                oldest.deadline.reschedule(asyncio.get_running_loop().time())
            self._let_go(oldest)

    def _let_go(self, reading: _Reading) -> None:
        if reading in self._readings:
            del self._readings[reading]
            self._used -= reading.size
        reading.chunks.clear()


def _bounded(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


WEBHOOK_BODIES, API_BODIES = web.AppKey("webhook_bodies", Bodies), web.AppKey("api_bodies", Bodies)


async def parse(request: web.Request, shape: Callable[[Mapping[str, Any]], T], limit: int) -> T:
    """`shape` of the JSON object in the body, of at most `limit` bytes; refused with 415, 400, 413 or 422 if invalid.

    `shape` may run in a thread. It raises Refusal.
    """
    if request.content_type not in ("application/json", "application/octet-stream") and not (
        request.content_type.startswith("application/") and request.content_type.endswith("+json")
    ):
        raise Refusal(415, "send JSON, with the header Content-Type: application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(415, "send the body as it is, without Content-Encoding")
    body = await request.app[API_BODIES].read(request, limit)
    if len(body) <= json_limits.SMALL:
        account, found = _understand(body, shape)
    else:
        account, found = await request.app[OFFLOAD](_understand, body, shape)
    if account is not None:
        request[NAMED] = account
    return found


async def read_account(request: web.Request) -> None:
    """Find the account that the body names, for a request that needs no body.

    Where there are several accounts, a body that is not JSON is refused: it might name one.
    """
    if request.can_read_body and (request.app[ACCOUNTS].several or request.content_type == "application/json"):
        await parse(request, lambda _: None, ACCOUNT_LIMIT)


def _understand(body: bytes, shape: Callable[[Mapping[str, Any]], T]) -> tuple[str | None, T]:
    """The account that the body names, and its `shape` without that."""
    try:
        value = _READER.read(body.decode("utf-8-sig"))
        if not isinstance(value, dict):
            raise Refusal(422, "the body must be a JSON object")
        _check(value, NESTING)
    except json_limits.TooManyValues as many:
        raise Refusal(413, f"the body has {many}: send it in several requests") from None
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON in UTF-8") from None
    account = value.pop("account", None)
    if account is not None and not isinstance(account, str):
        raise _invalid(InvalidFields([{"field": "account", "message": "must be the name of an account"}]))
    return account, shape(value)


def validate_query(model: type[M], request: web.Request) -> M:
    """The query of a request as a `model`, without `account`; 422 with all invalid fields."""
    return validate(model, {name: value for name, value in request.query.items() if name != "account"})


def validate(model: type[M], value: Mapping[str, Any]) -> M:
    """`value` as a `model`, or 422 with all invalid fields."""
    try:
        return validated(model, value)
    except InvalidFields as invalid:
        raise _invalid(invalid) from None


def validate_each(model: type[M], values: Sequence[Any], field: str) -> list[M]:
    """The entries of the list `field` as models, or 422 with the first invalid fields and the `index` of their entry.

    Validated one by one: pydantic would validate all entries in one call, without a pause for others.
    """
    found: list[M] = []
    problems: list[Mapping[str, Any]] = []
    for index, value in enumerate(values):
        try:
            found.append(validated(model, value, field, index))
        except InvalidFields as invalid:
            problems += [{**problem, "index": index} for problem in invalid.problems]
            if len(problems) >= MOST_NAMED:
                break
    if problems:
        raise _invalid(InvalidFields(problems[:MOST_NAMED]))
    return found


def _invalid(invalid: InvalidFields) -> Refusal:
    return Refusal(422, str(invalid), details=invalid.problems)


def _too_large(limit: int) -> Refusal:
    shown = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    return Refusal(413, f"the body is larger than {shown}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


# Python accepts NaN and 1e999, but they are not JSON, and Meta would refuse them.
_READER = json_limits.Reader(parse_float=_finite, parse_constant=_finite)


def _check(value: Any, levels: int) -> None:
    """Refuse what cannot be written as JSON again: too deep nesting, and lone surrogates (ValueError)."""
    if not levels:
        raise Refusal(422, "the body is nested too deeply")
    if isinstance(value, str):
        value.isascii() or value.encode()
    elif isinstance(value, dict):
        if len(value) > FIELDS:
            raise Refusal(422, f"an object in the body has more than {FIELDS} fields")
        for key, item in value.items():
            _check(key, levels)
            _check(item, levels - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, levels - 1)
