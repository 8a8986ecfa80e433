"""What is wrong now: each problem begins once, with a warning and its remedy, and ends once, with an info line.

`/readyz` shows them. A problem may have several witnesses (a send that was refused, and doctor): it ends when none of
them sees it any more. Only changes are logged, and one that comes and goes is logged once a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wabot.core.throttle import Throttle
from wabot.log import get_logger

log = get_logger()


@dataclass(slots=True)
class Problem:
    """`what` and `remedy` in plain words; `since` and `next_probe` in Unix seconds (None: nothing is tried again)."""

    what: str
    remedy: str
    since: float
    next_probe: float | None = None
    witnesses: set[str] = field(default_factory=set)
    logged: bool = False

    def document(self) -> dict[str, Any]:
        """As `/readyz` shows it."""
        probe = {} if self.next_probe is None else {"next_probe": self.next_probe}
        return {"what": self.what, "since": self.since, "remedy": self.remedy} | probe


class Problems:
    """The problems there are, by name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[str, Problem] = {}
        self._seldom = Throttle()

    def begin(self, name: str, what: str, remedy: str, *, by: str = "", next_probe: float | None = None) -> None:
        """`by` sees this problem: since now, unless it is known. Its words are those of whoever saw it last."""
        known = self._open.get(name)
        if known is None:
            known = self._open[name] = Problem(what, remedy, self._clock())
            known.logged = self._seldom.count(name, self._clock()) > 0
            if known.logged:
                log.warning("problem.began", problem=name, what=what, remedy=remedy)
        known.what, known.remedy, known.next_probe = what, remedy, next_probe
        known.witnesses.add(by)

    def end(self, name: str, *, by: str = "") -> None:
        """`by` does not see it, or not any more."""
        known = self._open.get(name)
        if known is None:
            return
        known.witnesses.discard(by)
        if not known.witnesses:
            del self._open[name]
            if known.logged:
                log.info("problem.ended", problem=name, what=known.what, seconds=round(self._clock() - known.since))

    def documents(self) -> list[dict[str, Any]]:
        """All that there are, oldest first."""
        return [problem.document() for problem in sorted(self._open.values(), key=lambda problem: problem.since)]

    def __contains__(self, name: object) -> bool:
        return name in self._open

    def __bool__(self) -> bool:
        return bool(self._open)
