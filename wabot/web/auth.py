"""Who may call. `/webhook` is for whoever signs, `/healthz` for anyone; all else needs a key.

With no keys configured only direct requests from this machine are served: a loopback peer, nothing that a proxy
adds, a Host that is this machine (or a page in somebody's browser could call us under a name of its own), and no
Origin that is another (or it could call us under ours).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable

from aiohttp import web

OPEN_PATHS = frozenset({"/healthz", "/webhook"})

_ONLY_DIRECT = "without a key only direct requests from this machine are served: set server.api_keys"
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9.]+?)\.?)(?::[0-9]+)?", re.IGNORECASE | re.ASCII)
_PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")


class Gate:
    """Knows the keys."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(key.encode(errors="surrogateescape") for key in keys)

    def refuses(self, request: web.Request) -> str | None:
        """Why a request may not be served; None if it may."""
        if request.path in OPEN_PATHS:
            return None
        if not self._keys:
            return None if _is_direct(request) else _ONLY_DIRECT
        given = _given_key(request)
        if given is None:
            return "a key of server.api_keys is needed: Authorization: Bearer KEY, or X-API-Key: KEY"
        # Every key is compared, so that the time tells nothing.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        return None if any(matches) else "the key is not one of server.api_keys"


def _given_key(request: web.Request) -> bytes | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key")
    return key.encode(errors="surrogateescape") if key else None


def _is_direct(request: web.Request) -> bool:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    host = peer[0] if isinstance(peer, tuple) else None
    if host is None or not _is_loopback(host) or any(header in request.headers for header in _PROXY_HEADERS):
        return False
    if any(name.lower().startswith("x-forwarded-") for name in request.headers):
        return False
    origins = (origin.partition("://")[2] for origin in request.headers.getall("Origin", []))
    return all(map(_is_this_machine, (*request.headers.getall("Host", [""]), *origins)))


def _is_this_machine(authority: str) -> bool:
    """Whether `host[:port]`, with IPv6 in brackets, names this machine and nothing else."""
    named = _AUTHORITY.fullmatch(authority)
    name = (named["v6"] or named["name"]).lower() if named else ""
    return name == "localhost" or _is_loopback(name)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
