"""The current problems. Each is logged as one warning with its remedy when it begins, and one info line when it ends.

`/readyz` shows them. Several witnesses can report the same problem (a failed send, and doctor); it ends when none of
them sees it any more. A problem that comes and goes is logged at most once a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wabot.core.log_throttle import Throttle
from wabot.core.remedies import of_account
from wabot.log import get_logger

log = get_logger()


@dataclass(slots=True)
class Problem:
    """`what` and `remedy` in plain words; `since` and `next_probe` in Unix seconds (None: no probe)."""

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
    """The current problems by name."""

    def __init__(self, clock: Callable[[], float], account: str = "") -> None:
        """`account`: whose settings the remedies name, if these are not [whatsapp]."""
        self._clock, self._account = clock, account
        self._open: dict[str, Problem] = {}
        self._throttle = Throttle()

    def begin(self, name: str, what: str, remedy: str, *, by: str = "", next_probe: float | None = None) -> None:
        """Witness `by` sees this problem. A new one begins now; a known one gets the latest texts."""
        what, remedy = of_account(what, self._account), of_account(remedy, self._account)
        known = self._open.get(name)
        if known is None:
            known = self._open[name] = Problem(what, remedy, self._clock())
            known.logged = self._throttle.count(name, self._clock()) > 0
            if known.logged:
                log.warning("problem.began", problem=name, what=what, remedy=remedy)
        known.what, known.remedy, known.next_probe = what, remedy, next_probe
        known.witnesses.add(by)

    def end(self, name: str, *, by: str = "") -> None:
        """Witness `by` does not see this problem, or no longer."""
        known = self._open.get(name)
        if known is None:
            return
        known.witnesses.discard(by)
        if not known.witnesses:
            del self._open[name]
            if known.logged:
                log.info("problem.ended", problem=name, what=known.what, seconds=round(self._clock() - known.since))

    def documents(self) -> list[dict[str, Any]]:
        """All current problems, oldest first."""
        return [problem.document() for problem in sorted(self._open.values(), key=lambda problem: problem.since)]

    def __contains__(self, name: object) -> bool:
        return name in self._open

    def __bool__(self) -> bool:
        return bool(self._open)
