"""Jobs: what wabot still has to do for a contact, and every way in which that can end.

A job is a row of the journal. A *reply* answers a contact; a *send* hands one message to Meta; an *event* tells one of
the owner's programs what happened (owner_events.py), is repeated until that one has it, and needs few of the states.

A reply is queued in the commit that stores a message which needs an answer. It is due when the quiet window has
passed, and answers everything that the contact wrote since the last reply. It sends nothing itself: its outcome lists
messages, and each becomes a send in the commit that ends the reply. So a reply that is interrupted can simply be made
again. Asking a model twice costs money, but nobody gets two answers.

A send is queued by a reply, by a batch or by a person. It is the only thing that the outside world can see, and a
request to Meta cannot be taken back or repeated safely. The rules for it follow from three questions.

  In which order?    Each contact has one queue. Only its head may be claimed; the others wait behind it (WAITING) and
                     are promoted when it leaves. A head that has to wait long leaves the queue (HELD), so that one
                     paused template does not stop all other sends to a contact.
  Did it happen?     A claim is committed before the request leaves (RUNNING). If the answer is lost, or the process
                     dies, Meta may have the message or not (IN_DOUBT). Each request carries a tag (journal, job
                     and attempt), which returns in Meta's delivery receipts. A receipt with the tag proves that Meta
                     accepted the send, in whatever state it is by then. Without one, after `hold_seconds`, it is sent
                     again or, if the owner wants no message twice, parked for a person to decide.
  Whose fault is it? `attempt` numbers the requests; `spent` counts those that used up a try. What affects everybody
                     (rate limits, an outage, an invalid token) uses up none, however long it lasts: the lane halts and
                     probes. What affects this message alone uses up one, and after `attempts` the send fails.

DONE means that Meta accepted it. What happens to the message then (sent, delivered, read, failed) belongs to the
message, not to the job; but a `failed` receipt can call for another attempt (BOUNCE) or end it after all.

Five parties move jobs, and all of them by the table below: lanes (claim, and what the handler's `Outcome` says),
delivery receipts (prove, bounce, give up), timers (what is due, held, doubtful or expired), people (cancel, reopen,
opt-outs) and contacts that turn out to be one person (demote, promote). Each change is a compare-and-set in one commit
with all that follows from it; whoever comes second changes nothing. An event that the table does not list for a state
is a bug, and raises IllegalMove.

Everything here is pure: no clock, no journal, no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wabot.core.exceptions import Effect
from wabot.core.handoff import Handoff
from wabot.core.messages import Contact
from wabot.core.outgoing import Outgoing


class Halt(StrEnum):
    """Why no send would get through: a person must act, or Meta has an outage, which ends by itself."""

    BLOCKED = "blocked"
    OUTAGE = "outage"


class Kind(StrEnum):
    """What a job does: answer a contact, hand one message to Meta, or tell one of the owner's programs something."""

    REPLY = "reply"
    SEND = "send"
    EVENT = "event"


OF_CONTACTS = (Kind.REPLY, Kind.SEND)
"""The kinds that are rows of the table `jobs`. Events have a table of their own, by endpoint."""


class State(StrEnum):
    """Where a job stands. The journal's partial indexes name these words."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    IN_DOUBT = "in_doubt"
    HELD = "held"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PARKED = "parked"


class Event(StrEnum):
    """What moves a job."""

    PROMOTE = "promote"
    DEMOTE = "demote"
    CLAIM = "claim"
    SUCCEED = "succeed"
    PROVE = "prove"
    RETRY = "retry"
    HOLD = "hold"
    RELEASE = "release"
    LOSE_TRACK = "lose track"
    PARK = "park"
    GIVE_UP = "give up"
    CANCEL = "cancel"
    EXPIRE = "expire"
    BOUNCE = "bounce"
    REOPEN = "reopen"
    TAKE_OVER = "take over"


# One row per state: the state that each event leads to. An event that a row does not list cannot happen in that state.
#   WAITING   stands behind an older open job of the same contact; settling that one promotes it
#   QUEUED    the head of its contact: claimable when due. Demoted only when two contacts turn out to be one person
#   RUNNING   claimed by a lane; the claim was committed before the request left. Taken over: a person answers, so what
#             the assistant is thinking of, or is about to send, comes to nothing
#   IN_DOUBT  Meta may have it: a receipt proves it, or the hold ends with a retry, a park or giving up
#   HELD      must wait long (Meta said so, or its template is paused), so it leaves its contact's queue; a person can
#             have it tried at once
#   DONE      Meta accepted it; a `failed` receipt allows a fresh attempt, or ends it after all
#   PARKED    waits for a person's decision, because it may have been sent; also all open sends of a restored backup
# A receipt proves that Meta accepted a send, whatever state we had it in.
TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.WAITING: {
        Event.PROMOTE: State.QUEUED, Event.CANCEL: State.CANCELLED, Event.EXPIRE: State.EXPIRED,
        Event.PARK: State.PARKED, Event.PROVE: State.DONE,
    },
    State.QUEUED: {
        Event.CLAIM: State.RUNNING, Event.DEMOTE: State.WAITING, Event.CANCEL: State.CANCELLED,
        Event.EXPIRE: State.EXPIRED, Event.PARK: State.PARKED, Event.PROVE: State.DONE,
    },
    State.RUNNING: {
        Event.SUCCEED: State.DONE, Event.RETRY: State.QUEUED, Event.HOLD: State.HELD,
        Event.LOSE_TRACK: State.IN_DOUBT, Event.GIVE_UP: State.FAILED, Event.EXPIRE: State.EXPIRED,
        Event.PARK: State.PARKED, Event.PROVE: State.DONE, Event.TAKE_OVER: State.CANCELLED,
    },
    State.IN_DOUBT: {
        Event.PROVE: State.DONE, Event.RETRY: State.QUEUED, Event.HOLD: State.HELD, Event.PARK: State.PARKED,
        Event.GIVE_UP: State.FAILED,
    },
    State.HELD: {
        Event.RELEASE: State.WAITING, Event.REOPEN: State.WAITING, Event.CANCEL: State.CANCELLED,
        Event.EXPIRE: State.EXPIRED, Event.PARK: State.PARKED, Event.PROVE: State.DONE,
    },
    State.DONE: {Event.BOUNCE: State.HELD, Event.GIVE_UP: State.FAILED, Event.PARK: State.PARKED},
    State.FAILED: {Event.REOPEN: State.WAITING, Event.PROVE: State.DONE},
    State.PARKED: {Event.REOPEN: State.WAITING, Event.CANCEL: State.CANCELLED, Event.PROVE: State.DONE},
    State.CANCELLED: {Event.PROVE: State.DONE},
    State.EXPIRED: {Event.PROVE: State.DONE},
}  # fmt: skip

OPEN = frozenset({State.WAITING, State.QUEUED, State.RUNNING, State.IN_DOUBT, State.HELD})
"""The states in which a job still has to be done."""


class IllegalMove(LookupError):
    """An event that cannot happen in a state: a bug."""


def move(state: State, event: Event) -> State:
    """The state after `event`. Raises IllegalMove if TRANSITIONS does not list it for `state`."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalMove(f"no {event!r} in state {state}") from None


@dataclass(frozen=True, slots=True)
class Pause:
    """A paused template: until when, why, and whether its sends fail (`refuse`) or wait."""

    until: float
    refuse: bool
    reason: str
    code: int | str | None


@dataclass(frozen=True, slots=True)
class Post:
    """What an event posts to one endpoint: `webhook_id` is the same each time, `body` is JSON."""

    endpoint: str
    type: str
    webhook_id: str
    body: str


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. Times are Unix seconds; `attempt` numbers the requests, `spent` counts those that used up a try.

    A reply answers the contact's messages with ids `since` to `upto`. A send carries `outgoing`,
    an event `post`. `category`: that of a template, as Meta said when it was queued; None if it did not.
    """

    id: int
    kind: Kind
    contact: Contact
    token: int
    attempt: int
    spent: int
    created_at: float
    tag: str = ""
    expires_at: float | None = None
    since: int = 0
    upto: int = 0
    outgoing: Outgoing | None = None
    pause: Pause | None = None
    batch_id: str | None = None
    category: str | None = None
    post: Post | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job, to be written in one commit with all that follows from it.

    `due_at`: when to try the job again. `spent`: whether it used up a try. `says`: messages to queue. `effect`: what
    else changes, for `effect_seconds`. `halt`: other jobs would not get through either, so the lane pauses and probes.
    `handoff`: a person is asked for.
    """

    event: Event
    due_at: float = 0.0
    spent: bool = True
    error: str | None = None
    code: int | str | None = None
    wamid: str | None = None
    wa_id: str | None = None
    answer: Mapping[str, Any] | None = None
    says: tuple[Outgoing, ...] = ()
    effect: Effect = Effect.NONE
    effect_seconds: float = 0.0
    halt: Halt | None = None
    handoff: Handoff | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits for sends: tries, seconds of back-off, seconds to wait for a receipt, and whether to resend then."""

    attempts: int = 8
    backoff_base_seconds: float = 1.0
    backoff_max_seconds: float = 300.0
    hold_seconds: float = 90.0
    resend_in_doubt: bool = True
