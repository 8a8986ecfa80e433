"""The checks before each attempt to send: may this message leave now?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wabot.core.jobs import Event, Job, Outcome
from wabot.core.messages import Stop
from wabot.core.outgoing import OF_ASSISTANT, Origin

TAKEN_OVER = "A person answers this contact"


@dataclass(frozen=True, slots=True)
class Wait:
    """Bulk messages wait until a time (Unix seconds), for this reason."""

    until: float
    reason: str
    code: str


BulkWaits = Callable[[float], Wait | None]
"""Until when bulk messages wait at a time; None if they may leave."""


def never(_now: float) -> None:
    """Bulk messages wait for nothing."""


def check(job: Job, now: float, *, attempts: int, bulk_waits: BulkWaits = never) -> Outcome | None:
    """None if the message may leave, otherwise the outcome of its job. No outcome here uses up a try."""
    outgoing = job.outgoing
    if outgoing is None:
        return Outcome(Event.GIVE_UP, spent=False, error="There is no message to send", code="no_message")
    if job.expires_at is not None and now >= job.expires_at:
        return Outcome(Event.EXPIRE, spent=False, error="Too late to be of use", code="expired")
    if not job.contact.address:
        return Outcome(Event.GIVE_UP, spent=False, error="This number is somebody else's now", code="passed_on")
    if job.contact.stopped is Stop.ALL and outgoing.origin is not Origin.SERVICE:
        return Outcome(Event.GIVE_UP, spent=False, error="This person opted out", code="opted_out")
    silent = job.contact.is_paused(now) or job.id <= job.contact.silent_upto
    if silent and outgoing.origin in OF_ASSISTANT:
        return Outcome(Event.TAKE_OVER, spent=False, error=TAKEN_OVER, code="taken_over")
    if job.contact.stopped is not None and outgoing.origin is Origin.BULK:
        return _unasked_for(job.contact.stopped)
    if outgoing.origin is Origin.BULK and (wait := bulk_waits(now)):
        # Held, so that it stands in no one's way: a reply to the same person leaves meanwhile.
        return Outcome(Event.HOLD, due_at=wait.until, spent=False, error=wait.reason, code=wait.code)
    if outgoing.template is None and not job.contact.window_is_open(now):
        return Outcome(Event.EXPIRE, spent=False, error="The 24-hour window has closed", code="window_closed")
    if job.spent >= attempts:
        return Outcome(Event.GIVE_UP, spent=False, error="Tried as often as allowed", code="attempts")
    if job.pause is not None and now < job.pause.until:
        event = Event.GIVE_UP if job.pause.refuse else Event.HOLD
        return Outcome(event, due_at=job.pause.until, spent=False, error=job.pause.reason, code=job.pause.code)
    return None


def _unasked_for(stopped: Stop) -> Outcome:
    if stopped is Stop.UNREACHABLE:
        reason = "Meta could not reach this person before; they have to write first"
        return Outcome(Event.GIVE_UP, spent=False, error=reason, code="unreachable")
    return Outcome(Event.GIVE_UP, spent=False, error="This person opted out", code="opted_out")
