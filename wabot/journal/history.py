"""Talks as they are read: for the model, and for `/get`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

from wabot.core import media, message_text
from wabot.core.answer_size import Room
from wabot.core.conversation import ASKED_MESSAGES, Said
from wabot.core.jobs import Job, State
from wabot.core.json_values import dict_of, stored, stored_text
from wabot.core.media import Medium
from wabot.core.messages import Contact, Direction, Stop
from wabot.core.outgoing import Origin
from wabot.core.reply_caps import ANSWERS, HIGHEST
from wabot.core.span import ALWAYS, Span
from wabot.core.whatsapp_text import MAX_BODY
from wabot.journal import contacts, indexes
from wabot.journal.message_documents import MESSAGE, document
from wabot.journal.sqlite import Reader

_REFERS = ('"context"', '"referral"', '"caption"')
"""What is in the raw form of a message that message_text.about has something to say of."""

_NOT_FAILED = "NOT (direction = 'out' AND status = 'failed')"

_LATE_SECONDS = 7 * 86400
"""A message may be so much older than one that arrived before it: so long Meta tries to deliver one. The rest of a long
conversation need not be looked through for what a reply answers."""

_COUNTED = ", ".join(f"'{origin}'" for origin in sorted(ANSWERS | {Origin.LIMIT}))
_MOST_ANSWERS = HIGHEST + 1
"""What any cap needs, and the notice, which is said once a day."""

_AFTER_ALL, _BEFORE_ALL = 1 << 62, -(1 << 62)
PAGE = 500
"""Messages in one page: others may read between pages."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation as a reply needs it, oldest first. `earlier`: something was said before what is being answered.

    `contact`: with whom, as they are now; `names`: those under which nobody else ever was with us, so that what the
    archive has of them is theirs; `key`: what its documents call them. `searched`: the archive was asked for it.
    `questions`: the wamids of what is being answered and can be quoted; `newest`: of the last message being answered.
    """

    contact: Contact
    names: tuple[str, ...]
    key: str
    said: Sequence[Said]
    earlier: bool
    searched: bool
    questions: Sequence[str] = ()
    newest: str | None = None


_TALK = (
    "SELECT id, direction, type, wamid, substr(body, 1, :longest) AS body, raw, origin, asked_by FROM messages"
    " WHERE id IN (SELECT id FROM (SELECT id FROM messages WHERE contact_id = :contact AND id <= :upto"
    f" AND timestamp >= :oldest AND {_NOT_FAILED} ORDER BY timestamp DESC, id DESC LIMIT :limit)"
    " UNION SELECT id FROM (SELECT id FROM messages WHERE contact_id = :contact AND id BETWEEN :since AND :upto"
    f" AND timestamp >= coalesce((SELECT timestamp FROM messages WHERE id = :since), 0) - {_LATE_SECONDS}"
    " ORDER BY id DESC LIMIT :asked)) ORDER BY id > 0, iif(id > 0 AND id < :since, 0, timestamp), id"
)
"""What was brought back from the archive, in one go or in several, comes first, in the order of its times; so does what
is being answered come last, in the order in which it was written: Meta promises no other."""


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

    async def talk(self, job: Job, limit: int, oldest: float = 0.0) -> Transcript:
        """The conversation that a reply job continues: its last `limit` messages, none from before `oldest`."""
        return await self._read(talk, job.id, job.since, job.upto, limit=limit, oldest=oldest)

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


def talk(db: sqlite3.Connection, job_id: int, since: int, upto: int, *, limit: int, oldest: float) -> Transcript:
    """The last `limit` messages up to `upto`, and the newest ASKED_MESSAGES of those that a reply job answers.

    Of the former none from before `oldest` (Unix seconds).

    It is the job that knows its contact: since its claim, that one may have become part of another.
    """
    row = db.execute(
        "SELECT c.id AS contact_id, c.*, (SELECT value FROM meta WHERE key = 'journal') AS journal"
        " FROM jobs j JOIN contacts c ON c.id = j.contact_id WHERE j.id = ?",
        (job_id,),
    ).fetchone()
    if row is None:  # the person was forgotten meanwhile
        return Transcript(Contact(0), (), "", [], True, True, [], None)
    contact = contacts.of_row(row)
    values = {"contact": contact.id, "since": since, "upto": upto}
    earlier = db.execute(
        f"SELECT 1 FROM messages WHERE contact_id = :contact AND (id < :since OR asked_by < :job) AND {_NOT_FAILED}"
        " LIMIT 1",
        {"contact": contact.id, "since": since, "job": job_id},
    ).fetchone()
    rows = db.execute(
        _TALK, {**values, "limit": limit, "oldest": oldest, "asked": ASKED_MESSAGES, "longest": MAX_BODY + 1}
    ).fetchall()
    rows = [row for row in rows if not message_text.is_aside(row["type"], row["raw"])]
    about = _about(db, contact.id, rows)
    asked = {row["id"] for row in rows if _is_asked(row, job_id, since)}
    return Transcript(
        contact,
        contacts.own_names(db, contact),
        f"{row['journal']}-{contact.id}",
        [
            Said(Origin(row["origin"]), row["body"], row["id"] in asked, about.get(row["id"], ""), _medium(row, asked))
            for row in rows
        ],
        earlier is not None,
        bool(row["searched"]),
        [row["wamid"] for row in rows if row["id"] in asked and row["type"] in message_text.QUOTABLE and row["body"]],
        next((row["wamid"] for row in reversed(rows) if row["id"] in asked), None),
    )


def _medium(row: sqlite3.Row, asked: Set[int]) -> Medium | None:
    """The file of a message that is being answered."""
    if row["type"] not in media.KINDS or row["id"] not in asked:
        return None
    return media.medium_of(dict_of(stored(row["raw"], None)))


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


def _is_asked(row: sqlite3.Row, job_id: int, since: int) -> bool:
    """Whether a reply answers a message: all since the first one, but for what a merge gave to another reply."""
    if row["direction"] != Direction.IN:
        return False
    return row["id"] >= since if row["asked_by"] is None else bool(row["asked_by"] == job_id)


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


def _about(db: sqlite3.Connection, contact_id: int, rows: Sequence[sqlite3.Row]) -> dict[int, str]:
    """What the person's messages refer to, by id. Quoted messages are searched for in this conversation only."""
    received = {
        row["id"]: dict_of(stored(row["raw"], None))
        for row in rows
        if row["direction"] == Direction.IN and any(mark in row["raw"] for mark in _REFERS)
    }
    quoted = {message_id: message_text.quoted(message) for message_id, message in received.items()}
    known = db.execute(
        "SELECT wamid, substr(body, 1, :longest) AS body FROM messages WHERE wamid IN (SELECT value FROM"
        " json_each(:quoted)) AND wamid IS NOT NULL AND +contact_id = :contact",  # +: by the wamids, which are few
        {
            "longest": 2 * message_text.REFERENCE_CHARACTERS,
            "quoted": json.dumps([*filter(None, quoted.values())]),
            "contact": contact_id,
        },
    )
    says = {row["wamid"]: row["body"] for row in known}
    return {
        message_id: message_text.about(message, says.get(quoted[message_id], ""))
        for message_id, message in received.items()
    }


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
