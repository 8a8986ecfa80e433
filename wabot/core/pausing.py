"""A lane's pause: why nobody gets through, when one job is tried as a probe, and what ends it.

The probes go at growing intervals. One that succeeds ends the pause; where Meta said by receipt that nobody gets
through, it had accepted the message all the same, so there a probe that succeeds is on trial until no such receipt has
followed for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

from wabot.core.jobs import Halt

PROBE_FIRST_SECONDS = 5.0
PROBE_SECONDS = {Halt.BLOCKED: 300.0, Halt.OUTAGE: 60.0}
"""The longest time between two probes: an outage ends by itself, and a person takes longer."""
PROBE_JITTER = 0.2
"""The part of an interval between probes that chance decides, lest all numbers of a machine probe together."""

TRIAL_SECONDS = 30.0
"""The longest trial: the receipt by which Meta fails a message follows within seconds."""


@dataclass(frozen=True, slots=True)
class LanePause:
    """Why a lane is paused: in words, by Meta's code or our word, and whether a person must act."""

    reason: str
    code: int | str | None
    halt: Halt


class Pausing:
    """The present pause, if any. Times are Unix seconds. `count`: how often somebody paused it."""

    def __init__(self) -> None:
        self.pause: LanePause | None = None
        self.count = 0
        self.on_trial = False
        self._by_receipt = False
        self._probe_at = 0.0
        self._interval = PROBE_FIRST_SECONDS

    @property
    def next_probe(self) -> float | None:
        """When one job is tried; None where nothing is paused."""
        return None if self.pause is None else self._probe_at

    def add(self, pause: LanePause, now: float, *, noise: float, by_receipt: bool = False) -> bool:
        """Somebody did not get through; whether that is news, or only one more of those that were in flight.

        `noise` is in [0, 1). `by_receipt`: Meta said so of a message that it had accepted.
        """
        self.count += 1
        self._by_receipt = self._by_receipt or by_receipt
        if self.pause is None:
            self._interval = PROBE_FIRST_SECONDS
        elif now >= self._probe_at or self.on_trial:
            self._interval = min(self._interval * 2, PROBE_SECONDS[pause.halt])
        else:
            return False
        self.pause, self.on_trial = pause, False
        self._probe_at = now + self._interval * (1 - PROBE_JITTER * noise)
        return True

    def succeeded(self, count: int, now: float) -> bool:
        """A job got through that began when `count` was so high; whether that ends the pause."""
        if self._by_receipt and count == self.count:  # else its own receipt may have been faster than the answer
            self.on_trial = True
            self._probe_at = now + min(self._interval, TRIAL_SECONDS)
        return not self._by_receipt

    def stands_trial(self, now: float) -> bool:
        """Whether a trial is over, and no receipt failed the probe."""
        return self.on_trial and self.probe_in(now) <= 0

    def end(self) -> None:
        """It works again."""
        self.pause = None
        self._by_receipt = self.on_trial = False

    def probe_at_once(self, now: float) -> None:
        """A person may know that it works again: one job is tried now, trial or not."""
        self._interval, self._probe_at, self.on_trial = PROBE_FIRST_SECONDS, now, False

    def probe_in(self, now: float) -> float:
        """Seconds until the next probe; 0 where nothing is paused."""
        if self.pause is None:
            return 0.0
        self._probe_at = min(self._probe_at, now + self._interval)  # the clock may have been set back
        return max(self._probe_at - now, 0.0)
