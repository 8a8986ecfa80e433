"""How much there is: counts for the metrics, read from partial indexes alone."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from wabot.core.rate_limits import PAIR_LIMIT, PAIR_LIMIT_HIT
from wabot.journal import indexes

NOT_ARRIVED = 1000
"""The most failed sends that are counted: what is shown of more is as good."""

_OPEN = (
    ("reply", "queued", f"kind = 'reply' AND {indexes.READY}"),
    ("send", "queued", f"kind = 'send' AND {indexes.READY}"),
    ("reply", "running", f"kind = 'reply' AND {indexes.RUNNING}"),
    ("send", "running", f"kind = 'send' AND {indexes.RUNNING}"),
    ("send", "waiting", indexes.WAITING),
    ("send", "in_doubt", indexes.DOUBTFUL),
    ("send", "held", indexes.HELD),
)


@dataclass(frozen=True, slots=True)
class Depth:
    """Open jobs of a kind in a state: how many, and when the oldest was made (None if there is none)."""

    kind: str
    state: str
    count: int
    oldest: float | None


def depths(db: sqlite3.Connection) -> list[Depth]:
    """The open jobs by kind and state."""
    found = []
    for kind, state, condition in _OPEN:
        count, first = db.execute(f"SELECT count(*), min(id) FROM jobs WHERE {condition}").fetchone()
        oldest = db.execute("SELECT created_at FROM jobs WHERE id = ?", (first,)).fetchone() if first else None
        found.append(Depth(kind, state, count, oldest[0] if oldest else None))
    return found


def held_by_pair_limit(db: sqlite3.Connection, now: float) -> int:
    """Contacts whose next message waits, since Meta takes no more to one person at present: a queued send is the only
    one of its contact. Codes: ours where we kept the limit, Meta's where Meta named it.
    """
    sql = f"SELECT count(*) FROM jobs WHERE kind = 'send' AND priority IN (0, 1) AND {indexes.READY} AND due_at > ?"
    return int(db.execute(f"{sql} AND error_code IN ('{PAIR_LIMIT}', {PAIR_LIMIT_HIT})", (now,)).fetchone()[0])


def not_arrived(db: sqlite3.Connection, since: float) -> int:
    """Sends that failed or came too late since a time, of the newest of each: NOT_ARRIVED at the most."""
    count = 0
    for state in ("failed", "expired"):
        newest = f"SELECT j.id FROM jobs j WHERE kind = 'send' AND state = '{state}' AND {indexes.ASIDE}"
        sql = (
            f"SELECT count(*) FROM jobs WHERE id IN ({newest} ORDER BY id DESC LIMIT {NOT_ARRIVED}) AND settled_at >= ?"
        )
        count += db.execute(sql, (since,)).fetchone()[0]
    return min(count, NOT_ARRIVED)


def archive_lag(db: sqlite3.Connection) -> int:
    """Messages that the archive does not have as they are."""
    return int(
        db.execute("SELECT count(*) FROM messages INDEXED BY messages_ahead WHERE archived < version").fetchone()[0]
    )
