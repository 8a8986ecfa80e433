"""Batches: the sends of one `/initiate-bulk` request, queued in one commit, and the results in the order asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wabot.core.jobs import OPEN, Outgoing, State
from wabot.core.messages import Stop
from wabot.journal import contacts, copies
from wabot.journal.queue import BULK, enqueue_all


@dataclass(frozen=True, slots=True)
class Recipient:
    """One entry of a request: the number as asked, its digits (None where it cannot be one), and what to send."""

    asked: str
    number: str | None
    outgoing: Outgoing | None = None


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A request to be queued. `fingerprint` tells two requests with the same Idempotency-Key `key` apart."""

    id: str
    key: str | None
    fingerprint: str
    recipients: Sequence[Recipient]


@dataclass(frozen=True, slots=True)
class Queued:
    """The batch that stands for a request: new, known already, or (`conflict`) the key of another request."""

    id: str
    known: bool = False
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one recipient so far."""

    number: str
    state: State | None
    job_id: int | None
    duplicate: bool
    answer: Any
    error: str | None
    error_code: int | str | None


_Place = tuple[int | None, str | None, str | None]
"""Where one recipient went: the job, or why there is none (text and code)."""

_INVALID: _Place = (None, "Invalid phone number", "invalid_number")
_OPTED_OUT: _Place = (None, "This person opted out", "opted_out")
_UNREACHABLE: _Place = (None, "Meta could not reach this person before; they have to write first", "unreachable")
_STOPPED = {Stop.ALL: _OPTED_OUT, Stop.MARKETING: _OPTED_OUT, Stop.UNREACHABLE: _UNREACHABLE}


def queue_batch(db: sqlite3.Connection, batch: NewBatch, now: float) -> Queued:
    """Owe every recipient of `batch` their message, all or none; a key that is known already queues nothing."""
    known = batch.key and db.execute("SELECT id, fingerprint FROM batches WHERE key = ?", (batch.key,)).fetchone()
    if known:
        return Queued(known["id"], known=True, conflict=known["fingerprint"] != batch.fingerprint)
    db.execute(
        "INSERT INTO batches (id, key, fingerprint, created_at) VALUES (?, ?, ?, ?)",
        (batch.id, batch.key, batch.fingerprint, now),
    )
    asked: dict[str, Outgoing] = {}
    for recipient in batch.recipients:
        if recipient.number and recipient.outgoing:
            asked.setdefault(recipient.number, recipient.outgoing)
    places = _queue_all(db, batch.id, asked, now)
    rows, seen = [], set[str]()
    for position, recipient in enumerate(batch.recipients):
        place = places.get(recipient.number or "", _INVALID)
        rows.append((batch.id, position, recipient.number or recipient.asked, recipient.number in seen, *place))
        seen.add(recipient.number or "")
    db.executemany(
        "INSERT INTO recipients (batch_id, position, number, duplicate, job_id, error, error_code)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return Queued(batch.id)


def results(db: sqlite3.Connection, batch_id: str) -> list[Result] | None:
    """What became of each recipient, in the order asked; None for a batch that we do not know."""
    if not db.execute("SELECT 1 FROM batches WHERE id = ?", (batch_id,)).fetchone():
        return None
    rows = db.execute(
        "SELECT r.number, r.job_id, r.duplicate, j.state, j.answer, coalesce(r.error, j.error) AS error,"
        " coalesce(r.error_code, j.error_code) AS error_code,"
        " coalesce(m.wamid, m.shared_wamid) AS wamid, m.error AS message_error, m.error_code AS message_code"
        " FROM recipients r LEFT JOIN jobs j ON j.id = r.job_id LEFT JOIN messages m ON m.job_id = r.job_id"
        " WHERE r.batch_id = ? ORDER BY r.position",
        (batch_id,),
    ).fetchall()
    return [_result(row) for row in rows]


def is_open(db: sqlite3.Connection, batch_id: str) -> bool:
    """Whether something of a batch is still to come."""
    return (
        db.execute(
            "SELECT 1 FROM jobs WHERE batch_id = ? AND batch_id IS NOT NULL"
            " AND state IN ('waiting', 'queued', 'running', 'in_doubt', 'held') LIMIT 1",
            (batch_id,),
        ).fetchone()
        is not None
    )


def _queue_all(db: sqlite3.Connection, batch_id: str, asked: dict[str, Outgoing], now: float) -> dict[str, _Place]:
    """Owe each number its message, unless its contact may not get it; where each went."""
    found = contacts.find_or_create(db, list(asked), now)
    places = {number: _STOPPED[stopped] for number, (_, stopped) in found.items() if stopped}
    owed = [number for number in asked if number not in places]
    ids = enqueue_all(
        db, [(found[number][0], asked[number]) for number in owed], now=now, priority=BULK, batch_id=batch_id
    )
    return places | {number: (job_id, None, None) for number, job_id in zip(owed, ids, strict=True)}


def _result(row: sqlite3.Row) -> Result:
    """The last word is the message's: a late failure, a cancel. A send that is still open shows no error."""
    state = State(row["state"]) if row["state"] else None
    error, code = row["error"], row["error_code"]
    if state in OPEN:
        error = code = None
    elif state is State.DONE or row["message_error"]:
        error, code = row["message_error"], row["message_code"]
    return Result(
        number=row["number"],
        state=state,
        job_id=row["job_id"],
        duplicate=bool(row["duplicate"]),
        answer=copies.response(row["answer"], row["wamid"]),
        error=error,
        error_code=code,
    )
