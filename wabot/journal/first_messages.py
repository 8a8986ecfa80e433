"""Whom the business wrote to first, as Meta's messaging limit counts it, and what waits for that limit."""

from __future__ import annotations

import sqlite3

from wabot.core.messages import SERVICE_WINDOW_SECONDS
from wabot.core.messaging_limit import CODE
from wabot.journal import indexes
from wabot.journal.sqlite import Reader, Writer

_WRITTEN_FIRST = [
    f"SELECT m.person, {at} FROM jobs JOIN messages m ON m.job_id = jobs.id WHERE {left}"
    " AND m.type = 'template' AND m.status <> 'failed' AND NOT EXISTS (SELECT 1 FROM messages i"
    f" WHERE i.contact_id = m.contact_id AND i.timestamp > {at} - {SERVICE_WINDOW_SECONDS} AND i.timestamp <= {at}"
    " AND i.direction = 'in')"
    for at, left in (
        ("settled_at", "settled_at > :since AND kind = 'send' AND state IN ('done', 'parked')"),
        (":now", f"kind = 'send' AND {indexes.RUNNING}"),
        (":now", indexes.DOUBTFUL),
    )
]
"""Messages outside of their windows, by when they left. What failed is not counted: Meta counts who got a message, and
who may have got one counts here.
"""

_LET_GO = (
    f"UPDATE jobs SET due_at = :now WHERE id IN (SELECT id FROM jobs WHERE {indexes.HELD}"
    " AND error_code = :code AND due_at > :now ORDER BY due_at LIMIT :count)"
)


class FirstMessages:
    """The journal's part in keeping Meta's messaging limit."""

    writer: Writer
    _read: Reader
    _read_long: Reader

    async def messaging_limit(self) -> tuple[float, str] | None:
        """What Meta said last: the limit, and the id of the portfolio ("": not known). None if it never said."""
        return await self._read(_remembered)

    async def remember_messaging_limit(self, most: float, portfolio: str) -> None:
        """Keep what Meta says for the next start."""
        await self.writer(_remember, f"{most} {portfolio}")

    async def written_first(self, since: float, now: float) -> list[tuple[str, float]]:
        """(address, when) of the messages to people outside of their windows since a time."""
        return await self._read_long(_written_first, since, now)

    async def let_more_people_go(self, count: int, now: float) -> int:
        """Let up to so many sends go of those that wait for the limit; how many."""
        return await self.writer(_let_go, count, now)


def _remembered(db: sqlite3.Connection) -> tuple[float, str] | None:
    row = db.execute("SELECT value FROM meta WHERE key = 'messaging_limit'").fetchone()
    if row is None:
        return None
    most, _, portfolio = row["value"].partition(" ")
    return float(most), portfolio


def _remember(db: sqlite3.Connection, value: str) -> None:
    db.execute(
        "INSERT INTO meta VALUES ('messaging_limit', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (value,),
    )


def _written_first(db: sqlite3.Connection, since: float, now: float) -> list[tuple[str, float]]:
    times = {"since": since, "now": now}
    return [(row[0], row[1]) for statement in _WRITTEN_FIRST for row in db.execute(statement, times)]


def _let_go(db: sqlite3.Connection, count: int, now: float) -> int:
    return db.execute(_LET_GO, {"count": count, "now": now, "code": CODE}).rowcount
