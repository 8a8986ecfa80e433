"""A person is asked for, and awaited: the contact is told once, and the owner is told (owner_alerts.py)."""

from __future__ import annotations

import math
import sqlite3

from wabot.core.handoff import HandoffRules, Reason
from wabot.core.messages import Stop
from wabot.core.outgoing import Origin, text_message
from wabot.journal import contacts, indexes, owner_alerts, takeover
from wabot.journal.queue import enqueue

AT_ONCE = 50

_UNANSWERED = "attention_at IS NOT NULL AND reminded_at IS NULL"


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
        " (SELECT min(alert_due) FROM contacts WHERE alert_due IS NOT NULL) AS alert,"
        f" ({owner_alerts.LAST_TOLD}) AS told"
    ).fetchone()
    times = [math.inf if row["paused"] is None else row["paused"]]
    if row["asked"] is not None and rules.unanswered_seconds:
        times.append(row["asked"] + rules.unanswered_seconds)
    if row["alert"] is not None and rules.alerts:
        times.append(max(row["alert"], (row["told"] or 0.0) + owner_alerts.SUMMARY_SECONDS))
    return min(times)


def tend(db: sqlite3.Connection, rules: HandoffRules, now: float) -> int:
    """Tell who waits, and the owner; how many messages were queued."""
    return _tell_who_waits(db, rules, now) + owner_alerts.tell(db, rules, now)


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
