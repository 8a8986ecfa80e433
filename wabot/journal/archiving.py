"""Which messages the archive has and lacks, and which may therefore be deleted here.

`archived` is the version of a message that the archive stored, as far as we know. An archive may have been restored
from an older backup. So it is asked for some messages (witnesses) when it is connected, and for every message before
that message is deleted here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wabot.core.jobs import Job
from wabot.core.json_values import stored
from wabot.core.messages import Direction, Status
from wabot.journal import contents
from wabot.journal.message_documents import MESSAGE, document
from wabot.journal.pruning import KEY_SECONDS
from wabot.journal.sqlite import Reader, Writer

NEVER_AHEAD = 1 << 62
"""`archived` of a message that was copied back from the archive: the archive has it under a key that we do not know."""

SCANNED = 4000
"""Messages that one statement reads, matching or not: some milliseconds."""

_AFTER_ALL = 1 << 62
_KEY = "coalesce((SELECT value FROM meta WHERE key = 'journal') || '-' || m.job_id, m.wamid)"  # as `document` has it


@dataclass(frozen=True, slots=True)
class Held:
    """A message that the archive should have: our id, its key there, and the version that it stored, or a later one."""

    id: int
    key: str
    version: int


class Archiving:
    """The journal's operations for the archive."""

    writer: Writer
    _read_long: Reader

    @property
    def changes(self) -> int:
        """How many rows were changed since the start."""
        return self.writer.changes

    async def changed(self, since: int, seconds: float) -> None:
        """Wait until `changes` is no longer `since`, for `seconds` at the most."""
        await self.writer.changed(since, seconds)

    async def ahead_of_archive(self, after: int, limit: int) -> list[tuple[int, int, dict[str, Any]]]:
        """Messages that the archive does not have as they are: (id, version, document), ids above `after`."""
        return await self._read_long(_ahead, after, limit)

    async def mark_archived(self, versions: Iterable[tuple[int, int]]) -> None:
        """Store that the archive has these (id, version)."""
        await self.writer(_mark, list(versions))

    async def witnesses(self, limit: int) -> list[Held]:
        """The messages to ask an archive for, to find out whether it lost some, oldest first."""
        return await self._read_long(_witnesses, limit)

    async def forget_archived(self, first: int, before: int | None, limit: int) -> int | None:
        """Mark some of the messages from `first` on to be archived again; see `_forget_archived`."""
        return await self.writer(_forget_archived, first, before, limit)

    async def lost_by_archive(self, ids: Iterable[int]) -> None:
        """Mark these messages to be archived again: the archive does not have them."""
        await self.writer(_lose, list(ids))

    async def outdated(self, after: int, *, before: float, now: float, limit: int) -> tuple[list[Held], int | None]:
        """Messages from before a time that may be deleted if the archive has them; see `_outdated`."""
        return await self._read_long(_outdated, after, min(before, now - KEY_SECONDS), limit)

    async def forget_messages(self, held: Sequence[Held]) -> int:
        """Delete messages that the archive has in these versions; how many."""
        return await self.writer(_forget, held)

    async def forget_adopted(self, *, before: float, now: float, limit: int) -> int:
        """Delete messages that were copied back from the archive before a time; how many."""
        return await self.writer(_forget_adopted, min(before, now - KEY_SECONDS), limit)

    async def adopt(self, job: Job, documents: Sequence[dict[str, Any]], now: float) -> None:
        """Copy earlier messages of the contact whom a reply answers back from the archive, newest first."""
        await self.writer(_adopt, job.id, documents, now)


def _ahead(db: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, int, dict[str, Any]]]:
    rows = db.execute(
        f"{MESSAGE} WHERE m.id IN (SELECT id FROM messages INDEXED BY messages_ahead WHERE archived < version"
        " AND id > ? ORDER BY id LIMIT ?) ORDER BY m.id",
        (after, limit),
    ).fetchall()
    return [(row["id"], row["version"], document(row, stored(row["content"], row["content"]))) for row in rows]


def _mark(db: sqlite3.Connection, versions: Iterable[tuple[int, int]]) -> None:
    db.executemany("UPDATE messages SET archived = ? WHERE id = ? AND archived < ?", [(v, i, v) for i, v in versions])


def _witnesses(db: sqlite3.Connection, limit: int) -> list[Held]:
    """The newest messages that the archive stored, and one for each doubling of the distance to the first.

    Recording goes by id, so the newest stand before the first message that was never recorded; where that one was
    refused, others were recorded after it.
    """
    last = db.execute("SELECT max(id) FROM messages WHERE id > 0").fetchone()[0]
    if last is None:
        return []
    never = db.execute(
        "SELECT id FROM messages INDEXED BY messages_ahead WHERE archived < version AND id > 0 AND archived = 0"
        " ORDER BY id LIMIT 1"
    ).fetchone()
    found = {held.id: held for below in (last + 1, never[0] if never else 1) for held in _taken(db, below, limit)}
    newest, distance = max(found, default=0), 2 * limit
    while distance < newest:
        found |= {held.id: held for held in _taken(db, newest - distance, 1)}
        distance *= 2
    return [found[message_id] for message_id in sorted(found)]


def _taken(db: sqlite3.Connection, below: int, limit: int) -> list[Held]:
    """The `limit` newest with ids below `below` that the archive stored, of SCANNED that are read."""
    rows = db.execute(
        f"SELECT m.id, m.archived, {_KEY} AS key FROM (SELECT * FROM messages WHERE id > 0 AND id < ?"
        " ORDER BY id DESC LIMIT ?) AS m WHERE m.archived > 0 LIMIT ?",
        (below, SCANNED, limit),
    )
    return [Held(row["id"], row["key"], row["archived"]) for row in rows]


def _forget_archived(db: sqlite3.Connection, first: int, before: int | None, limit: int) -> int | None:
    """The archive lost messages: mark the `limit` newest with ids from `first` to below `before` to be archived again.

    Returns the `before` of the next step, None when there is none. Newest first: a crash between two steps leaves
    those that were recorded last to be missed again. What was brought back from an archive stays as it is.
    """
    before = _AFTER_ALL if before is None else before
    lowest: int | None = db.execute(
        "SELECT min(id) FROM (SELECT id FROM messages WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?)",
        (max(first, 1), before, limit),
    ).fetchone()[0]
    if lowest is not None:
        db.execute("UPDATE messages SET archived = 0 WHERE id >= ? AND id < ? AND archived > 0", (lowest, before))
    return lowest


def _lose(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    db.executemany("UPDATE messages SET archived = 0 WHERE id = ?", [(message_id,) for message_id in ids])


def _outdated(db: sqlite3.Connection, after: int, before: float, limit: int) -> tuple[list[Held], int | None]:
    """Up to `limit` messages with ids above `after` from before the time `before` that the archive should have.

    And where to go on, None at the end: ids go with time, so that is where SCANNED in a row are younger. What an open
    or remembered job carries stays as long as its job.
    """
    window = db.execute(
        "SELECT max(id) AS last, min(timestamp) AS oldest FROM"
        " (SELECT id, timestamp FROM messages WHERE id > ? ORDER BY id LIMIT ?)",
        (max(after, 0), SCANNED),
    ).fetchone()
    if window["last"] is None or window["oldest"] >= before:
        return [], None
    rows = db.execute(
        f"SELECT m.id, m.version, {_KEY} AS key FROM messages m WHERE m.id > ? AND m.id <= ? AND m.timestamp < ?"
        " AND m.archived >= m.version AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = m.job_id)"
        " ORDER BY m.id LIMIT ?",
        (max(after, 0), window["last"], before, limit),
    ).fetchall()
    held = [Held(row["id"], row["key"], row["version"]) for row in rows]
    return held, held[-1].id if len(held) == limit else window["last"]


def _forget(db: sqlite3.Connection, held: Sequence[Held]) -> int:
    """Their contacts are searched for in the archive when they write again."""
    gone = 0
    for message in held:
        rows = db.execute(
            "DELETE FROM messages WHERE id = ? AND version = ? AND archived >= version"
            " RETURNING contact_id, content_id",
            (message.id, message.version),
        ).fetchall()
        _look_up_again(db, rows)
        contents.drop_unused(db, [row["content_id"] for row in rows if row["content_id"] is not None])
        gone += len(rows)
    return gone


def _forget_adopted(db: sqlite3.Connection, before: float, limit: int) -> int:
    """Whole conversations, in the order in which they were copied back; they can be copied back again."""
    rows = db.execute(
        "SELECT m.id, m.contact_id FROM (SELECT id, contact_id FROM messages WHERE id < 1 ORDER BY id DESC LIMIT ?)"
        " AS m JOIN contacts c ON c.id = m.contact_id WHERE c.searched < ? LIMIT ?",
        (SCANNED, before, limit),
    ).fetchall()
    db.executemany("DELETE FROM messages WHERE id = ?", [(row["id"],) for row in rows])
    _look_up_again(db, rows)
    return len(rows)


def _look_up_again(db: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> None:
    contacts = {row["contact_id"] for row in rows}
    db.executemany("UPDATE contacts SET searched = 0 WHERE id = ? AND searched <> 0", [(one,) for one in contacts])


def _adopt(db: sqlite3.Connection, job_id: int, documents: Sequence[dict[str, Any]], now: float) -> None:
    """Their ids are below 1. They are deleted by their age from now on, since the conversation goes on.

    It is the job that knows its contact: since its claim, that one may have become part of another.
    """
    job = db.execute("SELECT contact_id FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if job is None:  # the person was forgotten meanwhile
        return
    contact_id = job["contact_id"]
    db.execute("UPDATE contacts SET searched = ? WHERE id = ?", (int(now), contact_id))
    for doc in documents:
        inbound = doc["direction"] == Direction.IN
        db.execute(
            "INSERT OR IGNORE INTO messages (id, contact_id, direction, origin, wamid, timestamp, type, body, raw,"
            " person, business, status, archived) VALUES ((SELECT min(0, coalesce(min(id), 0)) - 1 FROM messages),"
            " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                contact_id,
                doc["direction"],
                doc["origin"],
                doc["id"],
                float(doc["timestamp"]),
                doc["type"],
                doc["body"],
                json.dumps(doc["raw"], ensure_ascii=False),
                doc["from"] if inbound else doc["to"],
                doc["to"] if inbound else doc["from"],
                Status.RECEIVED if inbound else Status.SENT,
                NEVER_AHEAD,
            ),
        )
