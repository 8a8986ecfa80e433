"""Whose fault it is when Meta reports an error on its side, or does not answer: an outage, or this message.

During an outage all sends get 131000 ("something went wrong"); at other times a single message may get it, because Meta
cannot process that one. One answer cannot show the difference; the results of the other sends can:

- Sends to several people in a row fail, and none succeeds in between: an outage. It uses up no tries, however long it
  lasts.
- Sends to several people fail, and others succeed in between: a partial outage, or a batch that Meta cannot process.
  For about half an hour of back-off this uses up no tries, then it does: an outage passes, such a batch must end.
- One message fails again and again while Meta accepts others: its own fault. It uses up a try.
- Anything else is not clear yet. It uses up no try, and this message alone backs off. But a request without an answer
  may arrive, and so may each repetition: it uses up none only where the last answer, to whomever, was such an error.

All this is in memory: after a restart an outage is detected anew.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import islice

from wabot.core.exceptions import DeliveryError, Scope, Unavailable, Unclear

SEVERAL = 3
"""Failed sends to so many people in a row are an outage. One bad message, and a second by chance, are not."""

TOGETHER_SECONDS = 600.0
"""Failures within this time count as simultaneous; the default back-off is never longer."""

PATIENT_REQUESTS = 16
"""Requests of one message before it is blamed for an error that several have: with a back-off from one second to five
minutes they take half an hour."""

REMEMBERED = 10_000
"""The most people whose failures are remembered; for a forgotten one the next failure counts as the first."""


TROUBLE_SECONDS = 3600.0
"""For so long an answer that tells of trouble explains why others do not come."""


class Blame(StrEnum):
    """Whose fault a failure is. TROUBLE: perhaps Meta's, whose last answer told of trouble."""

    MESSAGE = "message"
    UNKNOWN = "unknown"
    TROUBLE = "trouble"
    META = "meta"


def concerns(error: DeliveryError) -> bool:
    """Whether a failure may be part of an outage: an error on Meta's side, no connection, or no clear answer."""
    match error:
        case Unclear() | Unavailable(scope=Scope.META) | Unavailable(scope=Scope.NUMBER, code=str()):
            return True
    return False


class Outages:
    """Remembers the results of recent sends, to decide whether a failure is part of an outage."""

    def __init__(self) -> None:
        self._accepted = 0
        self._failed: dict[int, tuple[int, float]] = {}  # when each failed last: messages accepted before, the time
        self._in_a_row: set[int] = set()
        self._trouble_at = float("-inf")

    def accepted(self, contact_id: int) -> None:
        """Meta accepted a message to this person."""
        self._accepted += 1
        self._in_a_row.clear()
        self._trouble_at = float("-inf")
        self.over(contact_id)

    def failed(self, contact_id: int, *, attempt: int, now: float, unclear: bool = False) -> Blame:
        """The `attempt`-th request of a message to this person failed, and it `concerns` outages: whose fault it is.

        `unclear`: there was no answer.
        """
        if not unclear:
            self._trouble_at = now
        before = self._failed.pop(contact_id, None)
        self._failed[contact_id] = self._accepted, now
        if len(self._failed) > REMEMBERED:
            del self._failed[next(iter(self._failed))]
        if len(self._in_a_row) < SEVERAL:
            self._in_a_row.add(contact_id)
        if len(self._in_a_row) >= SEVERAL:
            return Blame.META
        proven = before is not None and before[0] < self._accepted
        if proven and (attempt >= PATIENT_REQUESTS or self._is_alone(now)):
            return Blame.MESSAGE
        return Blame.TROUBLE if unclear and now < self._trouble_at + TROUBLE_SECONDS else Blame.UNKNOWN

    def over(self, contact_id: int) -> None:
        """This person's message was settled, or failed in another way: forget its failure."""
        self._failed.pop(contact_id, None)

    def _is_alone(self, now: float) -> bool:
        """Whether fewer than SEVERAL people failed at the same time. `_failed` is in the order of the last failures."""
        lately = [at for _, at in islice(reversed(self._failed.values()), SEVERAL) if at > now - TOGETHER_SECONDS]
        return len(lately) < SEVERAL
