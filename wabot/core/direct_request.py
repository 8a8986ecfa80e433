"""Whether a request comes directly from a program on this machine, judged by its address and headers.

The peer must be a loopback address, there must be no proxy headers, and `Host` must be this machine: otherwise a web
page could reach us by DNS rebinding. `Origin` and `Sec-Fetch-Site`, if any, must be this machine's: otherwise a page
of another site could post to us.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9.]+?)\.?)(?::[0-9]+)?", re.IGNORECASE | re.ASCII)
_PROXY_HEADERS = frozenset(
    {"forwarded", "x-real-ip", "via", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cdn-loop"}
)
_OF_PROXIES = ("x-forwarded-", "cf-")
"""How other headers begin that proxies add; cf-: Cloudflare's, whose tunnel may lead to this machine."""
_OWN_SITES = frozenset({"none", "same-origin", "same-site"})
"""Values that mean this machine, if the Host does. https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header"""


def is_direct(peer: str | None, headers: Iterable[tuple[str, str]]) -> bool:
    """Whether the request comes from this machine, without a proxy. `peer`: the client's IP address."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    if peer is None or not is_loopback(peer) or found.keys() & _PROXY_HEADERS:
        return False
    if any(name.startswith(_OF_PROXIES) for name in found):
        return False
    if not _OWN_SITES.issuperset(found.get("sec-fetch-site", [])):
        return False
    origins = (origin.partition("://")[2] for origin in found.get("origin", []))
    return all(map(_is_this_machine, (*found.get("host", [""]), *origins)))


def is_from_elsewhere(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a browser says that a page of another site makes this request.

    `Origin` must then be what `Host` is, whatever the scheme is: a proxy may have taken TLS off.
    """
    hosts, origins, sites = list[str](), list[str](), list[str]()
    lists = {"host": hosts, "origin": origins, "sec-fetch-site": sites}
    for name, value in headers:
        if name.lower() in lists:
            lists[name.lower()].append(value.strip().lower())
    if any(site not in ("same-origin", "none") for site in sites):
        return True
    return any(origin.partition("://")[2] not in hosts for origin in origins)


def is_loopback(host: str) -> bool:
    """Whether an IP address is one of this machine's own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _is_this_machine(authority: str) -> bool:
    """Whether `host[:port]`, with IPv6 in brackets, names this machine and nothing else."""
    named = _AUTHORITY.fullmatch(authority)
    name = (named["v6"] or named["name"]).lower() if named else ""
    return name == "localhost" or is_loopback(name)
