"""Templates that Meta paused or does not know: which, until when, and whether their sends wait or are declined."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from wabot.core.errors import Effect
from wabot.core.jobs import Event, Outcome, Outgoing, Pause
from wabot.core.messages import TemplateNews

ALL = "*"
REVIEW_SECONDS = 6 * 3600.0
"""How long a template rests that Meta paused by news alone: the longer of Meta's two pauses."""

_GOOD_NEWS = frozenset({"APPROVED", "REINSTATED", "UNPAUSED"})
_BAD_NEWS = frozenset({"PAUSED", "DISABLED"})


def pause(db: sqlite3.Connection, job_id: int, outcome: Outcome, now: float) -> None:
    """Remember that the template that a send uses (or every template) does not get through for a while."""
    name: str | None = ALL
    if outcome.effect is Effect.PAUSE_TEMPLATE:
        row = db.execute(
            "SELECT iif(json_valid(raw), json_extract(raw, '$.template.name'), NULL) FROM messages WHERE job_id = ?",
            (job_id,),
        ).fetchone()
        name = row[0] if row else None
    if name is not None:
        refuse = outcome.event is Event.GIVE_UP
        _remember(db, name, Pause(now + outcome.effect_seconds, refuse, outcome.error or "", outcome.code))


def heed(db: sqlite3.Connection, news: TemplateNews, now: float) -> bool:
    """Apply what Meta says of a template; whether sends that were held may go again."""
    if news.event in _BAD_NEWS:
        reason = f"Meta says that the template is {news.event.lower()}"
        _remember(db, news.name, Pause(now + REVIEW_SECONDS, refuse=False, reason=reason, code=None))
    if news.event not in _GOOD_NEWS:
        return False
    ended = db.execute("DELETE FROM paused_templates WHERE name = ? RETURNING code", (news.name,)).fetchall()
    released = db.executemany(
        "UPDATE jobs SET due_at = ? WHERE state = 'held' AND state IN ('in_doubt', 'held')"
        " AND (error_code IS NULL OR error_code = ?)"  # what waits for a reason of its own goes on waiting
        " AND EXISTS (SELECT 1 FROM messages m WHERE m.job_id = jobs.id"
        " AND iif(json_valid(m.raw), json_extract(m.raw, '$.template.name'), NULL) = ?)",
        [(now, row["code"], news.name) for row in ended],
    )
    return released.rowcount > 0


def paused(db: sqlite3.Connection, now: float) -> dict[str, Pause]:
    """The pauses in force, by template name."""
    rows = db.execute("SELECT * FROM paused_templates WHERE until > ?", (now,)).fetchall()
    return {row["name"]: Pause(row["until"], bool(row["refuse"]), row["reason"], row["code"]) for row in rows}


def pause_of(outgoing: Outgoing, pauses: Mapping[str, Pause]) -> Pause | None:
    """The pause that concerns a message, if any."""
    name = outgoing.template
    return None if name is None else pauses.get(name) or pauses.get(ALL)


def _remember(db: sqlite3.Connection, name: str, pause: Pause) -> None:
    db.execute(
        "INSERT INTO paused_templates (name, until, refuse, reason, code) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET until = excluded.until, refuse = excluded.refuse, reason = excluded.reason,"
        " code = coalesce(excluded.code, code)",
        (name, pause.until, pause.refuse, pause.reason, pause.code),
    )
