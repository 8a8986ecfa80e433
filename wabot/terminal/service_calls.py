"""Calls the running service, which is the only one that writes the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from wabot import api_keys, running_address
from wabot.core.exceptions import WabotError
from wabot.settings.loading import Settings
from wabot.settings.sections import Server

ANSWER_SECONDS = 300
"""How long an answer may take: the service answers a retry of many sends when it is done."""


class NotRunning(WabotError):
    """The service does not answer."""


class Refused(WabotError):
    """The service refuses the request; the text is its own. `details`: what is wrong where."""

    def __init__(self, message: str, status: int, details: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status, self.details = status, details


class ServiceCalls:
    """Requests to the service of these settings, about one account ("": the first).

    `replayed`: the last request was done before, with the same Idempotency-Key, and not once more.
    """

    def __init__(self, settings: Settings, account: str) -> None:
        self._server, self._account = settings.server, account
        self.replayed = False

    async def __call__(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer as JSON. Raises NotRunning, Refused, UnusableKey."""
        server = self._server
        host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104  we only ask there
        set_up = running_address.url_of(host, server.port)
        url = running_address.of_running(server.data_dir).get("wabot", set_up)
        key = api_keys.of_terminal(server)
        about = {"account": self._account} if self._account else {}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
                session.request(
                    method,
                    url + path,
                    params={**(query or {}), **about},
                    headers={**({"X-API-Key": key} if key else {}), **(headers or {})},
                    json=body,
                ) as response,
            ):
                answer: dict[str, Any] = await response.json()
                self.replayed = "Idempotent-Replayed" in response.headers
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NotRunning(f"wabot does not answer at {url}: is it running?") from error
        if response.status == 401:
            raise Refused(_wrong_key(url, server, key), response.status)
        if response.status >= 400:
            why = answer.get("error", {})
            raise Refused(str(why.get("message", response.status)), response.status, why.get("details", ()))
        return answer


def _wrong_key(url: str, server: Server, key: str | None) -> str:
    """The service says how a program sends its key; here, the settings are another service's."""
    has = f"refuses the key of these settings ({api_keys.source_of_terminal(server)})"
    lacks = f"needs a key, and these settings have none: neither server.api_keys nor {server.data_dir / api_keys.FILE}"
    return (
        f"the wabot at {url} {has if key else lacks}: name its own with --config PATH; if you changed them, restart it"
    )
