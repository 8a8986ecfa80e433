"""How many sends may be on their way to Meta at once."""

from __future__ import annotations

MOST = 512
"""Sends in flight, where the settings name no bound: each needs a connection, and a process has about a thousand."""
LEAST = 32
"""Always allowed: at a low rate the bound is to stop nobody."""

_SPARE = 2.0
_FIRST_GUESS = 0.25
_WEIGHT = 1 / 16


class SendsInFlight:
    """Bounds the sends in flight to twice what the rate needs at the latency that Meta shows, and to `most`.

    A rate of 1 000/s takes 100 sends in flight if Meta answers in 100 ms, and 300 if it answers in 300 ms. A Meta that
    becomes slower gets more at once as its answers come; one that stops answering gets no more than before, so that an
    outage leaves few sends of which nobody knows whether they were accepted.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._latency = _FIRST_GUESS
        self._count = 0

    def room(self, rate: float) -> float:
        """How many more may start at a rate of messages per second; 0: no limit of the rate."""
        needed = max(rate * self._latency * _SPARE, LEAST) if rate else self._most
        return min(needed, self._most) - self._count

    def begin(self, count: int) -> None:
        """So many were claimed."""
        self._count += count

    def end(self) -> None:
        """One is not on its way any more."""
        self._count -= 1

    def answered(self, seconds: float) -> None:
        """Meta accepted a message within this time."""
        self._latency += (seconds - self._latency) * _WEIGHT
