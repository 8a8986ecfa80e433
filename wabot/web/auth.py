"""Authentication. `/webhook` needs a signature and `/healthz` nothing; everything else needs an API key.

Only the sandbox accepts requests without a key, if they come directly from this machine.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable, Mapping

from aiohttp import web

from wabot.accounts import Accounts
from wabot.core.direct_request import is_direct
from wabot.web.answers import Refusal, route_pattern

ACCOUNTS = web.AppKey("accounts", Accounts)
OPENED = web.RequestKey("opened", frozenset[str])
"""The accounts that the request's key opens; not set if it opens all."""

OPEN_PATHS = frozenset({"/healthz", "/webhook"})
OF_ONE_NUMBER = "/webhook/{phone_number_id}"

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
"""Seconds until a wrong key is refused; the delay doubles each time."""
FORGET_SECONDS = 60.0
"""After this time without a wrong key, the delay starts anew."""
MOST_DELAYED = 32
"""The most requests that are delayed at a time; more are refused at once, so that requests cannot pile up."""

_NEEDED = (
    "a key is needed: Authorization: Bearer KEY, or X-API-Key: KEY, with one of server.api_keys"
    " (where none is set, with the one in the file api-key of server.data_dir)"
)
_WRONG = "the key is not one of server.api_keys (where none is set: not the one in the file api-key of server.data_dir)"
_ONLY_DIRECT = "the sandbox serves only direct requests from this machine"


class Gate:
    """Decides who may call the API. `open_to_this_machine`: direct requests from this machine need no key.

    `keys` open all accounts, those in `of_accounts` (by account) only theirs.
    """

    def __init__(
        self,
        keys: Iterable[str],
        *,
        of_accounts: Mapping[str, Iterable[str]] | None = None,
        open_to_this_machine: bool = False,
    ) -> None:
        self._keys = tuple(_encoded(key) for key in keys)
        self._of_accounts = [(name, _encoded(key)) for name, own in (of_accounts or {}).items() for key in own]
        self._open_to_this_machine = open_to_this_machine
        self._wrong = WrongKeys()

    async def refuses(self, request: web.Request) -> str | None:
        """Why a request is refused; None if it may be served. The answer to a wrong key is delayed."""
        if (
            request.path in OPEN_PATHS
            or route_pattern(request) == OF_ONE_NUMBER
            or (self._open_to_this_machine and _is_direct(request))
        ):
            return None
        given = _given_key(request)
        if given is None:
            return _ONLY_DIRECT if self._open_to_this_machine else _NEEDED
        # Compare all keys, so that the time reveals nothing.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        opened = [name for name, key in self._of_accounts if hmac.compare_digest(given, key)]
        if any(matches):
            return None
        if opened:
            request[OPENED] = frozenset(opened)
            return None
        await self._wrong.wait()
        return _WRONG


def require_access(request: web.Request, name: str | None) -> None:
    """Raise Refusal if the request's key does not open this account (None: all accounts)."""
    opened, accounts = request.get(OPENED), request.app[ACCOUNTS]
    if name is None and not accounts.several:
        name = accounts.default
    if opened is not None and name not in opened:
        raise Refusal(401, f"this key opens only the account {', '.join(sorted(opened))}: name it as `account`")


class WrongKeys:
    """Slows down attempts to guess a key. All wrong keys count together, not per address: behind a proxy all clients
    have the same address, and a right key never waits.
    """

    def __init__(self) -> None:
        self._delay, self._last, self._waiting = 0.0, float("-inf"), 0

    async def wait(self) -> None:
        """Wait before a wrong key is refused."""
        now = asyncio.get_running_loop().time()
        recent = now - self._last < FORGET_SECONDS
        self._delay = min(max(self._delay * 2, FIRST_DELAY), LONGEST_DELAY) if recent else FIRST_DELAY
        self._last = now
        if self._waiting >= MOST_DELAYED:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(self._delay)
        finally:
            self._waiting -= 1


def _given_key(request: web.Request) -> bytes | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key")
    return _encoded(key) if key else None


def _encoded(key: str) -> bytes:
    return key.encode(errors="surrogateescape")


def _is_direct(request: web.Request) -> bool:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return is_direct(peer[0] if isinstance(peer, tuple) else None, request.headers.items())
