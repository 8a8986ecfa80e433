"""Contacts that wait for a person, while the assistant goes on. (takeover.py: a person answers instead of it.)"""

from __future__ import annotations

import sqlite3

from wabot.journal import opt_outs


def ask_attention(db: sqlite3.Connection, contact_id: int, reason: str, now: float) -> None:
    """A person is needed; the assistant goes on."""
    for one in opt_outs.everyone(db, contact_id):
        db.execute(
            "UPDATE contacts SET attention_at = coalesce(attention_at, ?), attention_reason = ? WHERE id = ?",
            (now, reason, one),
        )
