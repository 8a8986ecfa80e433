"""The time, in Unix seconds, as all of wabot reads it."""

from __future__ import annotations

import time
from collections.abc import Callable

DRIFT_SECONDS = 5.0
"""A larger difference between two readings is a jump of the machine's clock."""

CONFIRM_SECONDS = 60.0
"""How long a jump must last before it is followed. Otherwise a momentary jump would expire every reply."""

RIDDEN_OUT_SECONDS = 3600.0
"""If the machine's clock is set back by up to this, it is not followed until the next start: ours stays ahead."""


class SteadyClock:
    """Wall-clock time without jumps: it follows the machine's clock, but with a delay, and not if set back a little.

    What is due in a second must be due in a second, even if the clock is set back by an hour meanwhile. A jump forward
    or far back is followed once it has lasted for CONFIRM_SECONDS; a momentary error changes nothing.
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
        elif steady - self._jumped_at >= CONFIRM_SECONDS and not 0 <= self._ahead - ahead <= RIDDEN_OUT_SECONDS:
            self._ahead = self._jump = ahead
        return steady + self._ahead
