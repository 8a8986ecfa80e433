"""When a lane claims jobs: what may begin within a moment is claimed together, since each claim costs a commit."""

from __future__ import annotations

GATHER_SECONDS = 0.02
"""Jobs that become due, or find a place, within this time are claimed together."""


class Gathering:
    """Puts off claims of few jobs until GATHER_SECONDS after the last claim.

    A quarter of the `places` (jobs in flight at once) is many: waiting longer would leave too many places empty. A lane
    without a running job never waits, so that the first of several is begun at once. Times are Unix seconds.
    """

    def __init__(self, places: int) -> None:
        self._many = max(places // 4, 1)
        self._claimed_at = float("-inf")

    def claimed(self, now: float) -> None:
        """Jobs were claimed."""
        self._claimed_at = now

    def until(self, now: float, running: int, room: int) -> float:
        """When to claim, with `running` jobs in flight and `room` for more: now, or when the moment has passed."""
        end = self._claimed_at + GATHER_SECONDS
        waits = running and room < self._many and self._claimed_at <= now < end
        return end if waits else now
