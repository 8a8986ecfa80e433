"""How people retry and cancel one send of the outbox."""

from __future__ import annotations

import sqlite3

from wabot.core.exceptions import InvalidInput
from wabot.core.jobs import TRANSITIONS, Event, State, move
from wabot.journal import copies
from wabot.journal.transitions import apply_event, fail_message, promote


class CannotMove(InvalidInput):
    """The job is in a state that does not allow what was asked."""


def retry(db: sqlite3.Connection, job_id: int, now: float) -> State | None:
    """A person wants a failed, parked or held send tried now, with all its tries; its new state, None if unknown."""
    return _by_hand(db, job_id, Event.REOPEN, now)


def cancel(db: sqlite3.Connection, job_id: int, now: float) -> State | None:
    """A person wants a send that has not left not to leave; its new state, None if unknown."""
    return _by_hand(db, job_id, Event.CANCEL, now)


def try_again(db: sqlite3.Connection, job_id: int, now: float) -> bool:
    """As `retry`, and ends a doubt at once; False where it is in no state for it (any more)."""
    send = db.execute(_STANDING, (job_id,)).fetchone()
    event = Event.RETRY if send is not None and send["state"] == State.IN_DOUBT else Event.REOPEN
    return _may(send, event) and bool(_move(db, send, event, now))


def withdraw(db: sqlite3.Connection, job_id: int, now: float) -> bool:
    """As `cancel`; False where it is in no state for it (any more)."""
    send = db.execute(_STANDING, (job_id,)).fetchone()
    return _may(send, Event.CANCEL) and bool(_move(db, send, Event.CANCEL, now))


_AFRESH = "spent = 0, error = NULL, error_code = NULL, expires_at = NULL"
_STANDING = "SELECT id, state, contact_id FROM jobs WHERE id = ? AND kind = 'send'"


def _by_hand(db: sqlite3.Connection, job_id: int, event: Event, now: float) -> State | None:
    send = db.execute(_STANDING, (job_id,)).fetchone()
    if send is None:
        return None
    if not _may(send, event):
        raise CannotMove(f"a send that is {send['state'].replace('_', ' ')} cannot be {_DONE_TO[event]}")
    return _move(db, send, event, now)


def _may(send: sqlite3.Row | None, event: Event) -> bool:
    return send is not None and event in TRANSITIONS[State(send["state"])]


def _move(db: sqlite3.Connection, send: sqlite3.Row, event: Event, now: float) -> State:
    before = State(send["state"])
    also = "due_at = :due_at" if event is Event.CANCEL else f"due_at = :due_at, {_AFRESH}"
    apply_event(db, send["id"], before, event, now, also=also, due_at=now)
    if event is Event.CANCEL:
        fail_message(db, send["id"], "Cancelled", "cancelled")
    else:
        copies.start_over(db, send["id"])
    promote(db, send["contact_id"], now)
    return move(before, event)


_DONE_TO = {Event.REOPEN: "tried again", Event.CANCEL: "cancelled"}
