"""A person answers a contact instead of the assistant, until they give it back or a time has passed.

While that is so, what the contact writes is history and queues no reply (accept.py). What the assistant was about to
say when it began comes to nothing, in the same commit; what had left by then is not sent again (core/may_send.py).
"""

from __future__ import annotations

import sqlite3

from wabot.core.handoff import BY_REQUEST, Handoff, Reason
from wabot.core.jobs import Event, State
from wabot.core.may_send import TAKEN_OVER
from wabot.core.messages import Person
from wabot.core.outgoing import OF_ASSISTANT
from wabot.journal import contacts, indexes, opt_outs
from wabot.journal.owner_alerts import ALERT_SECONDS
from wabot.journal.queue import UNSENT
from wabot.journal.transitions import apply_event, fail_message, promote

UNTIL_RESUMED = 1e18
AT_ONCE = 50
"""Pauses that one step ends."""

_ORIGINS = ", ".join(f"'{origin}'" for origin in sorted(OF_ASSISTANT))
_WHY = "error = :error, error_code = 'taken_over'"
_BY_REQUEST = ", ".join(f"'{reason}'" for reason in BY_REQUEST)
_WAITS = (
    "SELECT 1 FROM contacts WHERE id = ? AND paused_until > ? AND attention_at IS NOT NULL"
    f" AND attention_reason IN ({_BY_REQUEST})"
)
_REPLIES = (
    f"SELECT id, state FROM jobs WHERE contact_id = ? AND {indexes.JOINABLE}"
    f" UNION ALL SELECT id, state FROM jobs WHERE contact_id = ? AND {indexes.ANSWERING}"
)
_SENDS = f"SELECT u.id, u.state FROM ({UNSENT}) u JOIN messages m ON m.job_id = u.id WHERE m.origin IN ({_ORIGINS})"


def pause(db: sqlite3.Connection, contact_id: int, until: float, reason: str | None, now: float) -> None:
    """The assistant is silent until a time."""
    for one in opt_outs.everyone(db, contact_id):
        db.execute(
            "UPDATE contacts SET paused_until = ?, paused_reason = ?,"
            " silent_upto = coalesce((SELECT max(id) FROM jobs), silent_upto) WHERE id = ?",
            (until, reason, one),
        )
        _withdraw(db, one, now)


def extend(db: sqlite3.Connection, contact_id: int, until: float, reason: str, now: float) -> None:
    """As `pause`, but a longer pause stays as it is, with its reason."""
    (paused_until,) = db.execute("SELECT paused_until FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    if paused_until is None or paused_until < until:
        pause(db, contact_id, until, reason, now)


def resume(db: sqlite3.Connection, contact_id: int) -> None:
    """The assistant answers again what is said from now on; nobody is needed any more."""
    for one in opt_outs.everyone(db, contact_id):
        db.execute(
            "UPDATE contacts SET paused_until = NULL, paused_reason = NULL WHERE id = ?",
            (one,),
        )
    _need_nobody(db, contact_id)


def end_pauses(db: sqlite3.Connection, now: float) -> int:
    """End the pauses whose time is over; how many. What is read of a pause counts its time, so this is never late.

    It is what tells the owner's programs (event_triggers.sql). Whoever needed a person needs one still.
    """
    return db.execute(
        "UPDATE contacts SET paused_until = NULL, paused_reason = NULL WHERE id IN"
        " (SELECT id FROM contacts WHERE paused_until <= ? ORDER BY paused_until LIMIT ?)",
        (now, AT_ONCE),
    ).rowcount


def hand_off(db: sqlite3.Connection, contact_id: int, handoff: Handoff, now: float) -> None:
    """A person is needed, and the owner is told, at most once in ALERT_SECONDS; see handoffs.py for what follows.

    The contact is reminded of later only if it waits for that person: if the assistant is silent. It waits anew if it
    did not wait before, as after a handoff that ended with its time, or one that did not silence the assistant. What
    somebody asked for is not overwritten by what wabot could not do.
    """
    waits = handoff.takeover_seconds > 0
    anew = waits and db.execute(_WAITS, (contact_id, now)).fetchone() is None
    if waits:
        extend(db, contact_id, now + handoff.takeover_seconds, handoff.reason, now)
    for one in opt_outs.everyone(db, contact_id):
        db.execute(
            "UPDATE contacts SET attention_at = iif(:anew, :now, coalesce(attention_at, :now)),"
            " attention_reason = iif(:waits OR attention_at IS NULL, :reason, attention_reason),"
            " reminded_at = iif(:anew, NULL, iif(:waits, reminded_at, coalesce(reminded_at, :now))),"
            " alert_due = iif(:alert, coalesce(alert_due, max(:now, coalesce(alerted_at, 0) + :seconds)), alert_due)"
            " WHERE id = :id",
            {
                "now": now,
                "reason": handoff.reason,
                "waits": waits,
                "anew": anew,
                "alert": handoff.alert,
                "seconds": ALERT_SECONDS,
                "id": one,
            },
        )


def staff_spoke(db: sqlite3.Connection, contact_id: int, until: float, now: float) -> None:
    """A colleague said something to a contact, so nobody needs to be asked any more: they answer until a time."""
    if until > now:
        extend(db, contact_id, until, "staff", now)
    _need_nobody(db, contact_id)


def needs_nobody_after_all(db: sqlite3.Connection, contact_id: int, reason: Reason, since: float) -> None:
    """A person was asked for at a time for a reason that is none any more."""
    asked = "SELECT 1 FROM contacts WHERE id = ? AND attention_at = ? AND attention_reason = ?"
    if db.execute(asked, (contact_id, since, reason)).fetchone() is not None:
        _need_nobody(db, contact_id)


def pause_by_hand(db: sqlite3.Connection, identity: str, until: float, reason: str | None, now: float) -> None:
    """As `pause`, for a person who may be unknown: then they are a contact from now on."""
    pause(db, contacts.resolve(db, Person.of(identity), now, now), until, reason, now)


def resume_by_hand(db: sqlite3.Connection, identity: str) -> bool:
    """As `resume`; False if nobody is known by this name."""
    contact = contacts.find(db, identity)
    if contact is not None:
        resume(db, contact.id)
    return contact is not None


def _need_nobody(db: sqlite3.Connection, contact_id: int) -> None:
    for one in opt_outs.everyone(db, contact_id):
        db.execute(
            "UPDATE contacts SET attention_at = NULL, attention_reason = NULL, reminded_at = NULL, alert_due = NULL"
            " WHERE id = ? AND attention_at IS NOT NULL",
            (one,),
        )


def _withdraw(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    """Whatever the assistant was going to say is not said."""
    for job_id, state in db.execute(_REPLIES, (contact_id,) * 2).fetchall():
        event = Event.TAKE_OVER if state == State.RUNNING else Event.CANCEL
        apply_event(db, job_id, State(state), event, now, also=_WHY, error=TAKEN_OVER)
    for job_id, state in db.execute(_SENDS, {"contact": contact_id}).fetchall():
        apply_event(db, job_id, State(state), Event.CANCEL, now, also=_WHY, error=TAKEN_OVER)
        fail_message(db, job_id, TAKEN_OVER, "taken_over")
    promote(db, contact_id, now)
