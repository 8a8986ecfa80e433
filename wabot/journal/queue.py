"""The outbox as a queue per contact: how a send gets in, and who is next.

Of a contact's open sends only the oldest is claimable; a unique index enforces it. Each stands behind it as WAITING
until `promote`, which follows in the commit that settles the head. That keeps a claim as quick with 500 000 sends
queued for one blocked contact as with none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from wabot.core.jobs import Event, Outgoing, State, move

BULK = 1
"""The priority of bulk sends; a reply, and what comes of one, has 0 and overtakes."""

_HEAD = "SELECT 1 FROM jobs WHERE kind = 'send' AND state IN ('queued', 'running', 'in_doubt') AND contact_id ="

_OWE = (
    "INSERT INTO jobs (id, kind, contact_id, state, priority, due_at, created_at, expires_at, batch_id)"
    f" SELECT :first + key, 'send', value, CASE WHEN EXISTS ({_HEAD} value) THEN 'waiting' ELSE 'queued' END,"
    " :priority, :now, :now, :expires, :batch FROM json_each(:contacts)"
)
_SAY = (
    "INSERT INTO messages (contact_id, direction, origin, timestamp, type, body, raw, person, status, job_id)"
    " SELECT c.id, 'out', :origin, :said_at, :type, :body, :raw, coalesce(c.wa_id, c.bsuid, ''), 'queued',"
    " :first + n.key FROM json_each(:contacts) n JOIN contacts c ON c.id = n.value"
)

NEXT = move(State.WAITING, Event.PROMOTE)


def enqueue(
    db: sqlite3.Connection, contact_id: int, outgoing: Outgoing, *, now: float, expires_at: float | None = None
) -> int:
    """Owe `outgoing` to a contact, last in line. Returns the job's id."""
    return enqueue_all(db, [(contact_id, outgoing)], now=now, expires_at=expires_at)[0]


def enqueue_all(
    db: sqlite3.Connection,
    owed: Sequence[tuple[int, Outgoing]],
    *,
    now: float,
    priority: int = 0,
    expires_at: float | None = None,
    batch_id: str | None = None,
) -> list[int]:
    """Owe each contact id its message: the send, and the message that it carries. Returns the jobs' ids, in order.

    There is one writer, so the ids that come next are known beforehand, and what many get alike takes two statements.
    """
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    next_id, places = (last[0] if last else 0) + 1, [0] * len(owed)
    for outgoing, group in _alike(owed):
        values = {
            "first": next_id,
            "contacts": json.dumps([owed[place][0] for place in group]),
            "now": now,
            "priority": priority,
            "expires": expires_at,
            "batch": batch_id,
            "origin": outgoing.origin,
            "said_at": int(now),
            "type": str(outgoing.content.get("type", "")),
            "body": outgoing.body,
            "raw": json.dumps(outgoing.content, ensure_ascii=False),
        }
        db.execute(_OWE, values)
        db.execute(_SAY, values)
        for offset, place in enumerate(group):
            places[place] = next_id + offset
        next_id += len(group)
    return places


def _alike(owed: Sequence[tuple[int, Outgoing]]) -> Iterable[tuple[Outgoing, list[int]]]:
    """The places in `owed` that one statement can serve: the same message, and no contact twice."""
    groups: dict[tuple[int, int], tuple[Outgoing, list[int]]] = {}
    times: dict[tuple[int, int], int] = {}
    for place, (contact_id, outgoing) in enumerate(owed):
        nth = times[contact_id, id(outgoing)] = times.get((contact_id, id(outgoing)), 0) + 1
        groups.setdefault((id(outgoing), nth), (outgoing, []))[1].append(place)
    return groups.values()


def promote(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    """Make a contact's oldest waiting send the head, if there is no head."""
    db.execute(
        "UPDATE jobs SET state = :next, due_at = max(due_at, :now) WHERE id = ("
        " SELECT id FROM jobs WHERE kind = 'send' AND state = 'waiting' AND contact_id = :contact ORDER BY id LIMIT 1)"
        f" AND NOT EXISTS ({_HEAD} :contact)",
        {"next": NEXT, "now": now, "contact": contact_id},
    )


def promote_reply(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    """The reply that new bubbles made while another ran is next, once that one has ended."""
    db.execute(
        "UPDATE jobs SET state = ?, due_at = max(due_at, ?) WHERE contact_id = ? AND kind = 'reply'"
        " AND state IN ('queued', 'waiting') AND state = 'waiting'"
        " AND NOT EXISTS (SELECT 1 FROM jobs WHERE contact_id = ? AND kind = 'reply' AND state = 'running')",
        (NEXT, now, contact_id, contact_id),
    )
