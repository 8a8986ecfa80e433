"""The HTTP client that calls wabot's webhook: signed POSTs, retried until they are answered 200, and the handshake.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from wabot.sandbox import payloads

NO_ANSWER = 0
"""The status of a webhook that was not answered."""

LONGEST_BACKOFF_SECONDS = 2.0
"""Meta waits longer; but here somebody looks on."""

OWN = "own"
"""Stands for the valid signature of the body."""


class Caller:
    """Calls the webhook at `url` (None: there is none); retries after `backoff` seconds, then 2×, 4×, …"""

    on_call: Callable[[str, bytes, int, Any, float], None] | None = None
    """Called after each POST with its URL, body, status and answer, and the seconds that it took."""

    def __init__(self, url: str | None, app_secret: str, *, timeout: float = 10.0, backoff: float = 0.05) -> None:
        self.url = url
        self.app_secret = app_secret
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._backoff = backoff
        self._session: aiohttp.ClientSession | None = None

    async def deliver(
        self, body: bytes, signature: str | None = OWN, attempts: int = 1, *, url: str | None = None
    ) -> tuple[int, Any]:
        """POST until it is answered 200, `attempts` times at the most: the last status and JSON (or NO_ANSWER, None).

        `signature` replaces the valid one; None leaves it out. `url`: another address than the usual one.
        """
        url = url or self.url
        if url is None:
            raise RuntimeError("the stand-in has no webhook_url to call")
        headers = {"Content-Type": "application/json", "User-Agent": "facebookexternalua"}
        if signature == OWN:
            signature = payloads.sign(body, self.app_secret) if self.app_secret else None
        if signature is not None:
            headers["X-Hub-Signature-256"] = signature
        status, answer = await self._post(url, body, headers)
        for attempt in range(1, attempts):
            if status == 200:
                break
            await asyncio.sleep(min(self._backoff * 2 ** (attempt - 1), LONGEST_BACKOFF_SECONDS))
            status, answer = await self._post(url, body, headers)
        return status, answer

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        began, status, answer = time.monotonic(), NO_ANSWER, None
        try:
            async with self._client().post(url, data=body, headers=headers) as response:
                status, answer = response.status, _json(await response.read())
        except (aiohttp.ClientError, TimeoutError):
            pass
        if self.on_call is not None:
            self.on_call(url, body, status, answer, time.monotonic() - began)
        return status, answer

    async def type_behind(self, link: str) -> str | None:
        """The MIME type of the file at a link that the business sent; None if there is no file."""
        try:
            async with self._client().get(link) as response:
                there = response.status == 200 and await response.content.read(1)
                return response.content_type if there else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async def handshake(self, verify_token: str, challenge: str) -> bool:
        """Whether the webhook proves that it knows `verify_token`: it answers with the bare `challenge`."""
        if self.url is None:
            raise RuntimeError("the stand-in has no webhook_url to call")
        query = {"hub.mode": "subscribe", "hub.verify_token": verify_token, "hub.challenge": challenge}
        try:
            async with self._client().get(self.url, params=query) as response:
                return response.status == 200 and await response.text() == challenge
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self._session


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
