"""Journals that are full already, made with plain SQL: a million rows in seconds."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.webhooks import NAME, number
from wabot.core.jobs import Policy
from wabot.journal.accept import Rules
from wabot.journal.journal import FILE_NAME, Journal, open_journal

_COUNT = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)"
_CONTENT = '{"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}}}'


@dataclass(frozen=True, slots=True)
class Filling:
    """What a journal holds: open bulk sends for so many people (the first of each is queued, the others wait behind
    it), more of them for one person whose first send is in doubt, and replies that are owed."""

    people: int
    sends: int
    blocked: int = 0
    replies: int = 0


async def opened(data: Path) -> Journal:
    """The journal in `data`."""
    return await open_journal(data, rules=Rules(), policy=Policy())


def fill(data: Path, what: Filling, *, due_at: float, clean: bool = True) -> None:
    """Make a journal in `data`. `clean` False: it was not closed properly, so the next start checks it."""
    with filling(data, clean=clean) as db:
        _people(db, what.people + 1)
        _sends(db, what.sends, what.people, due_at)
        _blocked(db, what.blocked, what.people, due_at)
        _replies(db, what.replies, due_at)


@contextmanager
def filling(data: Path, *, clean: bool = True) -> Iterator[sqlite3.Connection]:
    """A new journal in `data`, to be filled with plain SQL: without its indexes, which are built at the end."""
    asyncio.run(_make(data))
    with closing(sqlite3.connect(data / FILE_NAME, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")
        indexes = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        yield db
        for _, sql in indexes:  # sorted at once, they are built ten times as fast
            db.execute(sql)
        db.execute("UPDATE meta SET value = ? WHERE key = 'clean'", ("yes" if clean else "no",))
        db.execute("PRAGMA journal_mode = WAL")


async def _make(data: Path) -> None:
    await (await opened(data)).close()


def _people(db: sqlite3.Connection, count: int) -> None:
    """They are those who write in `webhooks.requests`; the last one is the blocked one."""
    base, now = int(number(0)), time.time()
    values = {"count": count, "base": base, "name": NAME, "now": now}
    db.execute(
        f"{_COUNT} INSERT INTO contacts (id, wa_id, bsuid, name, last_inbound_at, created_at)"
        " SELECT i + 1, :base + i, 'IN.' || (:base + i), :name, :now, :now FROM n",
        values,
    )
    for identity in ("wa_id", "bsuid"):
        db.execute(f"INSERT INTO identities (value, contact_id) SELECT {identity}, id FROM contacts ORDER BY 1")


def _sends(db: sqlite3.Connection, count: int, people: int, due_at: float) -> None:
    _insert_sends(db, count, f"i % {people} + 1", f"CASE WHEN i < {people} THEN 'queued' ELSE 'waiting' END", due_at)


def _blocked(db: sqlite3.Connection, count: int, people: int, due_at: float) -> None:
    _insert_sends(db, count, str(people + 1), "CASE WHEN i = 0 THEN 'in_doubt' ELSE 'waiting' END", due_at)


def _insert_sends(db: sqlite3.Connection, count: int, contact: str, state: str, due_at: float) -> None:
    if not count:
        return
    first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM jobs").fetchone()[0]
    values = {"count": count, "due": due_at, "first": first, "content": _CONTENT, "now": time.time()}
    db.execute(
        f"{_COUNT} INSERT INTO jobs (id, kind, contact_id, state, priority, due_at, created_at)"
        f" SELECT :first + i, 'send', {contact}, {state}, 1, :due, :now FROM n",
        values,
    )
    db.execute(
        "INSERT INTO messages (contact_id, direction, origin, timestamp, type, body, raw, person, status, job_id)"
        " SELECT contact_id, 'out', 'bulk', :now, 'template', '[template hello_world]', :content, '', 'queued', id"
        " FROM jobs WHERE id >= :first",
        {key: values[key] for key in ("now", "content", "first")},
    )


def _replies(db: sqlite3.Connection, count: int, due_at: float) -> None:
    """Each of the first people said something that is not answered yet."""
    if not count:
        return
    values = {"count": count, "now": time.time(), "due": due_at}
    first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM messages").fetchone()[0]
    db.execute(
        f"{_COUNT} INSERT INTO messages (id, contact_id, direction, origin, wamid, timestamp, type, body, raw, person,"
        " status) SELECT :first + i, i + 1, 'in', 'person', 'wamid.' || i, :now, 'text', 'Hello', '{}', '',"
        " 'received' FROM n",
        {"count": count, "now": values["now"], "first": first},
    )
    db.execute(
        f"{_COUNT} INSERT INTO jobs (kind, contact_id, state, due_at, created_at, since)"
        " SELECT 'reply', i + 1, 'queued', :due, :now, :first + i FROM n",
        {**values, "first": first},
    )
