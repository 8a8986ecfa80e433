"""Timers: end of holds, retries, expiry, and deletion of old rows."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from wabot.core.exceptions import JournalDown
from wabot.core.jobs import State
from wabot.core.rate_limits import PairLedger
from wabot.log import get_logger

TEND_SECONDS = 1.0
"""The least time between two looks for what is due."""
IDLE_SECONDS = 60.0
"""The longest time between two looks while anything waits for its time, in case the clock is set."""
PRUNE_SECONDS, PRUNE_AGAIN_SECONDS = 600.0, 60.0
"""Until old rows are looked for again: if nothing changed meanwhile, and if something did."""
BEAT_SECONDS = 60.0
STEP_SECONDS = 0.05

log = get_logger()


class Keeper(Protocol):
    """The journal, as the timers need it."""

    @property
    def changes(self) -> int: ...
    async def changed(self, since: int, seconds: float) -> None: ...
    async def tend_at(self, now: float) -> float: ...
    async def tend(self, now: float) -> list[tuple[int, State]]: ...
    async def prune(self, *, before: float, now: float) -> int: ...
    async def beat(self) -> None: ...
    async def go_on_forgetting(self, now: float, *, archive: bool) -> None: ...


class PruneMessages(Protocol):
    """Deletes the messages before a time that the archive has."""

    async def __call__(self, *, before: float, now: float) -> None: ...


class Upkeep:
    """Does what is due by time alone.

    `prune_messages` deletes messages that the archive has; None if the journal is the archive: then they stay.
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
        self._beat_at, self._beaten = clock() + BEAT_SECONDS, -1

    async def run(self) -> None:
        """Work until cancelled: whenever something is due. What is due may change with the journal."""
        while True:
            seen, wait = self._journal.changes, 0.0
            try:
                wait = await self._do_what_is_due()
                self._waiting = False
            except JournalDown as error:
                if not self._waiting:
                    log.warning("upkeep.waiting", reason=str(error))
                self._waiting = True
            await asyncio.sleep(TEND_SECONDS)
            if wait > TEND_SECONDS:
                await self._journal.changed(seen, wait - TEND_SECONDS)

    async def _do_what_is_due(self) -> float:
        """Seconds until something is due again."""
        now = self._clock()
        self._prune_at = min(self._prune_at, now + PRUNE_SECONDS)  # the clock may have been set back
        self._beat_at = min(self._beat_at, now + BEAT_SECONDS)
        due = await self._journal.tend_at(now)
        if due <= now:
            await self.tend()
            due = await self._journal.tend_at(now)
        if now >= self._beat_at and self._journal.changes != self._beaten:  # without a change no copy is older
            await self._journal.beat()
            self._beat_at, self._beaten = now + BEAT_SECONDS, self._journal.changes
        if now >= self._prune_at:
            await self.prune()
        if due < math.inf:
            due = min(due, now + IDLE_SECONDS)
        beat_at = self._beat_at if self._journal.changes != self._beaten else math.inf
        return min(due, beat_at, self._prune_at) - self._clock()

    async def tend(self) -> None:
        """Move all jobs whose time has come."""
        for job, state in await self._journal.tend(self._clock()):
            log.info("doubt.ended", job=job, state=str(state))

    async def prune(self) -> None:
        """Delete old rows in small steps, so that other work is not delayed."""
        now = self._clock()
        self._pairs.forget(now)
        before = self._journal.changes
        await self._journal.go_on_forgetting(now, archive=self._prune_messages is not None)
        while await self._journal.prune(before=now - self._retention, now=now):
            await asyncio.sleep(STEP_SECONDS)
        if self._prune_messages is not None:
            await self._prune_messages(before=now - self._retention, now=now)
        some = self._journal.changes != before
        self._prune_at = self._clock() + (PRUNE_AGAIN_SECONDS if some else PRUNE_SECONDS)
