"""A circuit breaker for each model: a dead one is skipped, and asked again from time to time.

A model is dead after FAILURES failures in a row, or at once if its provider refuses the key, the model or the quota.
Then one reply at a time asks it, at growing intervals, until it answers.
"""

from __future__ import annotations

from collections.abc import Sequence

FAILURES = 3
FIRST_SECONDS, LONGEST_SECONDS = 30.0, 300.0
"""The first and the longest interval between two probes."""

_REFUSALS = frozenset({401, 402, 403, 404, 429})
"""HTTP statuses after which the next request would fail for the same reason."""


class ModelCircuit:
    """Whether one model is dead. Times are Unix seconds. `probe_at`: when it is asked again, None while it is alive."""

    def __init__(self) -> None:
        self.probe_at: float | None = None
        self._failures = 0
        self._interval = FIRST_SECONDS
        self._probing = False

    def is_skipped(self, now: float) -> bool:
        """Whether it is not to be asked now."""
        if self.probe_at is None:
            return False
        self.probe_at = min(self.probe_at, now + self._interval)  # the clock may have been set back
        return now < self.probe_at

    def asked(self, now: float) -> None:
        """It is being asked. If that is a probe, other replies skip it meanwhile."""
        if self.probe_at is not None:
            self._probing, self.probe_at = True, now + self._interval

    def succeeded(self) -> None:
        """It answered."""
        self.probe_at, self._failures, self._interval, self._probing = None, 0, FIRST_SECONDS, False

    def failed(self, now: float, status: int | None) -> None:
        """It failed; `status`: the HTTP status, if any. Further failures of requests begun earlier change nothing."""
        self._failures += 1
        if self.probe_at is not None and not self._probing:
            return
        if self._probing:
            self._interval = min(self._interval * 2, LONGEST_SECONDS)
        if self._probing or self._failures >= FAILURES or status in _REFUSALS:
            self.probe_at = now + self._interval
        self._probing = False


def in_turn(circuits: Sequence[ModelCircuit], now: float) -> list[int]:
    """The positions of those to ask, in their order; if all are dead, the one whose probe comes first."""
    if alive := [index for index, circuit in enumerate(circuits) if not circuit.is_skipped(now)]:
        return alive
    return [min(range(len(circuits)), key=lambda index: circuits[index].probe_at or 0.0)]
