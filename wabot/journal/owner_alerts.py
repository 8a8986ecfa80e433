"""Alerts to the owner: how often, in which words, whom they name, and that they are forgotten with the person.

The owner gets at most one message in SUMMARY_SECONDS. Whoever needs a person meanwhile is in the next one. About one
contact, the owner is told at most once in ALERT_SECONDS; the exception is that the contact still waits after
`unanswered_seconds`, which is told once for each handoff.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from wabot.core.handoff import BY_REQUEST, IN_WORDS, STILL_WAITS, HandoffRules, Reason
from wabot.core.jobs import Event, State
from wabot.core.json_values import blanked
from wabot.core.messages import Person
from wabot.core.outgoing import Origin, template_message
from wabot.journal import contacts, indexes
from wabot.journal.queue import enqueue
from wabot.journal.transitions import FORGOTTEN, SAYS_FORGOTTEN, apply_event, fail_message, promote

ALERT_SECONDS = 3600.0
"""The least time between two alerts about one contact. That a contact still waits is told without waiting for it."""
SUMMARY_SECONDS = 600.0
"""The least time between two messages to the owner."""
NAMED = 3
"""The contacts that a message names; the others are counted."""
AT_ONCE = 50
"""The contacts that one message is about."""
STEP = 50
"""Messages to the owner that one commit changes."""

LAST_TOLD = "SELECT CAST(value AS REAL) FROM meta WHERE key = 'owner_told_at'"
"""When the owner was told last."""

_NOT_SENT = f"({indexes.WAITING} OR {indexes.QUEUED_HEAD} OR {indexes.HELD})"


def tell(db: sqlite3.Connection, rules: HandoffRules, now: float) -> int:
    """Queue one message for all whose alert is due; how many were queued."""
    last = db.execute(LAST_TOLD).fetchone()
    if not rules.alerts or (last is not None and last[0] <= now < last[0] + SUMMARY_SECONDS):
        return 0
    rows = db.execute(
        "SELECT id AS contact_id, * FROM contacts WHERE alert_due IS NOT NULL AND alert_due <= ? ORDER BY alert_due"
        " LIMIT ?",
        (now, AT_ONCE),
    ).fetchall()
    if not rows:
        return 0
    db.execute("INSERT OR REPLACE INTO meta VALUES ('owner_told_at', ?)", (str(now),))
    db.executemany(
        "UPDATE contacts SET alert_due = NULL, alerted_at = ? WHERE id = ?", [(now, row["contact_id"]) for row in rows]
    )
    named = [(row["contact_id"], _in_words(row)) for row in rows[:NAMED]]
    who, why = _named([words for _, words in named], len(rows)), _reasons(rows)
    parameters = [{"type": "text", "text": text} for text in (who, why)]
    template = {
        "name": rules.alert_template,
        "language": rules.language,
        "components": [{"type": "body", "parameters": parameters}],
    }
    owner = contacts.resolve(db, Person(wa_id=rules.alert_number), now, now)
    note(db, enqueue(db, owner, template_message(template, Origin.SERVICE), now=now), named)
    return 1


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


def _named(named: list[str], people: int) -> str:
    """Who needs a person."""
    return ", ".join(named) + (f" and {people - NAMED} more" if people > NAMED else "")


def _in_words(row: sqlite3.Row) -> str:
    """A contact. Without line breaks, which Meta refuses in parameters."""
    return " ".join(f"{row['name']} {_number(row)}".split())


def _reasons(rows: list[sqlite3.Row]) -> str:
    """Why they need a person."""
    reasons = {STILL_WAITS if _waits(row) else IN_WORDS[Reason(row["attention_reason"])] for row in rows}
    return "; ".join(sorted(reasons))


def _number(row: sqlite3.Row) -> str:
    return f"(+{row['wa_id']})" if row["wa_id"] else f"({row['bsuid'] or ''})"


def _waits(row: sqlite3.Row) -> bool:
    """Whether the owner was told before: a person is to take over, and nobody has."""
    return row["reminded_at"] is not None and row["attention_reason"] in BY_REQUEST
