"""A contact as the API and events show them."""

from __future__ import annotations

import sqlite3
from typing import Any

from wabot.core.messages import SERVICE_WINDOW_SECONDS
from wabot.journal import contacts, message_documents
from wabot.journal.takeover import UNTIL_RESUMED


def of_identity(db: sqlite3.Connection, identity: str, now: float) -> dict[str, Any] | None:
    """The contact of a number (digits) or BSUID; None if nobody is known by it."""
    contact = contacts.find(db, identity)
    return None if contact is None else of_contact(db, contact.id, now)


def of_contact(db: sqlite3.Connection, contact_id: int, now: float) -> dict[str, Any] | None:
    """A contact by our id; None if it is gone. `window_closes_at`, `until` and `since` are Unix seconds."""
    row = db.execute("SELECT * FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    if row is None:
        return None
    closes_at = row["last_inbound_at"] and row["last_inbound_at"] + SERVICE_WINDOW_SECONDS
    attention = {"since": row["attention_at"], "reason": row["attention_reason"]}
    return {
        "number": row["wa_id"],
        "bsuid": row["bsuid"],
        "name": row["name"],
        "assistant": _assistant(row, now),
        "window_closes_at": closes_at if closes_at and closes_at > now else None,
        "stopped": row["stopped"],
        "attention": attention if row["attention_at"] is not None else None,
        "last_message": message_documents.newest(db, contact_id),
    }


def _assistant(row: sqlite3.Row, now: float) -> dict[str, Any]:
    until = row["paused_until"]
    if until is None or until <= now:
        return {"state": "on", "until": None, "reason": None}
    return {"state": "paused", "until": until if until < UNTIL_RESUMED else None, "reason": row["paused_reason"]}
