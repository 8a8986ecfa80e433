"""Contacts: one row for a person, found by phone number or BSUID, and re-keyed when Meta says that they moved.

A BSUID outranks a number: numbers are passed on to other people, and a stranger must not inherit a conversation. When
a number moves from one to another, it moves alone, and both talks stay where they are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from wabot.core.messages import Contact, Person, Stop
from wabot.core.phone_numbers import is_bsuid, same_number
from wabot.journal import merging, opt_outs


def stop_of(row: sqlite3.Row) -> Stop | None:
    """What may not be sent to the contact in a row that has its column `stopped`."""
    return Stop(row["stopped"]) if row["stopped"] else None


def of_row(row: sqlite3.Row) -> Contact:
    """The contact in a row that has its columns, and its id as `contact_id`."""
    return Contact(
        id=row["contact_id"],
        wa_id=row["wa_id"],
        bsuid=row["bsuid"],
        name=row["name"],
        last_inbound_at=row["last_inbound_at"],
        stopped=stop_of(row),
        paused_until=row["paused_until"],
        silent_upto=row["silent_upto"],
    )


def find(db: sqlite3.Connection, identity: str) -> Contact | None:
    """The contact that goes by `identity`: digits of a number, or a BSUID."""
    row = db.execute(
        "SELECT c.id AS contact_id, c.* FROM identities i JOIN contacts c ON c.id = i.contact_id WHERE i.value = ?",
        (identity,),
    ).fetchone()
    return of_row(row) if row else None


def own_names(db: sqlite3.Connection, contact: Contact) -> tuple[str, ...]:
    """The names of a contact that were never anybody else's."""
    names = [name for name in (contact.wa_id, contact.bsuid) if name]
    passed = {
        value
        for (value,) in db.execute("SELECT value FROM passed_on WHERE value IN (?, ?)", (contact.wa_id, contact.bsuid))
    }
    return tuple(name for name in names if name not in passed)


def resolve(db: sqlite3.Connection, person: Person, at: float, now: float) -> int:
    """The id of the contact that `person` names, created, completed or merged as what Meta said at `at` requires.

    What is older than what we know takes no number from anybody.
    """
    found = db.execute(
        "SELECT c.*, i.value FROM identities i JOIN contacts c ON c.id = i.contact_id WHERE i.value IN (?, ?)",
        (person.wa_id, person.bsuid),
    ).fetchall()
    by_bsuid = next((row for row in found if row["value"] == person.bsuid), None)
    by_number = next((row for row in found if row["value"] == person.wa_id), None)
    another = by_number is not None and _is_another(db, by_number, person, by_bsuid)
    if person.bsuid and _is_outdated(db, person, by_number if another else None, by_bsuid, at):
        person, by_number = person._replace(wa_id=None), None
    elif another:
        _release(db, person.wa_id, at)
        by_number = None
    if by_bsuid is not None and by_number is not None and by_bsuid["id"] != by_number["id"]:
        known = _row(db, merging.unite(db, by_bsuid["id"], by_number["id"], now, "a number and a BSUID in one message"))
    elif by_bsuid is not None:
        known = by_bsuid
    elif by_number is not None:
        known = by_number
    else:
        return create(db, person, now)
    if known["bsuid"]:  # theirs by now; one that they had before finds them still
        person = person._replace(bsuid=None)
    _complete(db, known, person)
    return int(known["id"])


def _is_another(db: sqlite3.Connection, owner: sqlite3.Row, person: Person, by_bsuid: sqlite3.Row | None) -> bool:
    """Whether the contact that has the number of `person` is another person, the number's former owner.

    A BSUID outranks a number. A contact that had another number until now cannot be the one found by this number.
    """
    if by_bsuid is None:
        return person.bsuid is not None and owner["bsuid"] is not None
    if by_bsuid["id"] == owner["id"]:
        return False
    return bool(owner["bsuid"] or by_bsuid["wa_id"] or merging.parted(db, by_bsuid["id"], owner["id"]))


def _is_outdated(
    db: sqlite3.Connection, person: Person, owner: sqlite3.Row | None, known: sqlite3.Row | None, at: float
) -> bool:
    """Whether the number that `person` had at `at` is not theirs any more.

    `owner`: another contact that has it; `known`: whom the BSUID names. Each may be None.
    """
    if person.wa_id is None or (owner is None and known is not None and known["wa_id"] == person.wa_id):
        return False
    passed = "SELECT 1 FROM passed_on WHERE value = ? AND until > ?"
    if owner is not None:
        later = _wrote_from(db, owner["id"], person.wa_id, at)
    else:
        later = known is not None and known["wa_id"] is not None and _wrote_from(db, known["id"], known["wa_id"], at)
    return later or db.execute(passed, (person.wa_id, at)).fetchone() is not None


def _wrote_from(db: sqlite3.Connection, contact_id: int, number: str, at: float) -> bool:
    """Whether a contact wrote from a number after the time `at`; with it hidden, a message says nothing of that."""
    said = "SELECT * FROM messages WHERE contact_id = ? AND timestamp > ? AND origin = 'person' AND type <> 'system'"
    newest = f"SELECT 1 FROM ({said} ORDER BY timestamp DESC, id DESC LIMIT 200) WHERE person = ?"
    return db.execute(newest, (contact_id, at, number)).fetchone() is not None


def find_or_create(db: sqlite3.Connection, identities: Sequence[str], now: float) -> dict[str, tuple[int, Stop | None]]:
    """The contacts of many identities (digits or BSUIDs), those that we did not know created: (id, what is stopped)."""
    rows = db.execute(
        "SELECT i.value, c.id, c.stopped FROM json_each(?) n JOIN identities i ON i.value = n.value"
        " JOIN contacts c ON c.id = i.contact_id",
        (json.dumps(identities),),
    ).fetchall()
    found = {row["value"]: (row["id"], stop_of(row)) for row in rows}
    unknown = [identity for identity in identities if identity not in found]
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'contacts'").fetchone()
    first = (last[0] if last else 0) + 1
    people = json.dumps([Person.of(identity) for identity in unknown])
    values = {"first": first, "people": people, "names": json.dumps(unknown), "now": now}
    db.execute(
        "INSERT INTO contacts (id, wa_id, bsuid, created_at)"
        " SELECT :first + key, json_extract(value, '$[0]'), json_extract(value, '$[1]'), :now FROM json_each(:people)",
        values,
    )
    db.execute("INSERT INTO identities (value, contact_id) SELECT value, :first + key FROM json_each(:names)", values)
    return found | {identity: (contact_id, None) for contact_id, identity in enumerate(unknown, start=first)}


def rekey(db: sqlite3.Connection, contact_id: int, old: Person, new: Person, *, at: float, now: float) -> int:
    """Meta says that this contact went by `old` until the time `at`, and by `new` since; the id of the contact then.

    The number is given up. The BSUID stays one of their names: it is nobody else's, and Meta may repeat what was said
    under it.
    """
    before = _row(db, contact_id)
    if new.wa_id and new.wa_id != before["wa_id"] and _is_outdated(db, new, None, before, at):
        new = new._replace(wa_id=None)  # they have moved on since
    given_up = {old.wa_id, before["wa_id"] if new.wa_id else None} - {None, new.wa_id or before["wa_id"]}
    for value in (new.wa_id, new.bsuid):
        owner = _owner(db, value) if value else None
        if owner is None or owner["id"] == contact_id:
            continue
        apart = merging.parted(db, contact_id, owner["id"])
        if apart or (value == new.wa_id and _was_another(db, owner, new, at)):
            if value == new.bsuid:  # parted by a person; by Meta's word, what was wished under it is theirs
                opt_outs.share(db, contact_id, owner["id"])
            _release(db, value, at)
        else:
            contact_id = merging.unite(db, contact_id, owner["id"], now, "a change of number or BSUID")
    for value in given_up:
        owner = _owner(db, value)
        if owner is not None and owner["id"] == contact_id:
            _release(db, value, at)
    _complete(db, _row(db, contact_id), new)
    return contact_id


def _was_another(db: sqlite3.Connection, owner: sqlite3.Row, new: Person, at: float) -> bool:
    """Whether the contact that has the number to which another one moved is the number's former owner.

    If not, it is the mover: what they said from there was faster than the news of the move.
    """
    if owner["bsuid"] not in (None, new.bsuid):
        return True
    earlier = "SELECT 1 FROM messages WHERE contact_id = ? AND timestamp < ? LIMIT 1"
    return db.execute(earlier, (owner["id"], at)).fetchone() is not None


def learn_spelling(db: sqlite3.Connection, contact_id: int, asked: str | None, wa_id: str | None, now: float) -> None:
    """Meta writes the number `asked`, to which a contact's message went, as `wa_id` (Brazil, Mexico).

    Its owner will write to us under that one. If another contact has it, they are one person; where two BSUIDs say
    that they are not, the number goes to the one whom it reaches.
    https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
    """
    if not asked or not wa_id or asked == wa_id or not asked.isdigit():
        return  # a BSUID is no spelling of a number
    contact = _owner(db, asked)
    if contact is None or contact["id"] not in opt_outs.everyone(db, contact_id):
        return  # the number was passed on since
    other = _owner(db, wa_id)
    if other is None:
        db.execute("INSERT INTO identities (value, contact_id) VALUES (?, ?)", (wa_id, contact["id"]))
    elif other["id"] == contact["id"]:
        return
    elif (contact["bsuid"] and other["bsuid"]) or merging.parted(db, contact["id"], other["id"]):
        _release(db, asked, now)
        db.execute("INSERT INTO identities (value, contact_id) VALUES (?, ?)", (asked, other["id"]))
        opt_outs.share(db, contact["id"], other["id"])
    else:
        merging.unite(db, contact["id"], other["id"], now, "two spellings of a number")


def is_another(db: sqlite3.Connection, contact_id: int, address: str, person: Person) -> bool:
    """Whether `person` must be another person than the contact, who was sent something at `address`.

    One name in common is enough, in whatever spelling; and a BSUID says nothing against somebody of whom we know the
    number alone, nor a number against a BSUID.
    """
    if address in (person.wa_id, person.bsuid):
        return False
    people = json.dumps(opt_outs.everyone(db, contact_id))
    names = "SELECT value FROM identities WHERE contact_id IN (SELECT value FROM json_each(?))"
    known = {address, *(value for (value,) in db.execute(names, (people,)))}
    if person.bsuid in known or (person.wa_id and any(same_number(person.wa_id, name) for name in known)):
        return False
    return any(person.bsuid if is_bsuid(name) else person.wa_id for name in known)


def create(db: sqlite3.Connection, person: Person, now: float, heard_at: float | None = None) -> int:
    """The id of a new contact, who last wrote at `heard_at`. None of their names may be another contact's."""
    contact_id = db.execute(  # with RETURNING, SQLite would look through all children of the new row
        "INSERT INTO contacts (wa_id, bsuid, name, last_inbound_at, created_at) VALUES (?, ?, ?, ?, ?)",
        (person.wa_id, person.bsuid, person.name, heard_at, now),
    ).lastrowid
    for value in filter(None, (person.wa_id, person.bsuid)):
        db.execute("INSERT INTO identities (value, contact_id) VALUES (?, ?)", (value, contact_id))
    return int(contact_id or 0)


def _complete(db: sqlite3.Connection, known: sqlite3.Row, person: Person) -> None:
    """Take over what `person` says and the row does not have, for all that are one person."""
    wa_id, bsuid = person.wa_id or known["wa_id"], person.bsuid or known["bsuid"]
    name = person.name or known["name"]
    if (wa_id, bsuid, name) == (known["wa_id"], known["bsuid"], known["name"]):
        return
    db.executemany(
        "UPDATE contacts SET wa_id = ?, bsuid = ?, name = ? WHERE id = ?",
        [(wa_id, bsuid, name, one) for one in opt_outs.everyone(db, known["id"])],
    )
    for value in filter(None, (wa_id, bsuid)):
        db.execute("INSERT OR IGNORE INTO identities (value, contact_id) VALUES (?, ?)", (value, known["id"]))


def _row(db: sqlite3.Connection, contact_id: int) -> sqlite3.Row:
    row: sqlite3.Row = db.execute("SELECT * FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    return row


def _owner(db: sqlite3.Connection, value: str | None) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT c.* FROM identities i JOIN contacts c ON c.id = i.contact_id WHERE i.value = ?", (value,)
    ).fetchone()
    return row


def _release(db: sqlite3.Connection, value: str | None, at: float) -> None:
    """Take a number or BSUID from its contact at the time `at`: its next owner is another person."""
    for row in db.execute("DELETE FROM identities WHERE value = ? RETURNING contact_id", (value,)).fetchall():
        db.executemany(
            "UPDATE contacts SET wa_id = nullif(wa_id, ?), bsuid = nullif(bsuid, ?) WHERE id = ?",
            [(value, value, one) for one in opt_outs.everyone(db, row["contact_id"])],
        )
        db.execute(
            "INSERT INTO passed_on (value, until) VALUES (?, ?)"
            " ON CONFLICT (value) DO UPDATE SET until = max(until, excluded.until)",
            (value, at),
        )
