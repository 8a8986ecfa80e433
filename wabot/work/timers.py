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
    async def prune(self, *, before: float, now: float) -> int: ...
    async def beat(self) -> None: ...


class PruneMessages(Protocol):
    """Forgets the messages from before a time that the archive has."""

    async def __call__(self, *, before: float, now: float) -> None: ...


class Upkeep:
    """Keeps the journal's promises that no event triggers.

    `prune_messages` forgets messages that an archive has; without one the journal is the archive, and they stay.
    """

    def __init__(
        self,
        journal: Keeper,
        pairs: PairLedger,
        *,
        retention_seconds: float,
        prune_messages: PruneMessages | None,
        clock: Callable[[], float],
    ) -> None:
        self._journal, self._pairs = journal, pairs
        self._retention, self._prune_messages, self._clock = retention_seconds, prune_messages, clock
        self._prune_at = clock() + PRUNE_SECONDS
        self._waiting = False

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            try:
                await self.tend()
                self._prune_at = min(self._prune_at, self._clock() + PRUNE_SECONDS)  # the clock may have been set back
                if self._clock() >= self._prune_at:
                    await self.prune()
                self._waiting = False
            except JournalDown as error:
                if not self._waiting:
                    log.warning("upkeep.waiting", reason=str(error))
                self._waiting = True

    async def tend(self) -> None:
        """What is due now."""
        for job, state in await self._journal.tend(self._clock()):
            log.info("doubt.ended", job=job, state=str(state))

    async def prune(self) -> None:
        """Forget what is old, in small steps so that nobody waits for it, and count on."""
        now = self._clock()
        self._pairs.forget(now)
        while await self._journal.prune(before=now - self._retention, now=now):
            await asyncio.sleep(STEP_SECONDS)
        await self._journal.beat()
        if self._prune_messages is not None:
            await self._prune_messages(before=now - self._retention, now=now)
        self._prune_at = self._clock() + PRUNE_SECONDS
