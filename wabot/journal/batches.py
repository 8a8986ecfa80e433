"""Batches: the sends of one `/initiate-bulk` request, all or none, and the results in the order asked.

A batch is a draft while its recipients are being written down: nobody sees it, and it is forgotten where that breaks
off. It begins in one small commit. From then on it is queued to its end, by the request, by the timers, or after a
restart. A small one does all of that in a single commit; of a large one each commit does a slice, so that nobody waits
long.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from wabot.core.may_send import unwanted
from wabot.core.outgoing import Outgoing
from wabot.journal import contacts, contents, indexes, retry_and_cancel
from wabot.journal.queue import enqueue_bulk


@dataclass(frozen=True, slots=True)
class Recipient:
    """One entry of a request: the number as asked, its digits (None where it cannot be one), and what to send.

    `size`: about how many characters that has, where it is for them alone.
    """

    asked: str
    number: str | None
    outgoing: Outgoing | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A request to be queued. `fingerprint` distinguishes requests with the same Idempotency-Key `key`.

    `send_at`: when its sends are to be queued; None: now. Until then nobody waits behind them. `category`: of its
    template, in Meta's words; None if they are not known. `template`: its name and language.
    """

    id: str
    key: str | None
    fingerprint: str
    recipients: Sequence[Recipient]
    send_at: float | None = None
    category: str | None = None
    template: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """The batch that stands for a request: new, known already, or (`conflict`) the key of another request."""

    id: str
    known: bool = False
    conflict: bool = False


SLICE, SLICE_SIZE = 500, 1 << 20
"""Recipients that one commit takes, and characters of what is to be sent to them. So many take 6 ms of CPU; with fewer,
a large batch would wait for more fsyncs than work."""
WRITTEN_AT_ONCE = 4
"""Slices that are written down in one commit, which takes a quarter of the time of queueing them."""
CANCELLED_AT_ONCE = 200
"""Recipients whose sends one commit cancels."""
FEW, FEW_SIZE = 10, 65_536
"""A batch up to this size is as light as a webhook: many may share a commit."""
_FORGOTTEN_AT_ONCE, _RESULTS_AT_ONCE = 50, 1000
"""Rows that one commit deletes: of a draft, where each has a content, and of the results of a batch."""
_DRAFT = -1

UNFINISHED = "next_position IS NOT NULL AND (coalesce(send_at, 0) <= :now OR cancelled_at IS NOT NULL)"
"""Of batches: something of it is still to be queued, or to be cancelled, and due."""

_Place = tuple[int | None, str | None, str | None]
"""The job of one recipient, or why there is none (text and code)."""

_CANCELLED: _Place = (None, "Cancelled", "cancelled")
_INVALID: _Place = (None, "Invalid phone number", "invalid_number")


def queue_batch(db: sqlite3.Connection, batch: NewBatch, now: float) -> Queued:
    """Queue the messages of a whole batch at once; a key that is known already queues nothing."""
    if known := find(db, batch.key, batch.fingerprint):
        return known
    draft(db, batch, now)
    firsts = first_positions(batch)
    for part in parts(batch):
        write_down(db, batch, firsts, part)
    queued = begin(db, batch)
    while batch.send_at is None and queue_next(db, batch.id, now):
        pass
    return queued


def find(db: sqlite3.Connection, key: str | None, fingerprint: str) -> Queued | None:
    """The batch for which the Idempotency-Key of a request with this fingerprint stands already."""
    known = key and db.execute("SELECT id, fingerprint FROM batches WHERE key = ?", (key,)).fetchone()
    return Queued(known["id"], known=True, conflict=known["fingerprint"] != fingerprint) if known else None


def knows_key(db: sqlite3.Connection, key: str) -> bool:
    """Whether an Idempotency-Key stands for something that was queued."""
    return db.execute("SELECT 1 FROM batches WHERE key = ?", (key,)).fetchone() is not None


def draft(db: sqlite3.Connection, batch: NewBatch, now: float) -> None:
    """The first of three steps: `write_down` the recipients, then `begin`."""
    db.execute(
        "INSERT INTO batches (id, fingerprint, created_at, next_position, category, template, language)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (batch.id, batch.fingerprint, now, _DRAFT, batch.category, *(batch.template or (None, None))),
    )


def is_light(batch: NewBatch) -> bool:
    """Whether a batch may share its commit with others like it."""
    return len(batch.recipients) <= FEW and sum(recipient.size for recipient in batch.recipients) <= FEW_SIZE


def parts(batch: NewBatch, slices: int = 1) -> list[range]:
    """The positions of a batch in parts of so many slices: each as much as one commit takes."""
    starts, size = [0], 0
    for position, recipient in enumerate(batch.recipients):
        length = position - starts[-1]
        if length and (length == SLICE * slices or size + recipient.size > SLICE_SIZE):
            starts.append(position)
            size = 0
        size += recipient.size
    return [range(start, end) for start, end in pairwise((*starts, len(batch.recipients)))]


def first_positions(batch: NewBatch) -> dict[str, int]:
    """The first position of each number."""
    firsts: dict[str, int] = {}
    for position, recipient in enumerate(batch.recipients):
        if recipient.number:
            firsts.setdefault(recipient.number, position)
    return firsts


def write_down(db: sqlite3.Connection, batch: NewBatch, firsts: Mapping[str, int], part: range) -> None:
    """Store the recipients at some positions, with the content for each."""
    recipients = [(position, batch.recipients[position]) for position in part]
    news = {position: r.outgoing for position, r in recipients if r.outgoing and firsts.get(r.number or "") == position}
    ids = contents.store(db, news.values())
    rows: list[tuple[Any, ...]] = []
    for position, recipient in recipients:
        first = firsts.get(recipient.number or "", position)
        again = first if first != position else None
        content = ids[id(news[position])] if position in news else None
        trouble = _INVALID[1:] if recipient.number is None else (None, None)
        number = recipient.number or recipient.asked
        rows.append((batch.id, position, number, again is not None, again, content, *trouble))
    db.executemany(
        "INSERT INTO recipients (batch_id, position, number, duplicate, same_as, content_id, error, error_code)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def begin(db: sqlite3.Connection, batch: NewBatch) -> Queued:
    """A draft that is written down becomes the batch of its key, unless another was faster: then it stays a draft."""
    if known := find(db, batch.key, batch.fingerprint):
        return known
    db.execute("UPDATE batches SET key = ?, next_position = 0 WHERE id = ?", (batch.key, batch.id))
    if batch.send_at is not None:
        db.execute("UPDATE batches SET send_at = ? WHERE id = ?", (batch.send_at, batch.id))
    return Queued(batch.id)


def queue_next(db: sqlite3.Connection, batch_id: str, now: float) -> bool:
    """Queue the next slice of a batch that has begun, or cancel it in one that was cancelled; whether there is more."""
    begun = "SELECT id, next_position, cancelled_at, category FROM batches WHERE id = ? AND next_position >= 0"
    batch = db.execute(begun, (batch_id,)).fetchone()
    if batch is None:
        return False
    cancelled = batch["cancelled_at"] is not None
    size = CANCELLED_AT_ONCE if cancelled else SLICE
    rows = db.execute(
        "SELECT position, number, job_id, content_id, same_as FROM recipients WHERE batch_id = ? AND position >= ?"
        " ORDER BY position LIMIT ?",
        (batch_id, batch["next_position"], size),
    ).fetchall()
    asked = {row["number"]: row["content_id"] for row in rows if row["content_id"]}
    places = dict.fromkeys(asked, _CANCELLED) if cancelled else _queue_all(db, batch, asked, now)
    if cancelled:
        _cancel_all(db, [row["job_id"] for row in rows if row["job_id"] and row["same_as"] is None], now)
    _write_places(db, batch_id, rows, places)
    rest = rows[-1]["position"] + 1 if len(rows) == size else None
    db.execute("UPDATE batches SET next_position = ? WHERE id = ?", (rest, batch_id))
    return rest is not None


def cancel(db: sqlite3.Connection, batch_id: str, now: float) -> bool:
    """Mark a batch so that `queue_next` cancels all that has not left. False: it is unknown.

    Where nothing is open or parked, there is nothing to cancel, and the batch stays what it was.
    """
    known = db.execute("SELECT 1 FROM batches WHERE id = ? AND coalesce(next_position, 0) >= 0", (batch_id,)).fetchone()
    if known is None:
        return False
    parked = "SELECT 1 FROM jobs WHERE batch_id = ? AND +state = 'parked' LIMIT 1"
    if is_open(db, batch_id) or db.execute(parked, (batch_id,)).fetchone():
        mark = "UPDATE batches SET cancelled_at = coalesce(cancelled_at, ?), next_position = 0 WHERE id = ?"
        db.execute(mark, (now, batch_id))
    return True


def _cancel_all(db: sqlite3.Connection, job_ids: Sequence[int], now: float) -> None:
    """Cancel sends that have not left. Let others expire, so that one which comes back is not tried again."""
    left = [job_id for job_id in job_ids if not retry_and_cancel.withdraw(db, job_id, now)]
    db.executemany(
        "UPDATE jobs SET expires_at = ? WHERE id = ? AND state IN ('running', 'in_doubt', 'done')",
        [(now, job_id) for job_id in left],
    )


def _write_places(
    db: sqlite3.Connection, batch_id: str, rows: Sequence[sqlite3.Row], places: Mapping[str, _Place]
) -> None:
    """Store which jobs the recipients of a slice got, or why they got none."""
    db.executemany(
        "UPDATE recipients SET job_id = ?, error = ?, error_code = ?, content_id = NULL"
        " WHERE batch_id = ? AND position = ?",
        [(*places[row["number"]], batch_id, row["position"]) for row in rows if row["content_id"]],
    )
    db.executemany(
        "UPDATE recipients SET (job_id, error, error_code) = (SELECT f.job_id, f.error, f.error_code FROM recipients f"
        " WHERE f.batch_id = recipients.batch_id AND f.position = recipients.same_as)"
        " WHERE batch_id = ? AND position = ?",
        [(batch_id, row["position"]) for row in rows if row["same_as"] is not None],
    )
    contents.drop_unused(db, {row["content_id"] for row in rows if row["content_id"]})


def unfinished(db: sqlite3.Connection, now: float) -> list[tuple[str, bool]]:
    """The batches that are due and not queued to their end, and whether each is a draft."""
    rows = db.execute(f"SELECT id, next_position FROM batches WHERE {UNFINISHED}", {"now": now}).fetchall()
    return [(row["id"], row["next_position"] == _DRAFT) for row in rows]


def forget_draft(db: sqlite3.Connection, batch_id: str) -> bool:
    """Delete some of a draft that no request writes any more; whether there is more of it."""
    is_draft = "SELECT 1 FROM batches WHERE id = ? AND next_position = ?"
    if not db.execute(is_draft, (batch_id, _DRAFT)).fetchone():
        return False
    rows = db.execute(
        "DELETE FROM recipients WHERE batch_id = ? AND position IN"
        " (SELECT position FROM recipients WHERE batch_id = ? LIMIT ?) RETURNING content_id",
        (batch_id, batch_id, _FORGOTTEN_AT_ONCE),
    ).fetchall()
    contents.drop_unused(db, {row["content_id"] for row in rows if row["content_id"]})
    if not rows:
        db.execute("DELETE FROM batches WHERE id = ?", (batch_id,))
    return bool(rows)


def forget(db: sqlite3.Connection, batch_id: str) -> int:
    """Forget some of a batch that is queued to its end; how many rows went. What it queued stays.

    It has fewer results meanwhile: the last first, so that those which are left stay in their places.
    """
    gone = db.execute(
        "DELETE FROM recipients WHERE batch_id = ? AND position IN"
        " (SELECT position FROM recipients WHERE batch_id = ? ORDER BY position DESC LIMIT ?)",
        (batch_id, batch_id, _RESULTS_AT_ONCE),
    ).rowcount
    if gone < _RESULTS_AT_ONCE:
        gone += db.execute("DELETE FROM batches WHERE id = ?", (batch_id,)).rowcount
    return gone


def is_open(db: sqlite3.Connection, batch_id: str) -> bool:
    """Whether something of a batch is still to come."""
    open_jobs = f"SELECT 1 FROM jobs WHERE batch_id = ? AND {indexes.OPEN_OF_BATCH} LIMIT 1"
    unqueued = "SELECT 1 FROM batches WHERE id = ? AND next_position IS NOT NULL"
    return any(db.execute(sql, (batch_id,)).fetchone() for sql in (unqueued, open_jobs))


def _queue_all(db: sqlite3.Connection, batch: sqlite3.Row, asked: dict[str, int], now: float) -> dict[str, _Place]:
    """Queue for each number its content (id), unless its contact may not get it; the place of each."""
    found = contacts.find_or_create(db, list(asked), now)
    places: dict[str, _Place] = {}
    for number, (_, stopped) in found.items():
        if why := unwanted(stopped, batch["category"], bulk=True):
            places[number] = (None, *why)
    allowed = [number for number in asked if number not in places]
    ids = enqueue_bulk(db, [(found[number][0], asked[number]) for number in allowed], now=now, batch_id=batch["id"])
    return places | {number: (job_id, None, None) for number, job_id in zip(allowed, ids, strict=True)}
