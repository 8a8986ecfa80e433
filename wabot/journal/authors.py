"""Whose message it is: a contact known exactly so, a new one, or one to be completed or merged (see contacts.py).

The first two take as few statements as possible, since most messages are theirs.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from wabot.core.messages import Inbound, Person, Stop
from wabot.journal import contacts, opt_outs

WINDOW_PRECISION = 60.0
"""Seconds by which we may think that the 24-hour window closes early: it spares a page to write for every bubble."""

_SEEN = (
    "SELECT EXISTS (SELECT 1 FROM identities WHERE value = ?1) OR EXISTS (SELECT 1 FROM identities WHERE value = ?2)"
    " OR EXISTS (SELECT 1 FROM passed_on WHERE value = ?1) OR EXISTS (SELECT 1 FROM passed_on WHERE value = ?2)"
)
"""Whether anybody has or had one of two names. For `value IN (?1, ?2)` SQLite would first make a table of the two."""


class Author(NamedTuple):
    """The contact whose message it is, what could not be sent to them before it, and whether a person answers them."""

    id: int
    stopped: Stop | None
    paused: bool = False


def of_message(db: sqlite3.Connection, message: Inbound, at: float, now: float, *, opens_window: bool) -> Author | None:
    """The contact whose message it is; None where the message is stored already.

    `opens_window`: it shows that they can be reached, and opens the 24-hour window.
    """
    known = _heard_again(db, message.person, at) if opens_window else None
    if known is not None:
        return _author(known, now)
    if db.execute("SELECT 1 FROM messages WHERE wamid = ?", (message.wamid,)).fetchone():
        return None
    new = _heard_first(db, message.person, at, now) if opens_window else None
    if new is not None:
        return Author(new, None)
    contact_id = contacts.resolve(db, message.person, at, now)
    if opens_window:
        return _author(_heard(db, contact_id, at), now)
    return Author(contact_id, opt_outs.of(db, contact_id))


def _author(row: sqlite3.Row, now: float) -> Author:
    paused_until = row["paused_until"]
    return Author(row["id"], contacts.stop_of(row), paused_until is not None and now < paused_until)


def _heard_again(db: sqlite3.Connection, person: Person, at: float) -> sqlite3.Row | None:
    """`person` wrote at a time: their row if we know them exactly so; None = see `_heard_first`."""
    row: sqlite3.Row | None = db.execute(
        "SELECT c.id, c.wa_id, c.bsuid, c.name, c.last_inbound_at, c.stopped, c.paused_until"
        " FROM identities i JOIN contacts c ON c.id = i.contact_id WHERE i.value = ?",
        (person.bsuid or person.wa_id,),
    ).fetchone()
    if row is None or (row["wa_id"], row["bsuid"], row["name"]) != (person.wa_id, person.bsuid, person.name):
        return None
    if (row["last_inbound_at"] or 0.0) + WINDOW_PRECISION < at or row["stopped"] == Stop.UNREACHABLE:
        return _heard(db, row["id"], at)
    return row


def _heard_first(db: sqlite3.Connection, person: Person, at: float, now: float) -> int | None:
    """`person` wrote at a time: the id of a new contact; None if a name of theirs was seen: see `contacts.resolve`."""
    seen = db.execute(_SEEN, (person.wa_id, person.bsuid)).fetchone()[0]
    return None if seen else contacts.create(db, person, now, heard_at=at)


def _heard(db: sqlite3.Connection, contact_id: int, at: float) -> sqlite3.Row:
    """A contact wrote at a time, so they can be reached and answered for 24 hours. (id, stopped, paused_until)

    What they wrote before Meta could not reach them, delivered late or once more, says nothing of that.
    """
    rows: list[sqlite3.Row] = db.execute(
        "UPDATE contacts SET last_inbound_at = max(coalesce(last_inbound_at, 0), :at),"
        " stopped = iif(stopped_at > :at, stopped, nullif(stopped, 'unreachable'))"
        " WHERE id = :id RETURNING id, stopped, paused_until",
        {"at": at, "id": contact_id},
    ).fetchall()
    return rows[0]
