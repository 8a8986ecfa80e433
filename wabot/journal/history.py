"""Talks as they are read: for the model, and for `/get`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from wabot.core.answer_size import Room
from wabot.core.history_span import ALWAYS, Span
from wabot.core.jobs import Job, State
from wabot.core.json_values import stored_text
from wabot.core.messages import Contact, Stop
from wabot.core.outgoing import Origin
from wabot.core.reply_caps import ANSWERS, HIGHEST
from wabot.journal import contacts, indexes, transcripts
from wabot.journal.message_documents import MESSAGE, document
from wabot.journal.sqlite import Reader

_COUNTED = ", ".join(f"'{origin}'" for origin in sorted(ANSWERS | {Origin.LIMIT}))
_MOST_ANSWERS = HIGHEST + 1
"""What any cap needs, and the notice, which is said once a day."""

_AFTER_ALL, _BEFORE_ALL = 1 << 62, -(1 << 62)
PAGE = 500
"""Messages in one page: others may read between pages."""


@dataclass(frozen=True, slots=True)
class Page:
    """A contact, and some of their messages as documents; `before`: where the next page starts, None at the end.

    `size`: characters of the messages.
    """

    contact: Contact | None
    messages: Sequence[dict[str, Any]] = ()
    before: tuple[float, int] | None = None
    size: int = 0


class Talks:
    """What replies ask the journal."""

    name: str
    _read: Reader
    _read_long: Reader

    async def talk(self, job: Job, limit: int, oldest: float = 0.0) -> transcripts.Transcript:
        """The conversation that a reply job continues: its last `limit` messages, none from before `oldest`."""
        return await self._read(transcripts.talk, job.id, job.since, job.upto, limit=limit, oldest=oldest)

    async def of_contact(
        self, identity: str, limit: int, include: Sequence[str], room: Room | None = None, span: Span = ALWAYS
    ) -> tuple[Contact | None, list[dict[str, Any]]]:
        """A contact by number or BSUID, and their messages, newest first; `limit` 0 = all, if they fit into `room`.

        Those without a wamid as `include` says. Raises answer_size.TooLong. Read in pages, so that others get a turn.
        """
        room, found, before = room or Room(), list[dict[str, Any]](), start(span)
        while True:
            size = min(limit - len(found), PAGE) if limit else PAGE
            page = await self._read_long(
                of_contact, identity, size, include=include, before=before, since=span.since or 0
            )
            room.take(len(page.messages), page.size)
            found += page.messages
            before = page.before
            if before is None or (limit and len(found) >= limit):
                return page.contact, found

    async def time_of(self, identity: str, message_id: str) -> tuple[Contact | None, float | None]:
        """A contact, and when their message of this id was said (Unix seconds): a wamid, or an outbox id."""
        journal, _, number = message_id.partition("-")
        job_id = int(number) if journal == self.name and number.isdecimal() and len(number) < 19 else None
        return await self._read(time_of, identity, message_id, job_id)

    async def answers(self, job: Job, since: float) -> list[Answered]:
        """What the contact of a reply was answered since a time, newest first."""
        return await self._read(answers, job.id, since)

    async def more_waits(self, job: Job) -> bool:
        """Whether a contact has written something since a reply was claimed that the next one is to answer."""
        return await self._read(more_waits, job.id)

    async def gets_silence(self, job: Job) -> bool:
        """Whether the contact of a reply is not to be answered by it any more."""
        return await self._read(gets_silence, job.id)


_ANSWERS = (
    "SELECT timestamp, origin FROM messages WHERE contact_id = (SELECT contact_id FROM jobs WHERE id = :job)"
    f" AND timestamp > :since AND direction = 'out' AND origin IN ({_COUNTED})"
    " ORDER BY timestamp DESC, id DESC LIMIT :most"
)


Answered: TypeAlias = tuple[float, Origin]
"""When a message was sent, in Unix seconds, and who wrote it."""


def answers(db: sqlite3.Connection, job_id: int, since: float) -> list[Answered]:
    """What a reply's contact was answered since a time, newest first."""
    rows = db.execute(_ANSWERS, {"job": job_id, "since": since, "most": _MOST_ANSWERS})
    return [(row["timestamp"], Origin(row["origin"])) for row in rows]


def more_waits(db: sqlite3.Connection, job_id: int) -> bool:
    """Whether the contact of a reply has written something meanwhile that the next reply is to answer."""
    waiting = f"SELECT 1 FROM jobs WHERE contact_id = (SELECT contact_id FROM jobs WHERE id = ?) AND {indexes.JOINABLE}"
    return db.execute(waiting, (job_id,)).fetchone() is not None


def gets_silence(db: sqlite3.Connection, job_id: int) -> bool:
    """Whether the contact of a reply is not to be answered by it any more: they opted out, or a person answers."""
    row = db.execute(
        "SELECT j.state, c.stopped FROM jobs j JOIN contacts c ON c.id = j.contact_id WHERE j.id = ?", (job_id,)
    ).fetchone()
    return row is None or row["state"] != State.RUNNING or row["stopped"] == Stop.ALL


def start(span: Span) -> tuple[float, int] | None:
    """Where the pages of a span begin; None = with the newest message."""
    return None if span.below is None else (float(span.below), _BEFORE_ALL)


def of_contact(
    db: sqlite3.Connection,
    identity: str,
    limit: int,
    *,
    include: Sequence[str],
    before: tuple[float, int] | None = None,
    since: float = 0.0,
) -> Page:
    """A contact by number or BSUID, and at most `limit` of their messages, newest first, from those before `before`.

    None from before `since` (Unix seconds).

    Messages that were received or that Meta accepted, and of the others those whose status is in `include`. Their
    `raw` is Json.
    """
    contact = contacts.find(db, identity)
    if contact is None:
        return Page(None)
    rows = db.execute(
        f"{MESSAGE} WHERE m.contact_id = ? AND (m.timestamp, m.id) < (?, ?) AND m.timestamp >= ?"
        " AND (coalesce(m.wamid, m.shared_wamid) IS NOT NULL"
        " OR m.status IN (SELECT value FROM json_each(?))) ORDER BY m.timestamp DESC, m.id DESC LIMIT ?",
        (contact.id, *(before or (_AFTER_ALL, _AFTER_ALL)), since, json.dumps(list(include)), limit),
    ).fetchall()
    last = (rows[-1]["timestamp"], rows[-1]["id"]) if len(rows) == limit else None
    size = sum(len(row["content"]) + len(row["body"]) for row in rows)
    return Page(contact, [document(row, stored_text(row["content"])) for row in rows], last, size)


def time_of(
    db: sqlite3.Connection, identity: str, wamid: str, job_id: int | None
) -> tuple[Contact | None, float | None]:
    """A contact, and when one of their messages was said that has this wamid, or that this send carries."""
    contact = contacts.find(db, identity)
    if contact is None:
        return None, None
    row = db.execute(
        "SELECT max(timestamp) AS at FROM messages WHERE +contact_id = ? AND id IN (SELECT id FROM messages WHERE"
        " wamid = ? AND wamid IS NOT NULL UNION ALL SELECT id FROM messages WHERE job_id = ? AND job_id IS NOT NULL)",
        (contact.id, wamid, job_id),
    ).fetchone()
    return contact, row["at"]
