"""What a reply continues: the talk with a contact, as a model is to see it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence, Set
from dataclasses import dataclass

from wabot.core import media, message_text
from wabot.core.conversation import ASKED_MESSAGES, Said
from wabot.core.json_values import dict_of, stored, text_of
from wabot.core.media import Medium
from wabot.core.messages import Contact, Direction
from wabot.core.outgoing import Origin
from wabot.core.whatsapp_text import MAX_BODY
from wabot.journal import contacts, indexes

_REFERS = ('"context"', '"referral"', '"caption"')
"""What is in the raw form of a message that message_text.about has something to say of."""

_NOT_FAILED = "NOT (direction = 'out' AND status = 'failed')"

_LATE_SECONDS = 7 * 86400
"""A message may be so much older than one that arrived before it: so long Meta tries to deliver one. The rest of a long
conversation need not be looked through for what a reply answers."""

_NO_JOB, _NOTHING_ASKED = -1, 1 << 62


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
    earlier = db.execute(
        f"SELECT 1 FROM messages WHERE contact_id = :contact AND (id < :since OR asked_by < :job) AND {_NOT_FAILED}"
        " LIMIT 1",
        {"contact": contact.id, "since": since, "job": job_id},
    ).fetchone()
    rows, asked, said = _read(db, contact.id, job_id, since, upto, limit=limit, oldest=oldest)
    return Transcript(
        contact,
        contacts.own_names(db, contact),
        f"{row['journal']}-{contact.id}",
        said,
        earlier is not None,
        bool(row["searched"]),
        [row["wamid"] for row in rows if row["id"] in asked and row["type"] in message_text.QUOTABLE and row["body"]],
        next((row["wamid"] for row in reversed(rows) if row["id"] in asked), None),
    )


def next_talk(db: sqlite3.Connection, identity: str, *, limit: int, oldest: float) -> tuple[Contact, list[Said]] | None:
    """The contact of a number or BSUID, and what a reply would continue if they wrote one more message now.

    That one counts among the `limit` messages. None if nobody is known by that name.
    """
    contact = contacts.find(db, identity)
    if contact is None:
        return None
    joins = f"SELECT id, since FROM jobs WHERE contact_id = ? AND {indexes.JOINABLE}"
    job_id, since = db.execute(joins, (contact.id,)).fetchone() or (_NO_JOB, _NOTHING_ASKED)
    _, _, said = _read(db, contact.id, job_id, since, _NOTHING_ASKED, limit=max(limit - 1, 0), oldest=oldest)
    return contact, said


def _read(
    db: sqlite3.Connection, contact_id: int, job_id: int, since: int, upto: int, *, limit: int, oldest: float
) -> tuple[list[sqlite3.Row], set[int], list[Said]]:
    """The rows of a talk, the ids of those being answered, and what is said in them."""
    values = {"contact": contact_id, "since": since, "upto": upto, "limit": limit, "oldest": oldest}
    rows = db.execute(_TALK, {**values, "asked": ASKED_MESSAGES, "longest": MAX_BODY + 1}).fetchall()
    rows = [row for row in rows if not message_text.is_aside(row["type"], row["raw"])]
    about = _about(db, contact_id, rows)
    asked = {row["id"] for row in rows if _is_asked(row, job_id, since)}
    edits = _edits(rows)
    said = [
        Said(
            Origin(row["origin"]),
            edits.get(row["wamid"], row["body"]),
            row["id"] in asked,
            about.get(row["id"], ""),
            _medium(row, asked),
        )
        for row in rows
        if row["type"] != "edit" or _edited(row) not in edits
    ]
    return rows, asked, said


def _edits(rows: Sequence[sqlite3.Row]) -> dict[str, str]:
    """What stands in the place of messages that their author edited: by the wamid, the body of the last edit.

    In the place of a deleted one stands nothing, though an edit may arrive after the deletion.
    """
    here = {row["wamid"]: row["body"] for row in rows if row["wamid"]}
    edits = ((_edited(row), row["body"]) for row in rows if row["type"] == "edit")
    return {wamid: here[wamid] and body for wamid, body in edits if wamid in here}


def _edited(row: sqlite3.Row) -> str:
    return text_of(dict_of(dict_of(stored(row["raw"], None)).get("edit")).get("original_message_id"))


def _medium(row: sqlite3.Row, asked: Set[int]) -> Medium | None:
    """The file of a message that is being answered."""
    if row["type"] not in media.KINDS or row["id"] not in asked:
        return None
    return media.medium_of(dict_of(stored(row["raw"], None)))


def _is_asked(row: sqlite3.Row, job_id: int, since: int) -> bool:
    """Whether a reply answers a message: all since the first one, but for what a merge gave to another reply."""
    if row["direction"] != Direction.IN:
        return False
    return row["id"] >= since if row["asked_by"] is None else bool(row["asked_by"] == job_id)


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
