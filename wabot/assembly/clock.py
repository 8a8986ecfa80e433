"""The time, in Unix seconds, as all of wabot reads it."""

from __future__ import annotations

import time
from collections.abc import Callable

DRIFT_SECONDS = 5.0
"""By so much the machine's clock may wander at once; more is a jump."""

BELIEVE_SECONDS = 60.0
"""So long a jump must last before it is believed. By a jump of a moment every reply would expire."""

RIDDEN_OUT_SECONDS = 3600.0
"""A machine's clock that is set back by no more than this is not followed until the next start: ours stays ahead."""


class SteadyClock:
    """Wall-clock time that goes on evenly: it follows the machine's clock, but not at once and not back by a little.

    What is due in a second must be due in a second, also where the clock is set back an hour meanwhile. A jump, forward
    or far back, is believed once it has lasted for a minute; what is a moment's mistake changes nothing.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead = wall() - monotonic()
        self._jump, self._jumped_at = self._ahead, 0.0

    def __call__(self) -> float:
        """Unix seconds."""
        steady = self._monotonic()
        ahead = self._wall() - steady
        if abs(ahead - self._ahead) <= DRIFT_SECONDS:
            self._ahead = self._jump = max(self._ahead, ahead)
        elif abs(ahead - self._jump) > DRIFT_SECONDS:
            self._jump, self._jumped_at = ahead, steady
        elif steady - self._jumped_at >= BELIEVE_SECONDS and not 0 <= self._ahead - ahead <= RIDDEN_OUT_SECONDS:
            self._ahead = self._jump = ahead
        return steady + self._ahead
