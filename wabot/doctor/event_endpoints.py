"""Checks whether the endpoints of [[events]] can be reached, without telling them anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from wabot.core import health_checks
from wabot.core.health_checks import Check
from wabot.core.owner_events import GONE, shown_address

SECONDS = 9.0


async def reach(session: aiohttp.ClientSession, urls: Sequence[str]) -> Check:
    """Whether something answers at each address; whether it takes an event, only an event shows."""
    if not urls:
        return health_checks.skipped("events", "no endpoints are configured")
    faults = [fault for fault in await asyncio.gather(*(_fault(session, url) for url in urls)) if fault]
    if faults:
        remedy = "Start the program there, or correct its url; its events wait for three days."
        return health_checks.warning("events", "; ".join(faults), remedy)
    count = f"{len(urls)} endpoints answer" if len(urls) > 1 else "the endpoint answers"
    return health_checks.ok("events", f"{count}; whether it takes an event, only an event shows")


async def _fault(session: aiohttp.ClientSession, url: str) -> str | None:
    """Why an endpoint will get no events, without user, password and query of its address."""
    place = shown_address(url)
    try:
        async with session.head(url, timeout=aiohttp.ClientTimeout(total=SECONDS), allow_redirects=False) as response:
            return f"{place} answers that it is gone (410)" if response.status == GONE else None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return f"{place} cannot be reached ({type(error).__name__})"
