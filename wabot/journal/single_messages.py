"""One message to one person, queued at once or refused at once.

It is a batch of one recipient that no list shows: so an Idempotency-Key, waiting and the outcome are those of a batch.
It goes in the order of its contact, and overtakes bulk sends.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from wabot.core.messages import Contact, Person, Stop
from wabot.core.outgoing import Outgoing
from wabot.journal import batches, contacts, takeover
from wabot.journal.batches import Queued
from wabot.journal.queue import enqueue


class Reason(StrEnum):
    """Why a message is not queued."""

    WINDOW_CLOSED = "window_closed"
    OPTED_OUT = "opted_out"
    INVALID_NUMBER = "invalid_number"
    INVALID_MESSAGE = "invalid_message"


@dataclass(frozen=True, slots=True)
class NewSingle:
    """A message to be queued; `key` and `fingerprint` as a batch has them. `identity`: digits, or a BSUID.

    `quotes`: the wamid of the message that it quotes, which must be of the same talk. `takeover_seconds`: for so long a
    person answers the contact from then on, and not the assistant; 0: nothing changes.
    """

    id: str
    key: str | None
    fingerprint: str
    identity: str
    outgoing: Outgoing
    quotes: str | None = None
    takeover_seconds: float = 0.0


def queue_single(db: sqlite3.Connection, single: NewSingle, now: float) -> Queued | Reason:
    """Queue a message, unless its key is known, or say why it cannot be."""
    if known := batches.find(db, single.key, single.fingerprint):
        return known
    contact = contacts.find(db, single.identity)
    reason = _refusal(db, single, contact, now)
    if reason is not None:
        return reason
    contact_id = contact.id if contact else contacts.create(db, Person.of(single.identity), now)
    db.execute(
        "INSERT INTO batches (id, key, fingerprint, created_at, single) VALUES (?, ?, ?, ?, 1)",
        (single.id, single.key, single.fingerprint, now),
    )
    job_id = enqueue(db, contact_id, single.outgoing, now=now, batch_id=single.id)
    if single.takeover_seconds:
        takeover.staff_spoke(db, contact_id, now + single.takeover_seconds, now)
    db.execute(
        "INSERT INTO recipients (batch_id, position, number, job_id) VALUES (?, 0, ?, ?)",
        (single.id, single.identity, job_id),
    )
    return Queued(single.id)


def _refusal(db: sqlite3.Connection, single: NewSingle, contact: Contact | None, now: float) -> Reason | None:
    if contact is not None and contact.stopped is Stop.ALL:
        return Reason.OPTED_OUT
    if single.outgoing.template is None and (contact is None or not contact.window_is_open(now)):
        return Reason.WINDOW_CLOSED
    if single.quotes is not None:
        of_talk = "SELECT 1 FROM messages WHERE wamid = ? AND contact_id = ?"
        if contact is None or db.execute(of_talk, (single.quotes, contact.id)).fetchone() is None:
            return Reason.INVALID_MESSAGE
    return None
