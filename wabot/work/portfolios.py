"""The business portfolios of the accounts: Meta's messaging limit holds for all numbers of one together."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Protocol

from wabot.core.exceptions import JournalDown
from wabot.core.messaging_limit import DAY, MessagingLimit
from wabot.log import get_logger
from wabot.work.send import Limits

COUNT_SECONDS = 900.0
"""Until people are counted again: those whom a message did not reach give their places to others."""
AGAIN_SECONDS = 10.0
"""Until a journal is asked again that could not be read."""
IN_FLIGHT_SECONDS = 600.0
"""What left so lately may not be in a journal yet as Meta's answer to it decides."""
AT_ONCE = 200
"""Sends that one commit lets go: some milliseconds."""

log = get_logger()


class Journal(Protocol):
    """An account's journal, as its portfolio needs it."""

    async def messaging_limit(self) -> tuple[float, str] | None: ...
    async def remember_messaging_limit(self, most: float, portfolio: str) -> None: ...
    async def written_first(self, since: float, now: float) -> list[tuple[str, float]]: ...
    async def let_more_people_go(self, count: int, now: float) -> int: ...


class Portfolio:
    """One portfolio: its messaging limit, and the journals of its accounts."""

    def __init__(self) -> None:
        self.limit = MessagingLimit()
        self.journals = list[Journal]()

    async def recount(self, now: float) -> None:
        """Count whom all accounts wrote to first. While one journal is down, what was known stays."""
        if self.limit.most == math.inf:
            return
        found, known_from = list[tuple[str, float]](), now - IN_FLIGHT_SECONDS
        for journal in self.journals:
            try:
                found += await journal.written_first(now - DAY, now)
            except JournalDown:
                known_from = -math.inf
        self.limit.recount(found, known_from=known_from)


class Portfolios:
    """All portfolios. An account is alone in its own until Meta names the one to which it belongs."""

    def __init__(self) -> None:
        self._known: dict[str, Portfolio] = {}

    def named(self, portfolio_id: str) -> Portfolio:
        """The portfolio of this id; "" is one that nobody else has."""
        return self._known.setdefault(portfolio_id, Portfolio()) if portfolio_id else Portfolio()


class LimitKeeper:
    """Keeps what Meta says of an account's messaging limit, and lets go what waits for it when there is room."""

    def __init__(self, portfolios: Portfolios, journal: Journal, limits: Limits, clock: Callable[[], float]) -> None:
        self._portfolios, self._journal, self._limits, self._clock = portfolios, journal, limits, clock
        self._portfolio_id, self._portfolio = "", Portfolio()
        self._told = asyncio.Event()

    async def begin(self) -> None:
        """Go on with what Meta said before the last stop. Raises JournalDown."""
        most, portfolio_id = await self._journal.messaging_limit() or (math.inf, "")
        self._join(portfolio_id)
        self._portfolio.limit.allow(most)
        await self._portfolio.recount(self._clock())

    def tell(self, most: float, portfolio_id: str = "") -> None:
        """Meta names the limit, and perhaps the id of the portfolio."""
        if portfolio_id not in ("", self._portfolio_id):
            self._join(portfolio_id)
        if most != self._portfolio.limit.most:
            log.info("messaging_limit.changed", people=most if most < math.inf else None)
        self._portfolio.limit.allow(most)
        self._told.set()

    def _join(self, portfolio_id: str) -> None:
        if self._journal in self._portfolio.journals:
            self._portfolio.journals.remove(self._journal)
        self._portfolio_id, self._portfolio = portfolio_id, self._portfolios.named(portfolio_id)
        self._portfolio.journals.append(self._journal)
        self._limits.people = self._portfolio.limit

    async def run(self) -> None:
        """Count anew whenever Meta named the limit, and now and then for what failed since; until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COUNT_SECONDS if self._portfolio.limit.most < math.inf else None):
                    await self._told.wait()
            self._told.clear()
            try:
                await self._take_up()
            except JournalDown:
                self._told.set()
                await asyncio.sleep(AGAIN_SECONDS)

    async def _take_up(self) -> None:
        said = self._portfolio.limit.most, self._portfolio_id
        if await self._journal.messaging_limit() != said:
            await self._journal.remember_messaging_limit(*said)
        now = self._clock()
        await self._portfolio.recount(now)
        room, moved = self._portfolio.limit.room(now), AT_ONCE
        while moved == AT_ONCE and room >= 1:
            moved = await self._journal.let_more_people_go(int(min(room, AT_ONCE)), now)
            room -= moved
