"""What the owner was told of a person, in the talk with the owner's own number: forgotten with the person."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any, TypeAlias

from wabot.core.outgoing import Origin
from wabot.journal import contacts

STEP = 200
"""Messages to the owner that one commit looks through."""
BLANK = "…"

Place: TypeAlias = tuple[float, int]
START: Place = (0.0, -(1 << 62))


def forget(db: sqlite3.Connection, owner: str, named: re.Pattern[str], after: Place) -> Place | None:
    """Blank who is `named` in some messages to the owner, from a place on; where to go on, None at the end.

    With the first step also in the events about them. The archive stores the messages anew, since they have changed.
    """
    contact = contacts.find(db, owner) if owner else None
    if contact is None:
        return None
    if after == START:
        _forget_in_events(db, contact.id, named)
    rows = db.execute(
        "SELECT id, timestamp, body, raw FROM messages WHERE contact_id = ? AND (timestamp, id) > (?, ?)"
        f" AND +direction = 'out' AND +origin = '{Origin.SERVICE}' ORDER BY timestamp, id LIMIT ?",
        (contact.id, *after, STEP),
    ).fetchall()
    for row in rows:
        if named.search(row["raw"]) or named.search(row["body"]):
            db.execute(
                "UPDATE messages SET body = ?, raw = ?, version = version + 1 WHERE id = ?",
                (_blanked(row["body"], named), _blanked_json(row["raw"], named), row["id"]),
            )
    return (rows[-1]["timestamp"], rows[-1]["id"]) if len(rows) == STEP else None


def _forget_in_events(db: sqlite3.Connection, contact_id: int, named: re.Pattern[str]) -> None:
    """There are few: the owner is told at most once in ten minutes, and events that were told stay for a day."""
    rows = db.execute(
        "SELECT id, body FROM event_bodies WHERE id IN (SELECT body_id FROM events WHERE contact_id = ?)", (contact_id,)
    ).fetchall()
    for row in rows:
        if named.search(row["body"]):
            db.execute("UPDATE event_bodies SET body = ? WHERE id = ?", (_blanked_json(row["body"], named), row["id"]))


def _blanked_json(text: str, named: re.Pattern[str]) -> str:
    return json.dumps(_blanked(json.loads(text), named), ensure_ascii=False)


def _blanked(value: Any, named: re.Pattern[str]) -> Any:
    """A value without the texts that name the person: with the number stands the name."""
    if isinstance(value, str):
        return BLANK if named.search(value) else value
    if isinstance(value, list):
        return [_blanked(item, named) for item in value]
    if isinstance(value, dict):
        return {key: _blanked(item, named) for key, item in value.items()}
    return value
