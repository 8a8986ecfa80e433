"""When the checks of `doctor` are repeated: every hour, sooner while something is broken, or when an event needs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

EXAMINE_SECONDS = 3600.0
EXAMINE_AGAIN_SECONDS = 600.0
"""The interval while doctor finds something broken, so that a fix is seen soon. It makes about seven calls to Meta each
time, and Meta allows 200 an hour: https://developers.facebook.com/documentation/business-messaging/whatsapp/about-the-platform"""
DOUBT_SECONDS = 30.0
"""The least time between two runs because of failures; between two runs for a person it is ASKED_SECONDS."""
ASKED_SECONDS = 1.0


class CheckSchedule:
    """The time of the next run."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = self._soon_at = 0.0
        self._called = asyncio.Event()

    def is_due(self) -> bool:
        """Whether doctor is to run now; also if the clock was set back meanwhile."""
        return not 0 < self._at - self._clock() <= EXAMINE_SECONDS

    def started(self) -> None:
        """A run begins."""
        self._at = self._clock() + EXAMINE_SECONDS

    def ended(self, *, broken: bool) -> None:
        """A run is over, which found something `broken` or did not."""
        if broken:
            self._at = min(self._at, self._clock() + EXAMINE_AGAIN_SECONDS)

    def soon(self, apart: float) -> None:
        """Run now, or `apart` seconds after the last run that an event has asked for."""
        now = self._clock()
        at = min(max(now, self._soon_at + apart), now + apart)
        if at < self._at:
            self._at = self._soon_at = at
            self._called.set()

    async def wait(self, most: float) -> None:
        """Wait until the next run, until an event asks for one, or `most` seconds."""
        await self.pause(min(most, max(self._at - self._clock(), 0.0)))

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until an event asks for a run."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._called.wait()
        self._called.clear()
