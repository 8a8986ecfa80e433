"""Sends requests to Meta's Graph API, and turns transport errors into our own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any

import aiohttp

from wabot.adapters.bounded_answer import read_bounded
from wabot.core.exceptions import Scope, Unavailable, Unclear
from wabot.core.meta_errors import Accepted, read_answer
from wabot.core.outgoing import typing_indicator

CONNECT_SECONDS, TOTAL_SECONDS = 5.0, 30.0
ANSWER_LIMIT = 256 * 1024
"""The most bytes of an answer that are read. Graph's answers have a few hundred."""


class WhatsApp:
    """The messages endpoint of one business number."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        graph_api_base: str,
        phone_number_id: str,
        access_token: str,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._session = session
        self._url = f"{graph_api_base}/{phone_number_id}/messages"
        self._headers = {"Authorization": f"Bearer {access_token}"}
        self._timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=CONNECT_SECONDS)

    async def send(self, request: Mapping[str, Any]) -> Accepted:
        """Send one message to Meta. Raises DeliveryError; its subclass says whether Meta may have accepted it."""
        try:
            async with self._post(request) as response:
                body = await read_bounded(response.content, ANSWER_LIMIT)
                return read_answer(
                    response.status,
                    body,
                    to=request.get("to"),
                    retry_after=_seconds(response.headers.get("Retry-After")),
                    usage=response.headers.get("X-Business-Use-Case-Usage"),
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            # DNS, connection or TLS failed: nothing was written yet, and other messages would fail in the same way.
            reason = f"Meta cannot be reached ({type(error).__name__})"
            raise Unavailable(reason, code="connect", scope=Scope.NUMBER) from error
        except TimeoutError as error:
            raise Unclear("Meta did not answer in time", code="timeout") from error
        except aiohttp.ClientError as error:
            raise Unclear(f"the connection to Meta broke ({type(error).__name__})", code="disconnect") from error

    async def show_typing(self, wamid: str) -> bool:
        """Mark a message as read and show "typing …" in its talk. Returns whether Meta did."""
        try:
            async with self._post(typing_indicator(wamid)) as response:
                # Otherwise the connection is closed, and the answer needs another.
                await read_bounded(response.content, ANSWER_LIMIT)
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _post(self, request: Mapping[str, Any]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session.post(
            self._url, json=request, headers=self._headers, timeout=self._timeout, allow_redirects=False
        )


def _seconds(retry_after: str | None) -> float | None:
    """The Retry-After header in seconds; Meta does not send dates."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(seconds, 86400.0) if seconds >= 0 else None
