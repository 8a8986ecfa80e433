"""Bulk messages leave when they may: not before their time, not in quiet hours, and not when they were cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from simulation.timeline import START
from wabot.sandbox.ledger import Sent

if TYPE_CHECKING:
    from simulation.world import World

DAY, HOUR = 86400.0, 3600.0
QUIET_FROM, QUIET_TO, ZONE_SECONDS = 21 * HOUR, 8 * HOUR, 5.5 * HOUR
"""The quiet hours of the settings (worlds.py), and how far the clocks of their zone are ahead of UTC."""
LEAVING_SECONDS = 5.0
"""What had left before it was cancelled, or before quiet hours began, arrives that much later, at most."""
CLOCK_SECONDS = 3100.0
"""How wrong the machine's clock may be."""


class Schedules:
    """What the world knows of bulk messages, by their words. Times are seconds of the run."""

    def __init__(self, world: World) -> None:
        self._world, self._witness = world, world.witness
        self._has_quiet_hours = bool(world.settings.bulk.quiet_hours)
        self.due: dict[str, float] = {}
        self._due_there: dict[str, float] = {}
        self._cancelled: dict[str, float] = {}
        self._left: set[str] = set()

    def scheduled(self, words: Iterable[str], numbers: Iterable[str], due: float) -> None:
        """These are to leave at a time, for these numbers."""
        self.due |= dict.fromkeys(words, due)
        self._due_there |= {number: max(due, self._due_there.get(number, due)) for number in numbers}

    def awaited(self, number: str) -> bool:
        """Whether something is to leave for a number later, which goes to that number, whoever has it then."""
        return self._witness.now() < self._due_there.get(number, 0.0) + CLOCK_SECONDS

    def cancelled(self, words: Iterable[str]) -> None:
        """wabot said that it cancelled what had not left of these."""
        self._cancelled |= {word: self._witness.now() for word in words if word not in self._left}

    def leaves(self, words: Iterable[str]) -> None:
        """wabot sent these, whether or not Meta got them."""
        self._left.update(words)

    def may_wait(self, words: Iterable[str]) -> bool:
        """Whether some of these need not have left by now."""
        now = self._witness.now()
        return self.is_quiet(now) or any(self.due.get(word, now) > now - HOUR for word in words)

    def is_quiet(self, at: float, *, margin: float = 0.0) -> bool:
        """Whether a time is in the quiet hours, and `margin` seconds from their beginning and end."""
        if not self._has_quiet_hours:
            return False
        since = (START + at + ZONE_SECONDS - QUIET_FROM) % DAY
        return margin <= since < (QUIET_TO - QUIET_FROM) % DAY - margin

    def check(self, event: Sent, person: int, words: Sequence[str]) -> None:
        """A request arrived at Meta."""
        now, error = self._witness.now(), self._clock_error()
        for word in words:
            if now < self.due.get(word, 0.0) - error:
                text = f"{word} leaves {self.due[word] - now:.0f} s before its time"
                self._witness.found("too early", text, person)
            if now > self._cancelled.get(word, now) + LEAVING_SECONDS:
                self._witness.found("cancelled", f"{word} of a batch that was cancelled leaves", person)
        if event.type == "template" and any(word[0] == "b" for word in words):
            if self.is_quiet(now, margin=LEAVING_SECONDS + error):
                self._witness.found("quiet hours", f"{' '.join(words)} leaves in quiet hours", person)
        self.leaves(words)

    def _clock_error(self) -> float:
        """How wrong the clock of wabot may be: it goes on ahead where the machine's was set back since it started."""
        now, starts = self._witness.now(), self._world.supervisor.starts
        started = starts[-1] if starts else now
        right = self._world.faults.calm(started, now, margin=60.0, kinds=("clock jumps", "clock hiccup"))
        return 1.0 if right else CLOCK_SECONDS
