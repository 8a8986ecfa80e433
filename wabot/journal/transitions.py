"""Every change of a job's state: by the table of `core/jobs.py`, compare-and-set.

`apply_event` moves one job. The statements below it move many at once, or look for the job that they move.
Of a contact's open sends only the oldest is claimable, and one reply runs at a time: unique indexes enforce both. The
others wait until one is promoted, in the commit that settles the one before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from wabot.core.jobs import OPEN, TRANSITIONS, Event, Kind, State, move
from wabot.core.messages import Status
from wabot.journal import copies, indexes

_MERGES_WAIT = "EXISTS (SELECT 1 FROM merges WHERE done_at IS NULL AND contact_id IN (keep, gone))"
_HAS_HEAD = f"EXISTS (SELECT 1 FROM jobs WHERE {indexes.HEAD} AND contact_id = :contact)"
_IS_ANSWERED = f"EXISTS (SELECT 1 FROM jobs WHERE {indexes.ANSWERING} AND contact_id = :contact)"

FORGOTTEN = "The person was forgotten", "forgotten"
"""What stands in jobs, messages and results of batches that were somebody's who was forgotten: words and code."""
SAYS_FORGOTTEN = "error = '{}', error_code = '{}'".format(*FORGOTTEN)


class Moved(NamedTuple):
    """A job that was moved: its state now, its contact now, and whether the contact waits to be merged."""

    state: State
    contact_id: int
    merges_wait: bool


def states_before(event: Event) -> list[State]:
    """The states in which an event can happen."""
    return [state for state, events in TRANSITIONS.items() if event in events]


def apply_event(
    db: sqlite3.Connection,
    job_id: int,
    before: State,
    event: Event,
    now: float,
    *,
    token: int | None = None,
    also: str = "",
    **values: Any,
) -> Moved | None:
    """Move a job by an event, and assign what `also` says, an SQL text with `values` as its parameters.

    None, and nothing is changed, where the job is not in the state `before` or its last claim had another `token`.
    Raises IllegalMove where the event cannot happen in `before`.
    """
    after = move(before, event)
    settled_at = None if after in OPEN else now
    rows = db.execute(
        f"UPDATE jobs SET state = :after, settled_at = :settled_at{also and ', '}{also}"
        " WHERE id = :job AND state = :before AND (:token IS NULL OR token = :token)"
        f" RETURNING contact_id, {_MERGES_WAIT} AS merges_wait",
        {**values, "after": after, "settled_at": settled_at, "job": job_id, "before": before, "token": token},
    ).fetchall()
    return Moved(after, rows[0]["contact_id"], bool(rows[0]["merges_wait"])) if rows else None


def fail_message(db: sqlite3.Connection, job_id: int, error: str | None, code: int | str | None) -> None:
    """The message that a send carried will not arrive."""
    db.execute(
        "UPDATE messages SET status = ?, error = ?, error_code = ?, version = version + 1 WHERE job_id = ?",
        (Status.FAILED, error, code, job_id),
    )


def claim(db: sqlite3.Connection, job_ids: Iterable[int], token: int) -> None:
    """Queued jobs run from now on, each with one more attempt."""
    running = move(State.QUEUED, Event.CLAIM)
    db.executemany(
        "UPDATE jobs SET state = ?, token = ?, attempt = attempt + 1 WHERE id = ? AND state = 'queued'",
        [(running, token, job_id) for job_id in job_ids],
    )


def promote(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    """Make a contact's oldest waiting send the head of its queue, if there is no head."""
    db.execute(
        "UPDATE jobs SET state = :next, due_at = max(due_at, :now) WHERE id = ("
        f" SELECT id FROM jobs WHERE {indexes.WAITING} AND contact_id = :contact ORDER BY id LIMIT 1)"
        f" AND NOT {_HAS_HEAD}",
        {"next": move(State.WAITING, Event.PROMOTE), "now": now, "contact": contact_id},
    )


def promote_reply(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    """Queue the reply that waits for a contact's running one, if none runs any more."""
    db.execute(
        "UPDATE jobs SET state = :next, due_at = max(due_at, :now) WHERE contact_id = :contact"
        f" AND {indexes.WAITING_REPLY} AND NOT {_IS_ANSWERED}",
        {"next": move(State.WAITING, Event.PROMOTE), "now": now, "contact": contact_id},
    )


def demote_heads(db: sqlite3.Connection, contact_ids: tuple[int, int]) -> None:
    """The queued heads of two contacts that become one wait, until one of all is promoted."""
    db.execute(
        f"UPDATE jobs SET state = ? WHERE contact_id IN (?, ?) AND {indexes.QUEUED_HEAD}",
        (move(State.QUEUED, Event.DEMOTE), *contact_ids),
    )


def demote_replies(db: sqlite3.Connection, contact_ids: tuple[int, int]) -> None:
    """The queued replies of two contacts that become one wait for the one that runs."""
    db.execute(
        f"UPDATE jobs SET state = ? WHERE contact_id IN (?, ?) AND {indexes.QUEUED_REPLY}",
        (move(State.QUEUED, Event.DEMOTE), *contact_ids),
    )


def interrupt_replies(db: sqlite3.Connection) -> None:
    """After a restart: what ran is made again."""
    db.execute(
        f"UPDATE jobs SET state = ?, spent = spent + 1 WHERE kind = 'reply' AND {indexes.RUNNING}",
        (move(State.RUNNING, Event.RETRY),),
    )


def interrupt_sends(db: sqlite3.Connection) -> int:
    """After a restart: what ran is in doubt; how many."""
    return db.execute(
        f"UPDATE jobs SET state = ?, spent = spent + 1, doubts = {copies.DOUBTED}"
        f" WHERE kind = 'send' AND {indexes.RUNNING}",
        (move(State.RUNNING, Event.LOSE_TRACK),),
    ).rowcount


def end_restored(db: sqlite3.Connection, kind: Kind, event: Event, why: str, now: float) -> int:
    """In a restored copy: move all open jobs of a kind by an event, in doubt of an attempt unknown to it; how many."""
    return sum(
        db.execute(
            "UPDATE jobs SET state = ?, settled_at = ?, error = ?, error_code = 'restored',"
            " doubts = json_insert(doubts, '$[#]', 0) WHERE kind = ? AND state = ?",
            (move(state, event), now, why, kind, state),
        ).rowcount
        for state in states_before(event)
        if state in OPEN
    )
