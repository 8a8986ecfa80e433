"""What stays of people who were forgotten: salted hashes.

Those of their numbers and BSUIDs keep what they stopped, and those of their wamids keep out what Meta repeats. Neither
says anything to who has the journal alone: the salt is in a file beside it, and without it, nobody is recognised.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from wabot.core.messages import Person, Stop, Webhook
from wabot.journal import accept as accepting
from wabot.journal import contacts, opt_outs
from wabot.journal.accept import Rules, Taken
from wabot.journal.receipts import ReceiptRules
from wabot.private_file import sync_directory, write_private

SUFFIX = ".salt"
"""Of the file beside the journal."""
REMEMBERED_SECONDS = 30 * 86400.0
"""For so long wamids are recognised: Meta repeats webhooks for a week, and receipts come later than that."""

_SALT_BYTES = 32


def read_salt(journal: Path) -> bytes | None:
    """The salt of a journal; None as long as nobody was forgotten. Raises OSError."""
    file = journal.with_name(journal.name + SUFFIX)
    return file.read_bytes() if file.exists() else None


def keep_salt(_db: sqlite3.Connection, journal: Path) -> bytes:
    """The salt of a journal, made if need be, and on disk. Raises OSError."""
    known = read_salt(journal)
    if known:
        return known
    salt = secrets.token_bytes(_SALT_BYTES)
    write_private(journal.with_name(journal.name + SUFFIX), salt)
    sync_directory(journal.parent)
    return salt


def digest(salt: bytes, value: str) -> str:
    """What stays of a number, BSUID or wamid: 32 hexadecimal digits."""
    return hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()[:32]


def remember_messages(db: sqlite3.Connection, salt: bytes, wamids: Iterable[str | None], now: float) -> None:
    """Recognise these wamids for REMEMBERED_SECONDS."""
    rows = [(digest(salt, wamid), now) for wamid in wamids if wamid]
    db.executemany("INSERT OR IGNORE INTO forgotten_messages (hash, forgotten_at) VALUES (?, ?)", rows)


def remember_person(db: sqlite3.Connection, salt: bytes, contact_id: int, names: Iterable[str]) -> None:
    """Recognise a contact, who is about to be forgotten, by any of their names: what they stopped holds."""
    stopped = db.execute("SELECT stopped, stopped_at FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    for name in names:
        passed = db.execute("SELECT until FROM passed_on WHERE value = ?", (name,)).fetchone()
        row = (digest(salt, name), *stopped, passed["until"] if passed else None)
        db.execute("INSERT OR REPLACE INTO forgotten_people VALUES (?, ?, ?, ?)", row)


def without(db: sqlite3.Connection, salt: bytes, incoming: Webhook) -> Webhook:
    """A webhook without what is said to be about forgotten messages."""
    wamids = [message.wamid for message in incoming.messages] + [receipt.wamid for receipt in incoming.receipts]
    said = {wamid: digest(salt, wamid) for wamid in wamids}
    known = _known(db, "forgotten_messages", said.values())
    if not known:
        return incoming
    return replace(
        incoming,
        messages=tuple(message for message in incoming.messages if said[message.wamid] not in known),
        receipts=tuple(receipt for receipt in incoming.receipts if said[receipt.wamid] not in known),
    )


def accept(
    db: sqlite3.Connection, incoming: Webhook, now: float, rules: Rules, receipt_rules: ReceiptRules, *, salt: bytes
) -> Taken:
    """Store a webhook, without what is about forgotten messages; forgotten people who write are bound as before."""
    heard = without(db, salt, incoming)
    welcome_back(db, salt, people_of(heard), now)
    return accepting.accept(db, heard, now, rules, receipt_rules)


def people_of(incoming: Webhook) -> list[Person]:
    """Everybody whom a webhook may make a contact."""
    moved = [message.moved_to for message in incoming.messages if message.moved_to is not None]
    return [message.person for message in incoming.messages] + moved + [said.person for said in incoming.preferences]


def welcome_back(db: sqlite3.Connection, salt: bytes, people: Iterable[Person], now: float) -> None:
    """Make those of these people who were forgotten contacts again, with what they stopped.

    To be called before anything else makes them new contacts.
    """
    hashes = {name: digest(salt, name) for person in people for name in (person.wa_id, person.bsuid) if name}
    known = _known(db, "forgotten_people", hashes.values())
    for name, hashed in hashes.items():
        if hashed not in known:
            continue
        (row,) = db.execute("DELETE FROM forgotten_people WHERE hash = ? RETURNING *", (hashed,)).fetchall()
        if row["passed_until"] is not None:
            db.execute("INSERT OR IGNORE INTO passed_on VALUES (?, ?)", (name, row["passed_until"]))
        person = Person.of(name)
        contact_id = contacts.resolve(db, person, now, now)
        db.execute("UPDATE contacts SET searched = ? WHERE id = ?", (int(now), contact_id))  # nothing is in the archive
        if row["stopped"]:
            _stop_again(db, contact_id, Stop(row["stopped"]), row["stopped_at"] or 0.0)


def _stop_again(db: sqlite3.Connection, contact_id: int, what: Stop, at: float) -> None:
    if what is Stop.UNREACHABLE:
        opt_outs.suppress(db, contact_id, None, at)
    else:
        opt_outs.record(db, contact_id, what, at, stop=True)


def prune(db: sqlite3.Connection, *, now: float, limit: int) -> int:
    """Drop hashes of wamids that are older than REMEMBERED_SECONDS; how many."""
    return db.execute(
        "DELETE FROM forgotten_messages WHERE hash IN (SELECT hash FROM forgotten_messages WHERE forgotten_at < ?"
        " ORDER BY forgotten_at LIMIT ?)",
        (now - REMEMBERED_SECONDS, limit),
    ).rowcount


def _known(db: sqlite3.Connection, table: str, hashes: Iterable[str]) -> set[str]:
    """Those of `hashes` that a table has."""
    found = f"SELECT hash FROM {table} WHERE hash IN (SELECT value FROM json_each(?))"
    return {hashed for (hashed,) in db.execute(found, (json.dumps(list(hashes)),))}
