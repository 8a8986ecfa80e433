"""How many jobs were done in each of the last minutes, for people to look at: in memory, from the start on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from wabot.core.jobs import Kind

MINUTES = 60


@dataclass(slots=True)
class Minute:
    """What was done in a minute; `at`: Unix minutes."""

    at: int
    sends: int = 0
    replies: int = 0


class Rates:
    """The last MINUTES minutes."""

    def __init__(self) -> None:
        self._minutes: deque[Minute] = deque(maxlen=MINUTES)

    def done(self, kind: Kind, now: float) -> None:
        """A job was done at `now`, in Unix seconds."""
        at = int(now // 60)
        if not self._minutes or self._minutes[-1].at != at:
            self._minutes.append(Minute(at))
        if kind is Kind.SEND:
            self._minutes[-1].sends += 1
        elif kind is Kind.REPLY:
            self._minutes[-1].replies += 1

    def minutes(self, now: float) -> list[Minute]:
        """All MINUTES minutes up to now, oldest first, also those in which nothing was done."""
        known = {each.at: each for each in self._minutes}
        last = int(now // 60)
        return [known.get(at) or Minute(at) for at in range(last - MINUTES + 1, last + 1)]
