"""Contacts: one row for a person, found by phone number or BSUID, and re-keyed when Meta says that they moved.

A BSUID outranks a number: numbers are passed on to other people, and a stranger must not inherit a conversation.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from wabot.core.jobs import Event, State, move
from wabot.core.messages import Contact, Person, Stop
from wabot.journal.queue import promote


def of_row(row: sqlite3.Row) -> Contact:
    """The contact in a row that has its columns, and its id as `contact_id`."""
    return Contact(
        id=row["contact_id"],
        wa_id=row["wa_id"],
        bsuid=row["bsuid"],
        name=row["name"],
        last_inbound_at=row["last_inbound_at"],
        stopped=Stop(row["stopped"]) if row["stopped"] else None,
    )


def find(db: sqlite3.Connection, identity: str) -> Contact | None:
    """The contact that goes by `identity`: digits of a number, or a BSUID."""
    row = db.execute(
        "SELECT c.id AS contact_id, c.* FROM identities i JOIN contacts c ON c.id = i.contact_id WHERE i.value = ?",
        (identity,),
    ).fetchone()
    return of_row(row) if row else None


def resolve(db: sqlite3.Connection, person: Person, now: float) -> int:
    """The id of the contact that `person` names, created, completed or merged as what Meta says now requires."""
    found = db.execute(
        "SELECT c.id, c.wa_id, c.bsuid, c.name, i.value FROM identities i JOIN contacts c ON c.id = i.contact_id"
        " WHERE i.value IN (?, ?)",
        (person.wa_id, person.bsuid),
    ).fetchall()
    if not found:
        return _create(db, person, now)
    by_bsuid = next((row for row in found if row["value"] == person.bsuid), None)
    by_number = next((row for row in found if row["value"] == person.wa_id), None)
    if by_bsuid is None and by_number is not None and person.bsuid and by_number["bsuid"]:
        _release(db, person.wa_id)
        return _create(db, person, now)
    if by_bsuid is not None and by_number is not None and by_bsuid["id"] != by_number["id"]:
        return _settle_claims(db, person, by_bsuid, by_number, now)
    known = found[0]
    _complete(db, known, person)
    return int(known["id"])


def find_or_create(db: sqlite3.Connection, numbers: Sequence[str], now: float) -> dict[str, tuple[int, Stop | None]]:
    """The contacts of many numbers at once, those that we did not know created: number → (id, what is stopped)."""
    rows = db.execute(
        "SELECT i.value, c.id, c.stopped FROM json_each(?) n JOIN identities i ON i.value = n.value"
        " JOIN contacts c ON c.id = i.contact_id",
        (json.dumps(numbers),),
    ).fetchall()
    found = {row["value"]: (row["id"], Stop(row["stopped"]) if row["stopped"] else None) for row in rows}
    unknown = [number for number in numbers if number not in found]
    first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM contacts").fetchone()[0]
    values = {"first": first, "numbers": json.dumps(unknown), "now": now}
    db.execute(
        "INSERT INTO contacts (id, wa_id, created_at) SELECT :first + key, value, :now FROM json_each(:numbers)", values
    )
    db.execute("INSERT INTO identities (value, contact_id) SELECT value, :first + key FROM json_each(:numbers)", values)
    return found | {number: (contact_id, None) for contact_id, number in enumerate(unknown, start=first)}


WINDOW_PRECISION = 60.0
"""Seconds by which we may think that the 24-hour window closes early: it spares a page to write for every bubble."""


def heard_again(db: sqlite3.Connection, person: Person, at: float) -> sqlite3.Row | None:
    """`person` wrote at a time: (id, stopped) if we know them exactly so; None = see `resolve` and `heard`."""
    row: sqlite3.Row | None = db.execute(
        "SELECT c.* FROM identities i JOIN contacts c ON c.id = i.contact_id WHERE i.value = ?",
        (person.bsuid or person.wa_id,),
    ).fetchone()
    if row is None or (row["wa_id"], row["bsuid"], row["name"]) != (person.wa_id, person.bsuid, person.name):
        return None
    if (row["last_inbound_at"] or 0.0) + WINDOW_PRECISION < at or row["stopped"] == Stop.UNREACHABLE:
        return heard(db, row["id"], at)
    return row


def heard(db: sqlite3.Connection, contact_id: int, at: float) -> sqlite3.Row:
    """A contact wrote at a time: they can be reached again, and answered for 24 hours. (id, stopped)

    What they wrote before Meta could not reach them, delivered late or once more, says nothing of that.
    """
    rows: list[sqlite3.Row] = db.execute(
        "UPDATE contacts SET last_inbound_at = max(coalesce(last_inbound_at, 0), :at),"
        " stopped = iif(stopped_at > :at, stopped, nullif(stopped, 'unreachable'))"
        " WHERE id = :id RETURNING id, stopped",
        {"at": at, "id": contact_id},
    ).fetchall()
    return rows[0]


def rekey(db: sqlite3.Connection, contact_id: int, new: Person, now: float) -> int:
    """Meta says that this contact goes by `new` from now on; the id of the contact that they are then."""
    old = db.execute("SELECT wa_id, bsuid FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    for value, replaced in ((new.wa_id, old["wa_id"]), (new.bsuid, old["bsuid"])):
        if value is None or value == replaced:
            continue
        owner = db.execute("SELECT contact_id FROM identities WHERE value = ?", (value,)).fetchone()
        if owner and owner[0] != contact_id:
            contact_id = merge(db, contact_id, int(owner[0]), now) or contact_id
        _release(db, replaced)
    _complete(db, _row(db, contact_id), new)
    return contact_id


def merge(db: sqlite3.Connection, one: int, other: int, now: float) -> int | None:
    """Two contacts turned out to be one person: the older takes over all that was said and owed; returns its id.

    None while both have something in flight, for their queues cannot be joined then without breaking the order: they
    stay two until the next message tries again.
    """
    keep, gone = min(one, other), max(one, other)
    in_flight = "SELECT 1 FROM jobs WHERE kind = ? AND contact_id = ? AND state IN ('running', 'in_doubt')"
    for kind in ("send", "reply"):
        if all(db.execute(in_flight, (kind, contact)).fetchone() for contact in (keep, gone)):
            return None
    _join_sends(db, keep, gone)
    _join_replies(db, keep, gone, now)
    db.execute("UPDATE messages SET contact_id = ?, version = version + 1 WHERE contact_id = ?", (keep, gone))
    db.execute("UPDATE jobs SET contact_id = ? WHERE contact_id = ?", (keep, gone))
    db.execute("UPDATE identities SET contact_id = ? WHERE contact_id = ?", (keep, gone))
    db.execute(
        "UPDATE contacts SET wa_id = coalesce(contacts.wa_id, g.wa_id), bsuid = coalesce(contacts.bsuid, g.bsuid),"
        " name = coalesce(nullif(contacts.name, ''), g.name), last_inbound_at = coalesce("
        "max(contacts.last_inbound_at, g.last_inbound_at), contacts.last_inbound_at, g.last_inbound_at)"
        " FROM contacts g WHERE contacts.id = ? AND g.id = ?",
        (keep, gone),
    )
    lost = db.execute("SELECT stopped, stopped_at FROM contacts WHERE id = ?", (gone,)).fetchone()
    if lost["stopped"]:
        stop(db, keep, Stop(lost["stopped"]), lost["stopped_at"])
    db.execute("DELETE FROM contacts WHERE id = ?", (gone,))
    promote(db, keep, now)
    return keep


def stop(db: sqlite3.Connection, contact_id: int, what: Stop, now: float) -> None:
    """Remember that we may not send `what`; what forbids more is never replaced by what forbids less."""
    db.execute(
        "UPDATE contacts SET stopped = :what, stopped_at = :now WHERE id = :id AND (stopped IS NULL"
        " OR (:what = 'all' AND stopped <> 'all') OR (:what = 'marketing' AND stopped = 'unreachable'))",
        {"what": what, "now": now, "id": contact_id},
    )


def suppress(db: sqlite3.Connection, contact_id: int, code: int | str | None, now: float) -> None:
    """Meta says that this person does not get our messages: none of our marketing (131050), or none at all."""
    stop(db, contact_id, Stop.MARKETING if code == 131050 else Stop.UNREACHABLE, now)


def resume(db: sqlite3.Connection, contact_id: int, what: Stop) -> None:
    """Lift the stop, if it is `what`."""
    db.execute("UPDATE contacts SET stopped = NULL, stopped_at = NULL WHERE id = ? AND stopped = ?", (contact_id, what))


def _create(db: sqlite3.Connection, person: Person, now: float) -> int:
    contact_id = db.execute(  # with RETURNING, SQLite would look through all children of the new row
        "INSERT INTO contacts (wa_id, bsuid, name, created_at) VALUES (?, ?, ?, ?)",
        (person.wa_id, person.bsuid, person.name, now),
    ).lastrowid
    for value in filter(None, (person.wa_id, person.bsuid)):
        db.execute("INSERT INTO identities (value, contact_id) VALUES (?, ?)", (value, contact_id))
    return int(contact_id or 0)


def _complete(db: sqlite3.Connection, known: sqlite3.Row, person: Person) -> None:
    """Take over what `person` says and the row does not have."""
    wa_id, bsuid = person.wa_id or known["wa_id"], person.bsuid or known["bsuid"]
    name = person.name or known["name"]
    if (wa_id, bsuid, name) == (known["wa_id"], known["bsuid"], known["name"]):
        return
    db.execute("UPDATE contacts SET wa_id = ?, bsuid = ?, name = ? WHERE id = ?", (wa_id, bsuid, name, known["id"]))
    for value in filter(None, (wa_id, bsuid)):
        db.execute("INSERT OR IGNORE INTO identities (value, contact_id) VALUES (?, ?)", (value, known["id"]))


def _settle_claims(
    db: sqlite3.Connection, person: Person, by_bsuid: sqlite3.Row, by_number: sqlite3.Row, now: float
) -> int:
    """Number and BSUID lead to two contacts: one person that we met twice, or a number that was passed on."""
    if by_number["bsuid"] is None:
        merged = merge(db, int(by_bsuid["id"]), int(by_number["id"]), now)
        if merged is None:
            return int(by_bsuid["id"])
        _complete(db, _row(db, merged), person)
        return merged
    _release(db, person.wa_id)
    _complete(db, by_bsuid, person)
    return int(by_bsuid["id"])


def _row(db: sqlite3.Connection, contact_id: int) -> sqlite3.Row:
    row: sqlite3.Row = db.execute("SELECT * FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    return row


def _release(db: sqlite3.Connection, value: str | None) -> None:
    """Nobody goes by `value` any more."""
    for row in db.execute("DELETE FROM identities WHERE value = ? RETURNING contact_id", (value,)).fetchall():
        db.execute(
            "UPDATE contacts SET wa_id = nullif(wa_id, ?), bsuid = nullif(bsuid, ?) WHERE id = ?",
            (value, value, row["contact_id"]),
        )


def _join_sends(db: sqlite3.Connection, keep: int, gone: int) -> None:
    """Make the open sends of both fit into one queue: one head."""
    head = "SELECT 1 FROM jobs WHERE contact_id = ? AND kind = 'send' AND state IN ('queued', 'running', 'in_doubt')"
    if all(db.execute(head, (contact,)).fetchone() for contact in (keep, gone)):
        db.execute(
            "UPDATE jobs SET state = ? WHERE contact_id IN (?, ?) AND kind = 'send'"
            " AND state IN ('queued', 'running', 'in_doubt') AND state = 'queued'",
            (move(State.QUEUED, Event.DEMOTE), keep, gone),
        )


def _join_replies(db: sqlite3.Connection, keep: int, gone: int, now: float) -> None:
    """Make the open replies of both fit together: one that further bubbles join, behind the one that runs if any."""
    joinable = "contact_id = ? AND kind = 'reply' AND state IN ('queued', 'waiting')"
    spare = db.execute(f"SELECT id, since, expires_at FROM jobs WHERE {joinable}", (gone,)).fetchone()
    if spare is not None:
        joined = db.execute(
            f"UPDATE jobs SET since = min(since, ?), expires_at = max(expires_at, ?) WHERE {joinable}",
            (spare["since"], spare["expires_at"], keep),
        ).rowcount
        if joined:
            db.execute(
                "UPDATE jobs SET state = ?, settled_at = ?, error = 'joined the reply of the same person' WHERE id = ?",
                (State.CANCELLED, now, spare["id"]),
            )
    running = "SELECT 1 FROM jobs WHERE contact_id IN (?, ?) AND kind = 'reply' AND state = 'running'"
    if db.execute(running, (keep, gone)).fetchone():
        db.executemany(
            f"UPDATE jobs SET state = ? WHERE {joinable} AND state = 'queued'",
            [(move(State.QUEUED, Event.DEMOTE), contact) for contact in (keep, gone)],
        )
