"""Whose trouble it is when Meta says that something went wrong on its side, or does not answer.

131000 ("something went wrong") comes to everybody during an outage, and in quiet times to one message that Meta chokes
on. One answer cannot tell these apart; what the others get can:

- Several people in a row, and nobody got through between: an outage. It uses up nobody's try, however long it lasts.
- Several people, and others get through between: half an outage, or a whole batch that Meta chokes on. For about half
  an hour of back-off it uses up no try, then it does: an outage passes, such a batch must end.
- One message again and again, though Meta took somebody else's meanwhile: its own trouble. It uses up a try.
- Anything else: nobody can tell yet. It uses up no try, and the message backs off alone.

A restart forgets what was seen; then an outage is noticed anew.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import islice

from wabot.core.errors import DeliveryError, Scope, Unavailable, Unclear

SEVERAL = 3
"""So many people in a row make an outage. One that is never served, and a second by chance, do not."""

TOGETHER_SECONDS = 600.0
"""Who failed within this time is in trouble at the same time: no back-off is longer by default."""

PATIENT_REQUESTS = 16
"""So many requests a message makes before it is blamed for a trouble that several have: with a back-off from one second
to five minutes they take half an hour."""

REMEMBERED = 10_000
"""People in trouble that are remembered. Of those beyond it the next failure counts as the first."""


class Blame(StrEnum):
    """Whose trouble a failure is."""

    MESSAGE = "message"
    UNKNOWN = "unknown"
    META = "meta"


def concerns(error: DeliveryError) -> bool:
    """Whether a failure may be an outage's: Meta has trouble, cannot be reached, or does not answer plainly."""
    match error:
        case Unclear() | Unavailable(scope=Scope.META) | Unavailable(scope=Scope.NUMBER, code=str()):
            return True
    return False


class Outages:
    """What became of the last sends, as far as it takes to tell an outage from one message's trouble."""

    def __init__(self) -> None:
        self._accepted = 0
        self._failed: dict[int, tuple[int, float]] = {}  # when each failed last: messages accepted before, the time
        self._in_a_row: set[int] = set()

    def accepted(self, contact_id: int) -> None:
        """Meta took a message to this person: it works."""
        self._accepted += 1
        self._in_a_row.clear()
        self.over(contact_id)

    def failed(self, contact_id: int, *, attempt: int, now: float) -> Blame:
        """A message to this person met a failure that `concerns` outages, at its `attempt`-th request: whose it is."""
        before = self._failed.pop(contact_id, None)
        self._failed[contact_id] = self._accepted, now
        if len(self._failed) > REMEMBERED:
            del self._failed[next(iter(self._failed))]
        if len(self._in_a_row) < SEVERAL:
            self._in_a_row.add(contact_id)
        if len(self._in_a_row) >= SEVERAL:
            return Blame.META
        proven = before is not None and before[0] < self._accepted
        return Blame.MESSAGE if proven and (attempt >= PATIENT_REQUESTS or self._is_alone(now)) else Blame.UNKNOWN

    def over(self, contact_id: int) -> None:
        """This person's message is settled, or met another kind of failure: its trouble is forgotten."""
        self._failed.pop(contact_id, None)

    def _is_alone(self, now: float) -> bool:
        """Whether fewer than several people are in trouble at the same time. The last that failed come last."""
        lately = [at for _, at in islice(reversed(self._failed.values()), SEVERAL) if at > now - TOGETHER_SECONDS]
        return len(lately) < SEVERAL
