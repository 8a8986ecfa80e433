"""A journal as it is after millions of messages, made with plain SQL: ten million in some minutes.

A tenth as many jobs are remembered, the last ones; the older messages were sent by jobs that are forgotten. People
write in no order, but for one whose conversation has every hundredth message. Most sends arrived; some failed, wait,
are held or in doubt.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import filling
from benchmarks.webhooks import NAME, number
from wabot.journal.journal import FILE_NAME

SQL = Path(__file__).with_suffix(".sql")
SPAN_SECONDS = 90 * 86400.0
"""The time in which all messages were written."""
BATCH = 10_000
"""Recipients of a batch."""
TALKER = 1
"""The id of the contact whose conversation is long."""
OPEN_LATER = 3600.0
"""Seconds after which what is queued is due."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much a large journal holds: everything follows from the number of messages."""

    messages: int

    @property
    def contacts(self) -> int:
        return max(self.messages // 20, 200)

    @property
    def open(self) -> int:
        """Open sends and replies, beside the settled ones."""
        return self.messages // 200

    @property
    def last_job(self) -> int:
        """The id of the last settled job: for four sends there is one reply."""
        return self.messages // 8 * 5

    @property
    def deleted(self) -> int:
        """Messages that were deleted again; and a tenth as many jobs."""
        return self.messages // 4

    @property
    def forgotten(self) -> int:
        """Up to this id of messages, their jobs are forgotten: for a million messages, 80 000 sends are remembered."""
        return self.messages - self.messages * 16 // 100


def make(data: Path, size: Size, now: float) -> None:
    """Make a large journal in the empty directory `data`; `now`: the time of its last message."""
    values = {
        "contacts": size.contacts, "messages": size.messages, "deleted": size.deleted, "forgotten": size.forgotten,
        "recorded": size.messages * 99 // 100, "last_job": size.last_job, "open": size.open,
        "strays": min(size.messages // 1000, 10_000), "talker": TALKER, "batch": BATCH, "base": int(number(0)),
        "name": NAME, "start": int(now - SPAN_SECONDS), "span": SPAN_SECONDS, "step": SPAN_SECONDS / size.messages,
        "now": float(int(now)), "due": now + OPEN_LATER,
    }  # fmt: skip
    with filling(data) as db:
        for statement in SQL.read_text("utf-8").split(";\n"):
            db.execute(statement, values)
    with closing(sqlite3.connect(data / FILE_NAME, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1048576")
        db.execute("DELETE FROM messages WHERE id > ? AND id <= ?", (size.messages, size.messages + size.deleted))
        db.execute("DELETE FROM jobs WHERE token = 0 AND state = 'done'")
        db.execute("PRAGMA journal_mode = WAL")
