"""What was said: for the model, for `/get`, and for the archive."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wabot.core.conversation import Said
from wabot.core.jobs import Origin
from wabot.core.messages import Contact, Direction, Status
from wabot.core.shapes import stored
from wabot.journal import contacts

_MESSAGE = (
    "SELECT m.*, c.wa_id, c.bsuid, (SELECT value FROM meta WHERE key = 'journal') AS journal,"
    " (SELECT value FROM meta WHERE key = 'business') AS ours"
    " FROM messages m JOIN contacts c ON c.id = m.contact_id"
)

_AFTER_ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation as a reply needs it, oldest first. `earlier`: something was said before what is being answered.

    `searched`: the archive was asked for it.
    """

    said: Sequence[Said]
    earlier: bool
    searched: bool


def talk(db: sqlite3.Connection, contact_id: int, since: int, upto: int, limit: int) -> Talk:
    """The last `limit` messages up to `upto`, and all from `since` on: these are being answered."""
    searched = db.execute("SELECT searched FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    not_failed = "NOT (direction = 'out' AND status = 'failed')"
    earlier = db.execute(
        f"SELECT 1 FROM messages WHERE contact_id = ? AND id < ? AND {not_failed} LIMIT 1", (contact_id, since)
    ).fetchone()
    rows = db.execute(
        f"SELECT id, direction, body, origin FROM (SELECT * FROM messages WHERE contact_id = :contact AND id <= :upto"
        f" AND {not_failed} ORDER BY timestamp DESC, id DESC LIMIT :limit) UNION"
        " SELECT id, direction, body, origin FROM messages WHERE contact_id = :contact AND id BETWEEN :since AND :upto"
        " ORDER BY id",
        {"contact": contact_id, "since": since, "upto": upto, "limit": limit},
    ).fetchall()
    said = [
        Said(Origin(row["origin"]), row["body"], asked=row["direction"] == "in" and row["id"] >= since) for row in rows
    ]
    return Talk(said, earlier is not None, bool(searched and searched[0]))


def of_contact(
    db: sqlite3.Connection, identity: str, limit: int, include: Sequence[str]
) -> tuple[Contact | None, list[dict[str, Any]]]:
    """A contact by number or BSUID, and their messages as documents, newest first; `limit` 0 = all.

    Messages that were received or that Meta accepted, and of the others those whose status is in `include`.
    """
    contact = contacts.find(db, identity)
    if contact is None:
        return None, []
    rows = db.execute(
        f"{_MESSAGE} WHERE m.contact_id = ? AND (m.wamid IS NOT NULL OR m.status IN (SELECT value FROM json_each(?)))"
        " ORDER BY m.timestamp DESC, m.id DESC LIMIT ?",
        (contact.id, json.dumps(list(include)), limit or -1),
    ).fetchall()
    return contact, [document(row) for row in rows]


def ahead_of_archive(db: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, int, dict[str, Any]]]:
    """Messages with an id above `after` that the archive does not have as they are: (id, version, document)."""
    rows = db.execute(
        f"{_MESSAGE} WHERE m.id IN (SELECT id FROM messages INDEXED BY messages_ahead WHERE archived < version"
        " AND id > ? ORDER BY id LIMIT ?) ORDER BY m.id",
        (after, limit),
    ).fetchall()
    return [(row["id"], row["version"], document(row)) for row in rows]


def mark_archived(db: sqlite3.Connection, versions: Iterable[tuple[int, int]]) -> None:
    """The archive has these messages: (id, version)."""
    db.executemany("UPDATE messages SET archived = ? WHERE id = ? AND archived < ?", [(v, i, v) for i, v in versions])


def lately_archived(db: sqlite3.Connection, limit: int) -> list[str]:
    """The keys of the `limit` last messages that the archive took, as it has them.

    Recording goes by id, so they stand before the first message that was never recorded.
    """
    first_new = db.execute(
        "SELECT id FROM messages INDEXED BY messages_ahead WHERE archived < version AND id > 0 AND archived = 0"
        " ORDER BY id LIMIT 1"
    ).fetchone()
    rows = db.execute(
        f"{_MESSAGE} WHERE m.id IN (SELECT id FROM messages WHERE id > 0 AND id < ? AND archived > 0"
        " ORDER BY id DESC LIMIT ?)",
        (first_new[0] if first_new else _AFTER_ALL, limit),
    ).fetchall()
    return [document(row)["_id"] for row in rows]


def forget_archived(db: sqlite3.Connection, before: int | None, limit: int) -> int | None:
    """The archive lacks our messages after all: the `limit` newest with an id below `before` are ahead of it again.

    Returns the `before` of the next step, None when there is none. Newest first: a crash between two steps leaves
    those that were recorded last to be missed again. What was brought back from an archive stays as it is.
    """
    before = _AFTER_ALL if before is None else before
    lowest: int | None = db.execute(
        "SELECT min(id) FROM (SELECT id FROM messages WHERE id > 0 AND id < ? ORDER BY id DESC LIMIT ?)",
        (before, limit),
    ).fetchone()[0]
    if lowest is not None:
        db.execute("UPDATE messages SET archived = 0 WHERE id >= ? AND id < ? AND archived > 0", (lowest, before))
    return lowest


def adopt(db: sqlite3.Connection, contact_id: int, documents: Sequence[dict[str, Any]]) -> None:
    """Bring back what the archive knows of a contact that this journal has never seen, newest first; ids below 1."""
    db.execute("UPDATE contacts SET searched = 1 WHERE id = ?", (contact_id,))
    for doc in documents:
        db.execute(
            "INSERT OR IGNORE INTO messages (id, contact_id, direction, origin, wamid, timestamp, type, body, raw,"
            " person, business, status, archived) VALUES ((SELECT min(0, coalesce(min(id), 0)) - 1 FROM messages),"
            " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (
                contact_id,
                doc["direction"],
                doc["origin"],
                doc["id"],
                float(doc["timestamp"]),
                doc["type"],
                doc["body"],
                json.dumps(doc["raw"], ensure_ascii=False),
                doc["from"] if doc["direction"] == Direction.IN else doc["to"],
                "",
                Status.RECEIVED if doc["direction"] == Direction.IN else Status.SENT,
            ),
        )


def document(row: sqlite3.Row) -> dict[str, Any]:
    """A message in the shape that `/get` answers with and the archive keeps; `_id` is our own key."""
    out = row["direction"] == Direction.OUT
    business = row["business"] or row["ours"]
    sender, receiver = (business, row["person"]) if out else (row["person"], business)
    outbox_id = f"{row['journal']}-{row['job_id']}" if row["job_id"] is not None else None
    people = {row["person"], business, row["wa_id"], row["bsuid"]}
    return {
        "_id": outbox_id or row["wamid"],
        "id": row["wamid"],
        "from": sender,
        "to": receiver,
        "timestamp": str(int(row["timestamp"])),
        "type": row["type"],
        "body": row["body"],
        "raw": stored(row["raw"], row["raw"]),
        "participant_numbers": sorted(filter(None, people)),
        "direction": row["direction"],
        "origin": row["origin"],
        "contact": f"{row['journal']}-{row['contact_id']}",
        "status": row["status"],
        "status_times": stored(row["status_times"], {}),
        "outbox_id": outbox_id,
        "error": row["error"],
        "error_code": row["error_code"],
    }
