"""A message as `/get`, events and the archive have it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from wabot.core.json_values import stored
from wabot.core.messages import Direction

MESSAGE = (
    "SELECT m.*, coalesce(t.raw, m.raw) AS content, c.wa_id, c.bsuid,"
    " (SELECT value FROM meta WHERE key = 'journal') AS journal,"
    " (SELECT value FROM meta WHERE key = 'business') AS ours"
    " FROM messages m JOIN contacts c ON c.id = m.contact_id LEFT JOIN contents t ON t.id = m.content_id"
)


def newest(db: sqlite3.Connection, contact_id: int) -> dict[str, Any] | None:
    """The newest message with a contact, as `/get` has it; None if there is none."""
    row = db.execute(
        f"{MESSAGE} WHERE m.contact_id = ? AND coalesce(m.wamid, m.shared_wamid) IS NOT NULL"
        " ORDER BY m.timestamp DESC, m.id DESC LIMIT 1",
        (contact_id,),
    ).fetchone()
    return None if row is None else shown(document(row, row["content"]))


_INSIDE = ("_id", "version")


def shown(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with its content as text, as `/get` shows it."""
    return {key: value for key, value in message.items() if key not in _INSIDE} | {"raw": stored(message["raw"], {})}


def document(row: sqlite3.Row, raw: Any) -> dict[str, Any]:
    """A message in the shape that `/get` answers with and the archive keeps; `_id` is our own key.

    `version` distinguishes the archive's copy from an earlier one; `raw` is its content, read or as text.
    """
    out = row["direction"] == Direction.OUT
    business = row["business"] or row["ours"]
    sender, receiver = (business, row["person"]) if out else (row["person"], business)
    outbox_id = f"{row['journal']}-{row['job_id']}" if row["job_id"] is not None else None
    wamid = row["wamid"] or row["shared_wamid"]
    people = {row["person"], business, row["wa_id"], row["bsuid"]}
    return {
        "_id": outbox_id or wamid,
        "id": wamid,
        "from": sender,
        "to": receiver,
        "timestamp": str(int(row["timestamp"])),
        "type": row["type"],
        "body": row["body"],
        "raw": raw,
        "participant_numbers": sorted(filter(None, people)),
        "direction": row["direction"],
        "origin": row["origin"],
        "contact": f"{row['journal']}-{row['contact_id']}",
        "status": row["status"],
        "status_times": stored(row["status_times"], {}),
        "outbox_id": outbox_id,
        "pricing": stored(row["pricing"], None) if row["pricing"] else None,
        "error": row["error"],
        "error_code": row["error_code"],
        "version": row["version"],
    }
