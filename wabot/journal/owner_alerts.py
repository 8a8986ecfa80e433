"""Alerts to the owner: how often, whom they name, and that they are forgotten with the person."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from wabot.core.jobs import Event, State
from wabot.core.json_values import blanked
from wabot.journal import indexes
from wabot.journal.transitions import FORGOTTEN, SAYS_FORGOTTEN, apply_event, fail_message, promote

ALERT_SECONDS = 3600.0
"""The least time between two alerts about one contact. That a contact still waits is told without waiting for it."""
SUMMARY_SECONDS = 600.0
"""The least time between two messages to the owner."""
STEP = 50
"""Messages to the owner that one commit changes."""

_NOT_SENT = f"({indexes.WAITING} OR {indexes.QUEUED_HEAD} OR {indexes.HELD})"


def note(db: sqlite3.Connection, job_id: int, named: Iterable[tuple[int, str]]) -> None:
    """A message to the owner names contacts: (contact, in which words)."""
    db.executemany("INSERT INTO alerts VALUES (?, ?, ?)", [(contact_id, job_id, words) for contact_id, words in named])


def forget(db: sqlite3.Connection, contact_ids: Sequence[int], now: float) -> list[tuple[int, str]]:
    """Blank some contacts in messages to the owner: (job, in which words); STEP of them if there may be more.

    A message that has not left and names nobody else is cancelled. The archive stores those that are still here anew,
    since they have changed. The others it must blank itself.
    """
    rows = db.execute(
        "SELECT contact_id, job_id, words FROM alerts WHERE contact_id IN (SELECT value FROM json_each(?)) LIMIT ?",
        (json.dumps(contact_ids), STEP),
    ).fetchall()
    for row in rows:
        db.execute("DELETE FROM alerts WHERE contact_id = ? AND job_id = ?", (row["contact_id"], row["job_id"]))
        _blank_message(db, row["job_id"], row["words"])
        if db.execute("SELECT 1 FROM alerts WHERE job_id = ?", (row["job_id"],)).fetchone() is None:
            _cancel(db, row["job_id"], now)
    return [(row["job_id"], row["words"]) for row in rows]


def _blank_message(db: sqlite3.Connection, job_id: int, words: str) -> None:
    row = db.execute("SELECT id, contact_id, body, raw FROM messages WHERE job_id = ?", (job_id,)).fetchone()
    if row is not None:
        db.execute(
            "UPDATE messages SET body = ?, raw = ?, version = version + 1 WHERE id = ?",
            (blanked(row["body"], words), _blanked_json(row["raw"], words), row["id"]),
        )
        _blank_events(db, row["contact_id"], words)


def _blank_events(db: sqlite3.Connection, contact_id: int, words: str) -> None:
    """There are few: the owner is told at most once in ten minutes, and events that were told stay for a day."""
    rows = db.execute(
        "SELECT id, body FROM event_bodies WHERE id IN (SELECT body_id FROM events WHERE contact_id = ?)", (contact_id,)
    ).fetchall()
    for row in rows:
        if (body := _blanked_json(row["body"], words)) != row["body"]:
            db.execute("UPDATE event_bodies SET body = ? WHERE id = ?", (body, row["id"]))


def _blanked_json(text: str, words: str) -> str:
    return json.dumps(blanked(json.loads(text), words), ensure_ascii=False)


def _cancel(db: sqlite3.Connection, job_id: int, now: float) -> None:
    row = db.execute(f"SELECT contact_id, state FROM jobs WHERE id = ? AND {_NOT_SENT}", (job_id,)).fetchone()
    if row is not None:
        apply_event(db, job_id, State(row["state"]), Event.CANCEL, now, also=SAYS_FORGOTTEN)
        fail_message(db, job_id, *FORGOTTEN)
        promote(db, row["contact_id"], now)
