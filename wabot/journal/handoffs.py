"""A person is asked for, and awaited: the contact is told once, and the owner is told.

The owner gets at most one message in SUMMARY_SECONDS. Whoever needs a person meanwhile is in the next one. About one
contact, the owner is told at most once in ALERT_SECONDS; the exception is that the contact still waits after
`unanswered_seconds`, which is told once for each handoff.
"""

from __future__ import annotations

import math
import sqlite3

from wabot.core.handoff import BY_REQUEST, IN_WORDS, STILL_WAITS, HandoffRules, Reason
from wabot.core.messages import Person, Stop
from wabot.core.outgoing import Origin, template_message, text_message
from wabot.journal import contacts, indexes, owner_alerts, takeover
from wabot.journal.owner_alerts import SUMMARY_SECONDS
from wabot.journal.queue import enqueue

AT_ONCE = 50
NAMED = 3
"""The contacts that a summary names."""

_UNANSWERED = "attention_at IS NOT NULL AND reminded_at IS NULL"
_LAST_ALERT = "SELECT CAST(value AS REAL) FROM meta WHERE key = 'owner_told_at'"


def begin(db: sqlite3.Connection, contact_id: int, rules: HandoffRules, *, now: float, expires_at: float) -> None:
    """A contact asks for a person: the assistant is silent from now on, after the notice."""
    takeover.hand_off(db, contact_id, rules.begin(Reason.ASKED), now)
    if rules.notice:
        enqueue(db, contact_id, text_message(rules.notice, Origin.SERVICE), now=now, expires_at=expires_at)


def staff_wrote(
    db: sqlite3.Connection, contact_id: int, body: str, at: float, *, now: float, rules: HandoffRules
) -> None:
    """A colleague wrote at a time, in the phone app. What we are just sending, and has no wamid yet, is not theirs."""
    ours = (
        f"SELECT 1 FROM jobs j JOIN messages m ON m.job_id = j.id WHERE j.contact_id = ? AND {indexes.HEAD_IN_FLIGHT}"
        " AND m.body = ?"
    )
    if db.execute(ours, (contact_id, body)).fetchone() is None:
        takeover.staff_spoke(db, contact_id, at + rules.resume_seconds, now)


def due_at(db: sqlite3.Connection, rules: HandoffRules) -> float:
    """When a pause ends or `tend` has something to do next: infinite where nobody is awaited."""
    row = db.execute(
        f"SELECT (SELECT min(attention_at) FROM contacts WHERE {_UNANSWERED}) AS asked,"
        " (SELECT min(paused_until) FROM contacts WHERE paused_until IS NOT NULL) AS paused,"
        f" (SELECT min(alert_due) FROM contacts WHERE alert_due IS NOT NULL) AS alert, ({_LAST_ALERT}) AS told"
    ).fetchone()
    times = [math.inf if row["paused"] is None else row["paused"]]
    if row["asked"] is not None and rules.unanswered_seconds:
        times.append(row["asked"] + rules.unanswered_seconds)
    if row["alert"] is not None and rules.alerts:
        times.append(max(row["alert"], (row["told"] or 0.0) + SUMMARY_SECONDS))
    return min(times)


def tend(db: sqlite3.Connection, rules: HandoffRules, now: float) -> int:
    """Tell who waits, and the owner; how many messages were queued."""
    return _tell_who_waits(db, rules, now) + _tell_owner(db, rules, now)


def _tell_who_waits(db: sqlite3.Connection, rules: HandoffRules, now: float) -> int:
    if not rules.unanswered_seconds:
        return 0
    rows = db.execute(
        f"SELECT id AS contact_id, * FROM contacts WHERE {_UNANSWERED} AND attention_at <= ?"
        " ORDER BY attention_at LIMIT ?",
        (now - rules.unanswered_seconds, AT_ONCE),
    ).fetchall()
    told = 0
    for row in rows:
        contact = contacts.of_row(row)
        db.execute(
            "UPDATE contacts SET reminded_at = :now, alert_due = iif(:alerts, :now, NULL) WHERE id = :id",
            {"now": now, "alerts": rules.alerts, "id": contact.id},
        )
        may_be_told = contact.is_paused(now) and contact.window_is_open(now) and contact.stopped is not Stop.ALL
        if rules.unanswered_notice and may_be_told:
            enqueue(db, contact.id, text_message(rules.unanswered_notice, Origin.SERVICE), now=now)
            told += 1
    return told


def _tell_owner(db: sqlite3.Connection, rules: HandoffRules, now: float) -> int:
    """One message for all whose alert is due."""
    last = db.execute(_LAST_ALERT).fetchone()
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
    owner_alerts.note(db, enqueue(db, owner, template_message(template, Origin.SERVICE), now=now), named)
    return 1


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
