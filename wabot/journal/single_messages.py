"""One message to one person, queued at once or refused at once.

It is a batch of one recipient that no list shows: so an Idempotency-Key, waiting and the outcome are those of a batch.
It goes in the order of its contact, and overtakes bulk sends.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from wabot.core.may_send import OPTED_OUT, unwanted
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
    person answers the contact from then on, and not the assistant; 0: nothing changes. `category`: of its template, in
    Meta's words; None if they are not known.
    """

    id: str
    key: str | None
    fingerprint: str
    identity: str
    outgoing: Outgoing
    quotes: str | None = None
    takeover_seconds: float = 0.0
    category: str | None = None


@dataclass(frozen=True, slots=True)
class NotQueued:
    """A message that cannot be queued. `field`: where it is wrong; `words`: why, where `reason` says too little."""

    reason: Reason
    field: str = ""
    words: str = ""


def queue_single(db: sqlite3.Connection, single: NewSingle, now: float) -> Queued | NotQueued:
    """Queue a message, unless its key is known, or say why it cannot be."""
    if known := batches.find(db, single.key, single.fingerprint):
        return known
    contact = contacts.find(db, single.identity)
    refused = _refusal(db, single, contact, now)
    if refused is not None:
        return refused
    contact_id = contact.id if contact else contacts.create(db, Person.of(single.identity), now)
    db.execute(
        "INSERT INTO batches (id, key, fingerprint, created_at, single, category) VALUES (?, ?, ?, ?, 1, ?)",
        (single.id, single.key, single.fingerprint, now, single.category),
    )
    job_id = enqueue(db, contact_id, single.outgoing, now=now, batch_id=single.id)
    if single.takeover_seconds:
        takeover.staff_spoke(db, contact_id, now + single.takeover_seconds, now)
    db.execute(
        "INSERT INTO recipients (batch_id, position, number, job_id) VALUES (?, 0, ?, ?)",
        (single.id, single.identity, job_id),
    )
    return Queued(single.id)


def _refusal(db: sqlite3.Connection, single: NewSingle, contact: Contact | None, now: float) -> NotQueued | None:
    stopped, template = contact.stopped if contact else None, single.outgoing.template
    why = OPTED_OUT if stopped is Stop.ALL else template and unwanted(stopped, single.category, bulk=False)
    if why:
        return NotQueued(Reason.OPTED_OUT, words=f"{why[0][0].lower()}{why[0][1:]}")
    if template is None and (contact is None or not contact.window_is_open(now)):
        return NotQueued(Reason.WINDOW_CLOSED)
    if single.quotes is not None:
        of_talk = "SELECT 1 FROM messages WHERE wamid = ? AND contact_id = ?"
        if contact is None or db.execute(of_talk, (single.quotes, contact.id)).fetchone() is None:
            return NotQueued(Reason.INVALID_MESSAGE, "reply_to", "reply_to: no message of this talk has this id")
    return None
