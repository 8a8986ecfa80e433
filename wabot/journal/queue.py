"""The outbox as a queue per contact: how a send gets in, and who is next.

Of a contact's open sends only the oldest is claimable; a unique index enforces it. Each stands behind it as WAITING
until `promote`, which follows in the commit that settles the head. That keeps a claim as quick with 500 000 sends
queued for one blocked contact as with none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from wabot.core.jobs import Event, Outgoing, State, move

BULK = 1
"""The priority of bulk sends; a reply, and what comes of one, has 0 and overtakes."""

_HAS_HEAD = (
    "EXISTS (SELECT 1 FROM jobs WHERE contact_id = :contact AND kind = 'send'"
    " AND state IN ('queued', 'running', 'in_doubt'))"
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

    There is one writer, so the ids that come next are known beforehand; ten thousand rows then take two statements.
    """
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    ids = list(range((last[0] if last else 0) + 1, (last[0] if last else 0) + 1 + len(owed)))
    db.executemany(
        "INSERT INTO jobs (id, kind, contact_id, state, priority, due_at, created_at, expires_at, batch_id)"
        f" SELECT :id, 'send', :contact, CASE WHEN {_HAS_HEAD} THEN 'waiting' ELSE 'queued' END,"
        " :priority, :now, :now, :expires, :batch",
        [
            {
                "id": job_id,
                "contact": contact_id,
                "priority": priority,
                "now": now,
                "expires": expires_at,
                "batch": batch_id,
            }
            for job_id, (contact_id, _) in zip(ids, owed, strict=True)
        ],
    )
    written: dict[int, str] = {}  # most of a batch say the same
    for _, outgoing in owed:
        if id(outgoing) not in written:
            written[id(outgoing)] = json.dumps(outgoing.content, ensure_ascii=False)
    db.executemany(
        "INSERT INTO messages (contact_id, direction, origin, timestamp, type, body, raw, person, status, job_id)"
        " SELECT id, 'out', ?, ?, ?, ?, ?, coalesce(wa_id, bsuid, ''), 'queued', ? FROM contacts WHERE id = ?",
        [
            (out.origin, int(now), str(out.content.get("type", "")), out.body, written[id(out)], job_id, contact_id)
            for job_id, (contact_id, out) in zip(ids, owed, strict=True)
        ],
    )
    return ids


def promote(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    """Make a contact's oldest waiting send the head, if there is no head."""
    db.execute(
        "UPDATE jobs SET state = :next, due_at = max(due_at, :now) WHERE id = ("
        " SELECT id FROM jobs WHERE kind = 'send' AND state = 'waiting' AND contact_id = :contact ORDER BY id LIMIT 1)"
        f" AND NOT {_HAS_HEAD}",
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
