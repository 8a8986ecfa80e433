"""What happens by time alone: doubts end, held sends are released, and jobs expire."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from wabot.core.after_failure import after_hold
from wabot.core.handoff import HandoffRules
from wabot.core.jobs import OF_CONTACTS, Event, Policy, State, move
from wabot.journal import handoffs, indexes, merging, takeover
from wabot.journal.batches import UNFINISHED
from wabot.journal.queue import BULK, HELD_MAX_SECONDS, bound_waits
from wabot.journal.transitions import apply_event, fail_message, promote

WAIT_MAX_SECONDS = 3600.0
"""Nothing is queued for later than that, unless a back-off may be longer: then the clock was set back meanwhile."""

AT_ONCE = 50
"""Jobs of each sort that one step moves: some milliseconds."""

NOBODY_IS_ASKED = HandoffRules()

TOO_LATE = "Too late to be of use"

_DUE = "due_at = :due_at"


@dataclass(frozen=True, slots=True)
class Tended:
    """What happened by time alone: doubts that ended, how many sends were released, how many jobs expired.

    `pulled`: jobs that would have waited too long, because the clock was set back. `merged`: contacts that waited to be
    merged. `told`: messages to who waits for a person, and to the owner. `resumed`: contacts whose assistant goes on.
    `more`: it was as much as one step does.
    """

    doubts: list[tuple[int, State]]
    released: int
    expired: int
    pulled: int = 0
    merged: int = 0
    told: int = 0
    resumed: int = 0
    more: bool = False

    def __bool__(self) -> bool:
        moved = self.released or self.expired or self.pulled or self.merged
        return bool(self.doubts or moved or self.told or self.resumed)


_MAX_READY = " UNION ALL ".join(
    f"SELECT max(due_at) AS at FROM jobs WHERE kind = '{kind}' AND priority = {priority} AND {indexes.READY}"
    for kind in OF_CONTACTS
    for priority in (0, BULK)
)
_TIMES = (
    f"SELECT (SELECT min(due_at) FROM jobs WHERE {indexes.DOUBTFUL}) AS doubt_ends,"
    f" (SELECT max(due_at) FROM jobs WHERE {indexes.DOUBTFUL}) AS last_doubt_ends,"
    f" (SELECT min(due_at) FROM jobs WHERE {indexes.HELD}) AS released,"
    f" (SELECT max(due_at) FROM jobs WHERE {indexes.HELD}) AS last_released,"
    f" (SELECT min(expires_at) FROM jobs WHERE {indexes.PERISHABLE}) AS expires,"
    f" (SELECT min(expires_at) FROM (SELECT expires_at FROM jobs WHERE kind = 'reply' AND {indexes.READY}"
    f" AND priority = 0 AND due_at <= :now ORDER BY due_at, id LIMIT {AT_ONCE})) AS reply_expires,"
    f" (SELECT max(at) FROM ({_MAX_READY})) AS last_due,"
    " EXISTS (SELECT 1 FROM merges WHERE done_at IS NULL)"
    f" OR EXISTS (SELECT 1 FROM batches WHERE {UNFINISHED}) AS unfinished,"
    " (SELECT min(send_at) FROM batches WHERE next_position IS NOT NULL AND send_at > :now) AS scheduled"
)


def tend_at(db: sqlite3.Connection, *, policy: Policy, now: float, handoff: HandoffRules = NOBODY_IS_ASKED) -> float:
    """When `tend` has something to do next: infinite where nothing waits.

    At once where a contact waits to be merged or a batch to be finished, or where something would wait for longer than
    intended, because the clock was set back.
    """
    found = db.execute(_TIMES, {"now": now}).fetchone()
    latest = (
        (found["last_due"], longest_wait(policy)),
        (found["last_doubt_ends"], policy.hold_seconds),
        (found["last_released"], HELD_MAX_SECONDS),
    )
    if found["unfinished"] or any(at is not None and at > now + longest for at, longest in latest):
        return now
    last_due = found["last_due"] if (found["last_due"] or 0) > now else None  # its turn; then its expiry counts
    known = ("doubt_ends", "released", "expires", "reply_expires", "scheduled")
    due = (last_due, handoffs.due_at(db, handoff), *(found[name] for name in known))
    return min((at for at in due if at is not None), default=math.inf)


def longest_wait(policy: Policy) -> float:
    """Nothing is queued for later than in so many seconds: what is, was queued before the clock was set back."""
    return max(WAIT_MAX_SECONDS, policy.backoff_max_seconds)


def tend(db: sqlite3.Connection, *, policy: Policy, now: float, handoff: HandoffRules = NOBODY_IS_ASKED) -> Tended:
    """Do what is due by the clock alone."""
    pulled = bound_waits(db, now=now, policy=policy, longest=longest_wait(policy))
    doubts, released = end_doubts(db, policy=policy, now=now), release_held(db, now=now)
    expired = expire(db, now=now), expire_replies(db, now=now)
    told = handoffs.tend(db, handoff, now)  # before pauses end: who waits is told while the assistant is silent
    resumed = takeover.end_pauses(db, now)
    merged = merging.finish(db, now)  # last: what ended above may have been in the way
    more = AT_ONCE in (len(doubts), released, *expired) or resumed == takeover.AT_ONCE
    return Tended(doubts, released, sum(expired), pulled, merged, told, resumed, more)


def end_doubts(db: sqlite3.Connection, *, policy: Policy, now: float, limit: int = AT_ONCE) -> list[tuple[int, State]]:
    """The sends whose hold is over, no receipt having come: resent, parked or given up."""
    rows = db.execute(
        f"SELECT id, contact_id, spent FROM jobs WHERE {indexes.DOUBTFUL} AND due_at <= ? ORDER BY due_at LIMIT ?",
        (now, limit),
    ).fetchall()
    ended = []
    for row in rows:
        outcome = after_hold(spent=row["spent"], policy=policy, now=now)
        state = move(State.IN_DOUBT, outcome.event)
        apply_event(db, row["id"], State.IN_DOUBT, outcome.event, now, also=_DUE, due_at=outcome.due_at or now)
        if state is State.FAILED:
            fail_message(db, row["id"], "Nobody can say whether Meta has it", "in_doubt")
        promote(db, row["contact_id"], now)
        ended.append((row["id"], state))
    return ended


def release_held(db: sqlite3.Connection, *, now: float, limit: int = AT_ONCE) -> int:
    """Let sends back into their queues whose long wait is over; how many."""
    rows = db.execute(
        f"SELECT id, contact_id FROM jobs WHERE {indexes.HELD} AND due_at <= ? ORDER BY due_at LIMIT ?",
        (now, limit),
    ).fetchall()
    for row in rows:
        apply_event(db, row["id"], State.HELD, Event.RELEASE, now, also=_DUE, due_at=now)
    for contact_id in {row["contact_id"] for row in rows}:  # when all are back, so that the oldest is the first
        promote(db, contact_id, now)
    return len(rows)


def expire(db: sqlite3.Connection, *, now: float, limit: int = AT_ONCE) -> int:
    """End the sends that have waited beyond their time; how many."""
    rows = db.execute(
        f"SELECT id, contact_id, state FROM jobs WHERE expires_at <= ? AND {indexes.PERISHABLE}"
        " ORDER BY expires_at LIMIT ?",
        (now, limit),
    ).fetchall()
    for row in rows:
        _end_too_late(db, row, now)
        fail_message(db, row["id"], TOO_LATE, "expired")
    for contact_id in {row["contact_id"] for row in rows}:  # now that all are expired
        promote(db, contact_id, now)
    return len(rows)


def expire_replies(db: sqlite3.Connection, *, now: float, limit: int = AT_ONCE) -> int:
    """End the replies that have waited beyond their time, of those whose turn is next; how many.

    Behind others they expire later, at their turn or when they are claimed: an index of when every reply expires would
    cost each message two writes.
    """
    rows = db.execute(
        f"SELECT id, state FROM (SELECT id, state, expires_at FROM jobs WHERE kind = 'reply' AND {indexes.READY}"
        " AND priority = 0 AND due_at <= ? ORDER BY due_at, id LIMIT ?) WHERE expires_at <= ?",
        (now, limit, now),
    ).fetchall()
    for row in rows:
        _end_too_late(db, row, now)
    return len(rows)


def _end_too_late(db: sqlite3.Connection, row: sqlite3.Row, now: float) -> None:
    also = f"{_DUE}, error = :error"
    apply_event(db, row["id"], State(row["state"]), Event.EXPIRE, now, also=also, due_at=now, error=TOO_LATE)
