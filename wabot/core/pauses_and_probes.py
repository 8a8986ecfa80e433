"""The pause of a lane: why it is paused, when one job is sent as a probe, and what ends the pause.

Probes are sent at growing intervals. A probe that succeeds ends the pause. If a receipt caused the pause, Meta had
accepted that message before it failed, so a successful probe is then on trial: the pause ends only when no such receipt
has followed for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

from wabot.core.jobs import Halt

PROBE_FIRST_SECONDS = 5.0
PROBE_SECONDS = {Halt.BLOCKED: 300.0, Halt.OUTAGE: 60.0}
"""The longest time between two probes. Outages end by themselves; a person needs longer."""
PROBE_JITTER = 0.2
"""The random part of the interval between probes, so that several wabots do not probe at the same moment."""

TRIAL_SECONDS = 30.0
"""The longest trial: if Meta fails a message by receipt, that comes within seconds."""


@dataclass(frozen=True, slots=True)
class LanePause:
    """Why a lane is paused: in plain words, with Meta's code or our own, and whether a person must act."""

    reason: str
    code: int | str | None
    halt: Halt


class Pausing:
    """The current pause, if any. Times are Unix seconds. `count`: how many failures asked for a pause so far."""

    def __init__(self) -> None:
        self.pause: LanePause | None = None
        self.count = 0
        self.on_trial = False
        self._by_receipt = False
        self._probe_at = 0.0
        self._interval = PROBE_FIRST_SECONDS

    @property
    def next_probe(self) -> float | None:
        """When the next probe is sent; None if the lane is not paused."""
        return None if self.pause is None else self._probe_at

    def add(self, pause: LanePause, now: float, *, noise: float, by_receipt: bool = False) -> bool:
        """Start or prolong the pause; False if this is only another job that was in flight when it began.

        `noise` is in [0, 1). `by_receipt`: a receipt for an accepted message caused it.
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
        """A job got through; whether that ends the pause. `count`: the value of `self.count` when the job began."""
        if self._by_receipt and count == self.count:  # otherwise its own receipt may have come before the answer
            self.on_trial = True
            self._probe_at = now + min(self._interval, TRIAL_SECONDS)
        return not self._by_receipt

    def stands_trial(self, now: float) -> bool:
        """Whether a trial has ended without a receipt that failed the probe."""
        return self.on_trial and self.probe_in(now) <= 0

    def end(self) -> None:
        """End the pause."""
        self.pause = None
        self._by_receipt = self.on_trial = False

    def probe_at_once(self, now: float) -> None:
        """Send the next probe now, even during a trial: a person may know that it works again."""
        self._interval, self._probe_at, self.on_trial = PROBE_FIRST_SECONDS, now, False

    def probe_in(self, now: float) -> float:
        """Seconds until the next probe; 0 if the lane is not paused."""
        if self.pause is None:
            return 0.0
        self._probe_at = min(self._probe_at, now + self._interval)  # the clock may have been set back
        return max(self._probe_at - now, 0.0)
