"""How often one contact is answered: a bound on what a stranger, or a bot that talks to ours, can cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wabot.core.outgoing import Origin

HOUR, DAY = 3600.0, 86400.0

IN_WORDS = {"hour": "an hour", "day": "a day"}

ANSWERS = frozenset({Origin.AI, Origin.TEMPLATE, Origin.FALLBACK})
"""What counts: each message of an answer."""


HIGHEST = 1000
"""The highest cap that can be set, since all answers of a day are counted for each reply."""


@dataclass(frozen=True, slots=True)
class ReplyCaps:
    """The most messages that answer one contact in an hour and in a day; 0 = any number.

    `notice`: said once a day to somebody who is over a cap; "" = nothing.
    """

    per_hour: int = 0
    per_day: int = 0
    notice: str = ""

    def __bool__(self) -> bool:
        """Whether there is any cap."""
        return bool(self.per_hour or self.per_day)

    def reached(self, said: Sequence[tuple[float, Origin]], now: float) -> str | None:
        """Which cap is reached, "hour" or "day", by what was said to a contact: (Unix seconds, who wrote it)."""
        answered = [at for at, origin in said if origin in ANSWERS]
        for name, seconds, most in (("hour", HOUR, self.per_hour), ("day", DAY, self.per_day)):
            if most and sum(at > now - seconds for at in answered) >= most:
                return name
        return None

    def notice_is_due(self, said: Sequence[tuple[float, Origin]], now: float) -> bool:
        """Whether somebody who is over a cap is to get the notice."""
        return bool(self.notice) and not any(origin is Origin.LIMIT and at > now - DAY for at, origin in said)
