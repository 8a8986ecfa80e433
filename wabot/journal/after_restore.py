"""A restored copy of the journal: how it is recognised, and how it does nothing twice.

A copy does not know what happened after it was made: which of its sends left since, and which ids were used. `backup`
marks its copies. A copy that was made by hand is recognised by the pulse, a counter in the journal and in a file beside
it that grows with every start, every minute and every stop: the file's is ahead of an older journal's.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wabot.core.jobs import Event, Kind
from wabot.core.json_values import dict_of
from wabot.journal import transitions
from wabot.private_file import write_private

SUFFIX = ".pulse"
"""Of the file beside the journal: `{"journal": name, "pulse": n}`."""

APART = 1_000_000_000
PER_SECOND = 1_000_000
LATEST = 4_000_000_000
"""New ids start far above any that can have been used since the copy was made: at a million for every second of Unix
time, so that the ids of two copies restored one after the other differ too. They stay below 2**53, where JavaScript's
integers end."""

_NEVER_TWICE = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    " AND sql LIKE '%AUTOINCREMENT%'"
)
"""The tables whose ids must not come back. SQLite's own, where it counts them, is none of these."""

SAID_SINCE = "Put back from a copy: it may have been sent since the copy was made"
ANSWERED_SINCE = "Put back from a copy: it may have been answered since the copy was made"


@dataclass(frozen=True, slots=True)
class Held:
    """How many open sends of a copy wait for a person now, and how many replies were ended."""

    sends: int
    replies: int


def mark(db: sqlite3.Connection) -> None:
    """Mark this journal as a copy, for the next start."""
    db.execute("INSERT OR REPLACE INTO meta VALUES ('copied', 'yes')")


def beat(db: sqlite3.Connection) -> str:
    """Increment the pulse; the text for the file, to be written once this is committed."""
    db.execute("INSERT INTO meta VALUES ('pulse', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1")
    facts = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('journal', 'pulse')").fetchall())
    return json.dumps({"journal": facts["journal"], "pulse": int(facts["pulse"])})


def keep_beat(_db: sqlite3.Connection, journal: Path, beaten: str) -> None:
    """Write the file beside the journal, whole or not at all. Without it only older copies are not recognised."""
    file = journal.with_name(journal.name + SUFFIX)
    with suppress(OSError):
        write_private(file, beaten.encode())


def mark_if_older(db: sqlite3.Connection, journal: Path) -> None:
    """Mark the journal as a copy where the file beside it is of a later time of the same journal."""
    try:
        kept = dict_of(json.loads(journal.with_name(journal.name + SUFFIX).read_text("utf-8")))
    except (OSError, ValueError):
        return
    facts = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('journal', 'pulse')").fetchall())
    pulse = kept.get("pulse")
    if kept.get("journal") == facts["journal"] and isinstance(pulse, int) and pulse > int(facts.get("pulse", "0")):
        db.execute("BEGIN IMMEDIATE")
        mark(db)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('pulse', ?)", (str(pulse),))
        db.execute("COMMIT")


def hold(db: sqlite3.Connection, now: float) -> Held | None:
    """In a copy that starts, hold what was open for a person and go on with ids of its own; None in any other journal.

    Nothing is sent twice: a reply that was due when the copy was made was sent since, or is too late by now.
    """
    if db.execute("SELECT 1 FROM meta WHERE key = 'copied'").fetchone() is None:
        return None
    start = int(min(now, LATEST)) * PER_SECOND
    for (table,) in db.execute(_NEVER_TWICE).fetchall():
        last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        ahead = max(start, (last[0] if last else 0) + APART)
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, ahead))
    held = Held(
        transitions.end_restored(db, Kind.SEND, Event.PARK, SAID_SINCE, now),
        transitions.end_restored(db, Kind.REPLY, Event.EXPIRE, ANSWERED_SINCE, now),
    )
    _hold_batches(db)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('restored', ?)", (str(now),))
    db.execute("DELETE FROM meta WHERE key = 'copied'")
    return held


def restored_at(db: sqlite3.Connection) -> float:
    """When this journal was put back from a copy for the last time; what came before may have been answered since."""
    row = db.execute("SELECT value FROM meta WHERE key = 'restored'").fetchone()
    return float(row[0]) if row else 0.0


def _hold_batches(db: sqlite3.Connection) -> None:
    """What of a batch was not queued yet may have been queued, and sent, since the copy was made."""
    unfinished = "SELECT id FROM batches WHERE next_position >= 0 AND next_position IS NOT NULL"
    for row in db.execute(unfinished).fetchall():
        db.execute(
            "UPDATE recipients SET content_id = NULL, error = ?, error_code = 'restored'"
            " WHERE batch_id = ? AND content_id IS NOT NULL",
            (SAID_SINCE, row["id"]),
        )
        db.execute("UPDATE batches SET next_position = NULL WHERE id = ?", (row["id"],))
