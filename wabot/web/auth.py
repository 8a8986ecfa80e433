"""Who may call. `/webhook` is for whoever signs, `/healthz` for anyone; all else needs a key.

Only the sandbox is open without one, to direct requests from this machine.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable

from aiohttp import web

from wabot.core.direct_request import is_direct

OPEN_PATHS = frozenset({"/healthz", "/webhook"})

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
"""Seconds until a wrong key is refused: each waits twice as long as the one before."""
FORGET_SECONDS = 60.0
"""After so long without a wrong key, the next one waits as the first."""
MOST_DELAYED = 32
"""How many may wait at once; further ones are refused at once, so that nobody can pile up requests here."""

_NEEDED = (
    "a key is needed: Authorization: Bearer KEY, or X-API-Key: KEY, with one of server.api_keys"
    " (where none is set, with the one in the file api-key of server.data_dir)"
)
_WRONG = "the key is not one of server.api_keys (where none is set: not the one in the file api-key of server.data_dir)"
_ONLY_DIRECT = "the sandbox serves only direct requests from this machine"


class Gate:
    """Knows the keys. `open_to_this_machine`: for direct requests from here it asks for none."""

    def __init__(self, keys: Iterable[str], *, open_to_this_machine: bool = False) -> None:
        self._keys = tuple(key.encode(errors="surrogateescape") for key in keys)
        self._open_to_this_machine = open_to_this_machine
        self._wrong = WrongKeys()

    async def refuses(self, request: web.Request) -> str | None:
        """Why a request may not be served; None if it may. A wrong key learns it late."""
        if request.path in OPEN_PATHS or (self._open_to_this_machine and _is_direct(request)):
            return None
        given = _given_key(request)
        if given is None:
            return _ONLY_DIRECT if self._open_to_this_machine else _NEEDED
        # Every key is compared, so that the time tells nothing.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if any(matches):
            return None
        await self._wrong.wait()
        return _WRONG


class WrongKeys:
    """Makes trying keys slow. All wrong keys count together: behind a proxy everybody has its address, a right key
    never waits, and there is nothing to remember for each address.
    """

    def __init__(self) -> None:
        self._delay, self._last, self._waiting = 0.0, float("-inf"), 0

    async def wait(self) -> None:
        """Return when this wrong key may be refused."""
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
    return key.encode(errors="surrogateescape") if key else None


def _is_direct(request: web.Request) -> bool:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return is_direct(peer[0] if isinstance(peer, tuple) else None, request.headers.items())
