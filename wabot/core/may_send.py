"""The checks before each attempt to send: may this message leave now?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wabot.core.jobs import Event, Job, Outcome
from wabot.core.messages import Stop
from wabot.core.outgoing import OF_ASSISTANT, Origin, Outgoing

TAKEN_OVER = "A person answers this contact"

NOT_MARKETING = frozenset({"UTILITY", "AUTHENTICATION"})
"""Meta's words for the templates that who stopped marketing still gets. Any other, also a new or an unknown one, counts
as marketing: an opt-out holds in doubt."""

Why = tuple[str, str]
"""Why something is not sent: in words, and as a code."""

OPTED_OUT: Why = ("This person opted out", "opted_out")
_NO_MARKETING: Why = ("This person opted out of marketing, and the template is marketing", "opted_out")
_MAYBE_MARKETING: Why = (
    "This person opted out of marketing, and Meta cannot be asked whether the template is marketing", "opted_out",
)  # fmt: skip
_UNREACHABLE: Why = ("Meta could not reach this person before; they have to write first", "unreachable")


@dataclass(frozen=True, slots=True)
class Wait:
    """A message waits until a time (Unix seconds), for this reason."""

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
    if job.contact.stopped is Stop.ALL and not _ignores_opt_out(outgoing):
        return _given_up(OPTED_OUT)
    silent = job.contact.is_paused(now) or job.id <= job.contact.silent_upto
    if silent and outgoing.origin in OF_ASSISTANT:
        return Outcome(Event.TAKE_OVER, spent=False, error=TAKEN_OVER, code="taken_over")
    if outgoing.template is not None and outgoing.origin in (Origin.BULK, Origin.STAFF):
        bulk = outgoing.origin is Origin.BULK
        if why := unwanted(job.contact.stopped, job.category, bulk=bulk):
            return _given_up(why)
    if outgoing.origin is Origin.BULK and (wait := bulk_waits(now)):
        return held(wait)
    if outgoing.template is None and not job.contact.window_is_open(now):
        return Outcome(Event.EXPIRE, spent=False, error="The 24-hour window has closed", code="window_closed")
    if job.spent >= attempts:
        return Outcome(Event.GIVE_UP, spent=False, error="Tried as often as allowed", code="attempts")
    if job.pause is not None and now < job.pause.until:
        event = Event.GIVE_UP if job.pause.refuse else Event.HOLD
        return Outcome(event, due_at=job.pause.until, spent=False, error=job.pause.reason, code=job.pause.code)
    return None


def _ignores_opt_out(outgoing: Outgoing) -> bool:
    """Whether it is the confirmation, or tells the owner."""
    tells_owner = outgoing.origin is Origin.SERVICE and outgoing.template is not None
    return outgoing.origin is Origin.CONFIRMATION or tells_owner


def unwanted(stopped: Stop | None, category: str | None, *, bulk: bool) -> Why | None:
    """Why a template that nobody asked for does not go to somebody of whom this is `stopped`; None if it may.

    `category`: the template's, in Meta's words; None if they are not known. `bulk`: it is sent to many.
    """
    if stopped is Stop.ALL:
        return OPTED_OUT
    if stopped is Stop.MARKETING and category not in NOT_MARKETING:
        return _NO_MARKETING if category else _MAYBE_MARKETING
    return _UNREACHABLE if stopped is Stop.UNREACHABLE and bulk else None


def _given_up(why: Why) -> Outcome:
    words, code = why
    return Outcome(Event.GIVE_UP, spent=False, error=words, code=code)


def held(wait: Wait) -> Outcome:
    """What waits is held, so that it stands in no one's way: a reply to the same person leaves meanwhile."""
    return Outcome(Event.HOLD, due_at=wait.until, spent=False, error=wait.reason, code=wait.code)
