"""Timers: doubts that end, sends that were held, what expires, and what may be forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from wabot.core.errors import JournalDown
from wabot.core.jobs import State
from wabot.core.limits import PairLedger
from wabot.log import get_logger

TEND_SECONDS = 1.0
PRUNE_SECONDS = 60.0
STEP_SECONDS = 0.05

log = get_logger()


class Keeper(Protocol):
    """The journal, as upkeep needs it."""

    async def tend(self, now: float) -> list[tuple[int, State]]: ...
    async def prune(self, *, before: float, now: float, embedded: bool) -> int: ...


class Upkeep:
    """Keeps the journal's promises that no event triggers."""

    def __init__(
        self,
        journal: Keeper,
        pairs: PairLedger,
        *,
        retention_seconds: float,
        embedded: bool,
        clock: Callable[[], float],
    ) -> None:
        self._journal, self._pairs = journal, pairs
        self._retention, self._embedded, self._clock = retention_seconds, embedded, clock
        self._prune_at = clock() + PRUNE_SECONDS

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            try:
                await self.tend()
                if self._clock() >= self._prune_at:
                    await self.prune()
            except JournalDown as error:
                log.warning("upkeep.waiting", reason=str(error))

    async def tend(self) -> None:
        """What is due now."""
        for job, state in await self._journal.tend(self._clock()):
            log.info("doubt.ended", job=job, state=str(state))

    async def prune(self) -> None:
        """Forget what is old, in small steps so that nobody waits for it."""
        now = self._clock()
        self._pairs.forget(now)
        while await self._journal.prune(before=now - self._retention, now=now, embedded=self._embedded):
            await asyncio.sleep(STEP_SECONDS)
        self._prune_at = self._clock() + PRUNE_SECONDS
