"""Templates that Meta paused or does not know: which, until when, and whether their sends wait or are declined.

A template is a name in a language: Meta approves, pauses and forgets each by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from wabot.core.exceptions import Effect
from wabot.core.jobs import Event, Outcome, Pause
from wabot.core.messages import TemplateNews
from wabot.core.outgoing import Outgoing
from wabot.journal import indexes

RESTRICTED = "restricted"
"""The code of what waits because Meta lets the account only answer."""
ALL = "*"
"""In place of a name: every template. In place of a language: every one of that name, where Meta did not say which."""
BEGUN = (ALL, RESTRICTED)
"""The place of Meta's restriction, beside (ALL, ALL) of what sends met: either ends without the other."""

REVIEW_SECONDS = 6 * 3600.0
"""How long a template rests that Meta paused by news alone: the longer of Meta's two pauses."""

_NAME = "iif(json_valid(m.raw), json_extract(m.raw, '$.template.name'), NULL)"
_LANGUAGE = "iif(json_valid(m.raw), json_extract(m.raw, '$.template.language.code'), NULL)"
_GOOD_NEWS = frozenset({"APPROVED", "REINSTATED", "UNPAUSED"})
_BAD_NEWS = frozenset({"PAUSED", "DISABLED"})


def pause(db: sqlite3.Connection, job_id: int, outcome: Outcome, now: float) -> None:
    """Pause the template that a send uses, or every template, for a while."""
    which: tuple[str, str] | None = (ALL, ALL)
    if outcome.effect is Effect.PAUSE_TEMPLATE:
        row = db.execute(f"SELECT {_NAME} AS name, {_LANGUAGE} AS language FROM messages m WHERE job_id = ?", (job_id,))
        which = next(((found["name"], found["language"] or "") for found in row if found["name"] is not None), None)
    if which is not None:
        refuse = outcome.event is Event.GIVE_UP
        _remember(db, *which, Pause(now + outcome.effect_seconds, refuse, outcome.error or "", outcome.code))


def apply_news(db: sqlite3.Connection, news: TemplateNews, now: float) -> bool:
    """Apply what Meta says of a template; whether sends that were held may go again."""
    language = news.language or ALL
    if news.event in _BAD_NEWS:
        reason = f"Meta says that the template is {news.event.lower()}"
        _remember(db, news.name, language, Pause(now + REVIEW_SECONDS, refuse=False, reason=reason, code=None))
    if news.event not in _GOOD_NEWS:
        return False
    ended = db.execute(
        "DELETE FROM paused_templates WHERE name = :name AND (language IN (:language, :all) OR :language = :all)"
        " RETURNING language, code",
        {"name": news.name, "language": language, "all": ALL},
    ).fetchall()
    released = db.executemany(
        f"UPDATE jobs SET due_at = ? WHERE {indexes.HELD}"
        " AND (error_code IS NULL OR error_code = ?)"  # what waits for a reason of its own goes on waiting
        " AND EXISTS (SELECT 1 FROM messages m WHERE m.job_id = jobs.id"
        f" AND {_NAME} = ? AND ? IN ({_LANGUAGE}, '{ALL}'))",
        [(now, row["code"], news.name, row["language"]) for row in ended],
    )
    return released.rowcount > 0


def restrict(db: sqlite3.Connection, reason: str, until: float | None, now: float) -> None:
    """Meta lets the account only answer: every template waits, until a time if Meta names one."""
    pause = Pause(until or now + REVIEW_SECONDS, refuse=False, reason=reason, code=RESTRICTED)
    _remember(db, *BEGUN, pause)


def lift(db: sqlite3.Connection, now: float) -> bool:
    """Meta lets the account begin talks again; whether sends that were held may go."""
    db.execute("DELETE FROM paused_templates WHERE name = ? AND language = ?", BEGUN)
    held = f"UPDATE jobs SET due_at = ? WHERE {indexes.HELD} AND error_code = ?"
    return db.execute(held, (now, RESTRICTED)).rowcount > 0


def paused(db: sqlite3.Connection, now: float) -> dict[tuple[str, str], Pause]:
    """The pauses in force, by name and language."""
    rows = db.execute("SELECT * FROM paused_templates WHERE until > ?", (now,)).fetchall()
    return {
        (row["name"], row["language"]): Pause(row["until"], bool(row["refuse"]), row["reason"], row["code"])
        for row in rows
    }


def pause_of(outgoing: Outgoing, pauses: Mapping[tuple[str, str], Pause]) -> Pause | None:
    """The pause that concerns a message, if any."""
    if outgoing.template is None:
        return None
    places = (outgoing.template, (outgoing.template[0], ALL), BEGUN, (ALL, ALL))
    return next((pauses[place] for place in places if place in pauses), None)


def _remember(db: sqlite3.Connection, name: str, language: str, pause: Pause) -> None:
    db.execute(
        "INSERT INTO paused_templates (name, language, until, refuse, reason, code) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name, language) DO UPDATE SET until = excluded.until, refuse = excluded.refuse,"
        " reason = excluded.reason, code = coalesce(excluded.code, code)",
        (name, language, pause.until, pause.refuse, pause.reason, pause.code),
    )
