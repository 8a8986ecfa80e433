"""The network between wabot and Meta's stand-in, without one: a request is a call, in both directions."""

from __future__ import annotations

import json as json_format
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from wabot.core.exceptions import JournalDown
from wabot.sandbox import payloads
from wabot.sandbox.meta import Meta
from wabot.sandbox.webhook_caller import NO_ANSWER, OWN, Caller
from wabot.webhook_intake import WebhookIntake


class ToMeta:
    """As much of aiohttp's client session as wabot's clients of Meta use. It reaches the stand-in and nothing else."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta

    def get(self, url: Any, **options: Any) -> Any:
        """GET."""
        return self.request("GET", url, **options)

    def post(self, url: Any, **options: Any) -> Any:
        """POST."""
        return self.request("POST", url, **options)

    @asynccontextmanager
    async def request(
        self, method: str, url: Any, *, headers: Mapping[str, str], json: Any = None,
        params: Mapping[str, str] | None = None, **_: Any,
    ) -> AsyncIterator[_Response]:  # fmt: skip
        """Any request."""
        address = urlsplit(str(url))
        body = b"" if json is None else json_format.dumps(json).encode()
        query = {**dict(parse_qsl(address.query)), **(params or {})}
        request: Any = _Request(method, address.path, query, headers, body)
        found: Any = await self._meta.respond(request)
        if request.transport.closed:
            raise aiohttp.ServerDisconnectedError
        yield _Response(found.status, found.headers, _Content(found.body or b""))


@dataclass
class _Transport:
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class _Request:
    """A request as the stand-in reads it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    transport: _Transport = field(default_factory=_Transport)
    content_type: str = "application/json"

    async def read(self) -> bytes:
        return self.body


@dataclass(frozen=True)
class _Content:
    body: bytes

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self.body


@dataclass(frozen=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    content: _Content


class ToWabot(Caller):
    """Delivers webhooks to wabot. While it is away they are kept, as Meta does for days; `back` delivers them."""

    def __init__(self, app_secret: str) -> None:
        super().__init__("http://wabot/webhook", app_secret)
        self._intake: WebhookIntake | None = None
        self._kept = list[bytes]()

    def away(self) -> None:
        """wabot is away from now on."""
        self._intake = None

    async def back(self, intake: WebhookIntake) -> None:
        """wabot is there again: deliver what it missed."""
        self._intake = intake
        kept, self._kept = self._kept, []
        for body in kept:
            await self.deliver(body)

    async def deliver(
        self, body: bytes, signature: str | None = OWN, attempts: int = 1, *, url: str | None = None
    ) -> tuple[int, Any]:
        """Deliver it now, or when wabot is back."""
        if self._intake is None:
            self._kept.append(body)
            return NO_ANSWER, None
        try:
            found = await self._intake.receive(body, payloads.sign(body, self.app_secret))
        except JournalDown:
            self._kept.append(body)
            return 503, None
        return 200, {"received": found.count, "stored": found.stored}

    async def type_behind(self, link: str) -> str | None:
        """Links are not followed in a rehearsal: every picture is there."""
        return "image/jpeg"
