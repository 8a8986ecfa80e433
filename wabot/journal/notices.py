"""Notices: what Meta says that wabot can do nothing with, and webhooks that could not be read, kept for people."""

from __future__ import annotations

import hashlib
import re
import sqlite3

from wabot.core.messages import Notice

KEPT = 10_000
"""The newest notices that pruning leaves."""
LONGEST = 65_536
"""Characters of a notice that are stored: enough to read it, too few to fill a disk."""


def store(db: sqlite3.Connection, notice: Notice, now: float) -> None:
    """Store a notice, or count it if it is stored already: Meta repeats what got no 200, and some news without end."""
    digest = hashlib.sha256("\0".join((notice.field, notice.reason, notice.raw)).encode()).digest()
    again = db.execute(
        "UPDATE notices SET received_at = ?, times = times + 1 WHERE hash = ? AND hash IS NOT NULL", (now, digest)
    )
    if not again.rowcount:
        db.execute(
            "INSERT INTO notices (received_at, field, reason, raw, hash) VALUES (?, ?, ?, ?, ?)",
            (now, notice.field, notice.reason, notice.raw[:LONGEST], digest),
        )


def forget(db: sqlite3.Connection, named: re.Pattern[str], after: int, limit: int) -> int:
    """Delete those that name a person, of the next with ids above `after`; the last id looked at."""
    for row in db.execute("SELECT id, raw FROM notices WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall():
        after = row["id"]
        if named.search(row["raw"]):
            db.execute("DELETE FROM notices WHERE id = ?", (row["id"],))
    return after


def prune(db: sqlite3.Connection, *, limit: int) -> int:
    """Delete some of the oldest beyond KEPT; how many."""
    return db.execute(
        "DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE id <= (SELECT max(id) FROM notices) - ?"
        " ORDER BY id LIMIT ?)",
        (KEPT, limit),
    ).rowcount
