"""What was said: for the model, for `/get`, and for the archive."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wabot.core.conversation import Said
from wabot.core.jobs import Origin
from wabot.core.messages import Contact, Direction
from wabot.core.shapes import stored
from wabot.journal import contacts

MESSAGE = (
    "SELECT m.*, c.wa_id, c.bsuid, (SELECT value FROM meta WHERE key = 'journal') AS journal,"
    " (SELECT value FROM meta WHERE key = 'business') AS ours"
    " FROM messages m JOIN contacts c ON c.id = m.contact_id"
)

_AFTER_ALL = 1 << 62
PAGE = 500
"""Messages that are read before others may read."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation as a reply needs it, oldest first. `earlier`: something was said before what is being answered.

    `searched`: the archive was asked for it.
    """

    said: Sequence[Said]
    earlier: bool
    searched: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A contact, and some of their messages as documents; `before`: where the next page starts, None at the end.

    `size`: characters of what was said.
    """

    contact: Contact | None
    messages: Sequence[dict[str, Any]] = ()
    before: tuple[float, int] | None = None
    size: int = 0


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
    db: sqlite3.Connection, identity: str, limit: int, include: Sequence[str], before: tuple[float, int] | None = None
) -> Page:
    """A contact by number or BSUID, and at most `limit` of their messages, newest first, from those before `before`.

    Messages that were received or that Meta accepted, and of the others those whose status is in `include`.
    """
    contact = contacts.find(db, identity)
    if contact is None:
        return Page(None)
    rows = db.execute(
        f"{MESSAGE} WHERE m.contact_id = ? AND (m.timestamp, m.id) < (?, ?)"
        " AND (m.wamid IS NOT NULL OR m.status IN (SELECT value FROM json_each(?)))"
        " ORDER BY m.timestamp DESC, m.id DESC LIMIT ?",
        (contact.id, *(before or (_AFTER_ALL, _AFTER_ALL)), json.dumps(list(include)), limit),
    ).fetchall()
    last = (rows[-1]["timestamp"], rows[-1]["id"]) if len(rows) == limit else None
    return Page(contact, [document(row) for row in rows], last, sum(len(row["raw"]) + len(row["body"]) for row in rows))


def document(row: sqlite3.Row) -> dict[str, Any]:
    """A message in the shape that `/get` answers with and the archive keeps; `_id` is our own key.

    `version` tells the archive's copy of it from an earlier one.
    """
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
        "version": row["version"],
    }
