"""The time, in Unix seconds, as everything here is told it."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """Wall-clock time that goes forward only: it follows the machine's clock, but does not jump back with it.

    What is due in a second must be due in a second, also where the clock is set back an hour meanwhile.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead = wall() - monotonic()

    def __call__(self) -> float:
        """Unix seconds."""
        steady = self._monotonic()
        self._ahead = max(self._ahead, self._wall() - steady)
        return steady + self._ahead
