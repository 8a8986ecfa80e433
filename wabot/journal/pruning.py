"""Keeping the journal small: what may be forgotten, in steps that take milliseconds."""

from __future__ import annotations

import sqlite3

from wabot.journal import batches, erasure, event_queue, foreign_webhooks, forgotten, notices

KEY_SECONDS = 7 * 86400.0
"""For so long Meta repeats a webhook, and clients a request: what they would repeat is not forgotten earlier."""


def prune(db: sqlite3.Connection, *, before: float, now: float, limit: int = 100) -> int:
    """Forget some of what is older than the time `before`; how many rows went, 0 when there is nothing left to do.

    Messages are not its business: they go when the archive surely has them, and stay where there is none.
    """
    before = min(before, now - KEY_SECONDS)
    return (
        _prune_batch(db, before)
        + _prune_jobs(db, before, limit)
        + db.execute(
            "DELETE FROM receipts WHERE (wamid, status) IN"
            " (SELECT wamid, status FROM receipts WHERE received_at < ? ORDER BY received_at LIMIT ?)",
            (now - KEY_SECONDS, limit),
        ).rowcount
        + notices.prune(db, limit=limit)
        + foreign_webhooks.prune(db, now=now, limit=limit)
        + forgotten.prune(db, now=now, limit=limit)
        + erasure.prune(db, before=before, limit=limit)
        + event_queue.prune(db, before=before, now=now, limit=limit)
    )


def _prune_batch(db: sqlite3.Connection, before: float) -> int:
    sql = "SELECT id FROM batches WHERE created_at < ? AND coalesce(send_at, 0) < ? ORDER BY created_at LIMIT 1"
    row = db.execute(sql, (before, before)).fetchone()
    if row is None or batches.is_open(db, row["id"]):
        return 0
    return batches.forget(db, row["id"])


def _prune_jobs(db: sqlite3.Connection, before: float, limit: int) -> int:
    """Settled jobs, once their batch is gone. What they carried stays as long as a message does."""
    rows = db.execute(
        "SELECT id FROM jobs WHERE settled_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM batches WHERE batches.id = jobs.batch_id) ORDER BY settled_at LIMIT ?",
        (before, limit),
    ).fetchall()
    db.executemany("DELETE FROM jobs WHERE id = ?", rows)
    return len(rows)
