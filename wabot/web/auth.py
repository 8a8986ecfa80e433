"""Authentication. `/webhook` needs a signature, `/healthz` and `/docs` nothing; everything else needs an API key.

A session of the console stands for the key by which it began. Only the sandbox accepts requests without a key, if they
come directly from this machine.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable, Iterator, Mapping

from aiohttp import web

from wabot.accounts import Accounts
from wabot.core.direct_request import is_direct, is_from_elsewhere
from wabot.web.answers import Refusal, route_pattern
from wabot.web.sessions import COOKIE, ApiKey, Sessions

ACCOUNTS = web.AppKey("accounts", Accounts)
OPENED = web.RequestKey("opened", frozenset[str])
"""The accounts that the request's key opens; not set if it opens all."""

OPEN_PATHS = frozenset({"/healthz", "/webhook", "/openapi.json", "/docs", "/docs/page.css", "/console/sign-in"})
OPEN_ROUTES = frozenset({"/webhook/{phone_number_id}", "/console/assets"})
"""What anyone may ask for. The pages of the console show their sign-in to whoever is refused."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})

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
        self._keys = list(_keys(keys, of_accounts or {}))
        self.sessions = Sessions(self._keys)
        self._open_to_this_machine = open_to_this_machine
        self._wrong = WrongKeys()

    async def refuses(self, request: web.Request) -> str | None:
        """Why a request is refused; None if it may be served. The answer to a wrong key is delayed.

        Raises Refusal if a page of another site used the session of somebody who signed in.
        """
        if request.path in OPEN_PATHS or route_pattern(request) in OPEN_ROUTES or self._is_open_to(request):
            return None
        given = _given_key(request)
        key = await self.key(given) if given else self._of_session(request)
        if key is not None:
            if key.accounts is not None:
                request[OPENED] = key.accounts
            return None
        if given:
            return _WRONG
        return _ONLY_DIRECT if self._open_to_this_machine else _NEEDED

    async def key(self, given: str) -> ApiKey | None:
        """The key that somebody gives; None, after a delay that grows, if it is not one."""
        # Compare all keys, so that the time reveals nothing.
        found = [key for key in self._keys if hmac.compare_digest(_encoded(given), key.secret)]
        if not found:
            await self._wrong.wait()
        return found[0] if found else None

    def is_signed_in(self, request: web.Request) -> bool:
        """Whether the pages of the console may be shown."""
        return self._is_open_to(request) or self.sessions.key_of(request.cookies.get(COOKIE)) is not None

    def _of_session(self, request: web.Request) -> ApiKey | None:
        key = self.sessions.key_of(request.cookies.get(COOKIE))
        if key is not None and request.method not in READING and is_from_elsewhere(request.headers.items()):
            raise Refusal(403, "a page of another site may not use your session: Origin or Sec-Fetch-Site is foreign")
        return key

    def _is_open_to(self, request: web.Request) -> bool:
        return self._open_to_this_machine and _is_direct(request)


GATE = web.AppKey("gate", Gate)


def _keys(of_all: Iterable[str], of_accounts: Mapping[str, Iterable[str]]) -> Iterator[ApiKey]:
    """Each key with all that it opens."""
    yield from (ApiKey(_encoded(key)) for key in of_all)
    named: dict[str, set[str]] = {}
    for name, keys in of_accounts.items():
        for key in keys:
            named.setdefault(key, set()).add(name)
    yield from (ApiKey(_encoded(key), frozenset(names)) for key, names in named.items())


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


def _given_key(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return (token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key")) or None


def _encoded(key: str) -> bytes:
    return key.encode(errors="surrogateescape")


def _is_direct(request: web.Request) -> bool:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return is_direct(peer[0] if isinstance(peer, tuple) else None, request.headers.items())
