"""Receipts: what Meta tells us later of a message, applied forward only, in whatever order it comes.

A receipt is matched by wamid, else by its tag: then it proves that Meta accepted a send whose answer we never saw.
"""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass, field

from wabot.core.errors import DeliveryError
from wabot.core.failure import after_bounce, after_failure
from wabot.core.graph import meaning
from wabot.core.jobs import OPEN, TRANSITIONS, Event, Outcome, Policy, State, move
from wabot.core.messages import Receipt, Status, is_news
from wabot.core.shapes import stored
from wabot.journal import contacts, effects
from wabot.journal.queue import promote

_TAG = re.compile(r"wabot:([0-9a-z]+)-(\d{1,18}):(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Patience:
    """What a failure that comes by receipt is judged with; `journal` is our own name in tags."""

    journal: str
    policy: Policy = field(default_factory=Policy)
    noise: float = 0.5


@dataclass(frozen=True, slots=True)
class Applied:
    """What a receipt changed: whether the outbox moved, and what Meta's error means where it told of a failure."""

    moved: bool = False
    failure: DeliveryError | None = None


NOTHING = Applied()


def apply(db: sqlite3.Connection, receipt: Receipt, now: float, patience: Patience) -> Applied:
    """Apply a receipt, if it is news."""
    row = db.execute(
        "SELECT id, job_id, status, status_times FROM messages WHERE wamid = ?", (receipt.wamid,)
    ).fetchone()
    if row is None:
        return _apply_by_tag(db, receipt, now, patience)
    if not is_news(Status(row["status"]), receipt.status):
        return NOTHING
    _advance(db, row, receipt)
    if receipt.status is not Status.FAILED:
        return NOTHING
    return Applied(failure=_after_failed(db, row["job_id"], receipt, now, patience))


def attach(db: sqlite3.Connection, wamid: str, now: float, patience: Patience) -> None:
    """A message just got its wamid: apply the receipts that came earlier."""
    early = db.execute("SELECT * FROM receipts WHERE wamid = ? ORDER BY timestamp", (wamid,)).fetchall()
    if early:
        db.execute("DELETE FROM receipts WHERE wamid = ?", (wamid,))
    for row in early:
        error = stored(row["error"], {}) if row["error"] else None
        apply(db, Receipt(wamid, Status(row["status"]), row["timestamp"], error=error), now, patience)


def _apply_by_tag(db: sqlite3.Connection, receipt: Receipt, now: float, patience: Patience) -> Applied:
    match = _TAG.fullmatch(receipt.tag or "")
    if match is None or match[1] != patience.journal:
        _keep(db, receipt, now)
        return NOTHING
    row = db.execute(
        "SELECT j.id AS job_id, j.contact_id, j.state, j.attempt, j.spent, m.id, m.wamid, m.status, m.status_times,"
        " m.person"
        " FROM jobs j JOIN messages m ON m.job_id = j.id WHERE j.id = ?",
        (int(match[2]),),
    ).fetchone()
    if row is None or row["wamid"] is not None:
        return NOTHING  # pruned, or a second copy of a message that was resent in doubt: the first one is told of
    if receipt.status is not Status.FAILED and not _is_known_to_have_failed(db, receipt.wamid):
        _prove(db, row, receipt, now)
        attach(db, receipt.wamid, now, patience)
        return Applied(moved=True)
    _keep(db, receipt, now)
    if receipt.status is Status.FAILED and State(row["state"]) is State.IN_DOUBT and int(match[3]) == row["attempt"]:
        return Applied(moved=True, failure=_end_doubt_badly(db, row, receipt, now, patience))
    return NOTHING


def _is_known_to_have_failed(db: sqlite3.Connection, wamid: str) -> bool:
    """Whether `failed` came already: a `sent` of the same attempt that overtook it on the way proves nothing then."""
    failed = "SELECT 1 FROM receipts WHERE wamid = ? AND status = 'failed'"
    return db.execute(failed, (wamid,)).fetchone() is not None


def _keep(db: sqlite3.Connection, receipt: Receipt, now: float) -> None:
    error = json.dumps(receipt.error) if receipt.error is not None else None
    db.execute(
        "INSERT OR IGNORE INTO receipts (wamid, status, timestamp, error, received_at) VALUES (?, ?, ?, ?, ?)",
        (receipt.wamid, receipt.status, receipt.timestamp, error, now),
    )


def _prove(db: sqlite3.Connection, row: sqlite3.Row, receipt: Receipt, now: float) -> None:
    """Meta has the message, whatever we believed: the send is done."""
    before = State(row["state"])
    if Event.PROVE in TRANSITIONS[before]:
        db.execute(
            "UPDATE jobs SET state = ?, settled_at = ?, error = NULL, error_code = NULL WHERE id = ? AND state = ?",
            (move(before, Event.PROVE), now, row["job_id"], before),
        )
        promote(db, row["contact_id"], now)
    db.execute(
        "UPDATE messages SET wamid = ?, timestamp = ?, error = NULL, error_code = NULL WHERE id = ?",
        (receipt.wamid, receipt.timestamp, row["id"]),
    )
    _advance(db, row, receipt)
    if receipt.person is not None:
        contacts.learn_spelling(db, row["contact_id"], row["person"], receipt.person.wa_id, now)


def _advance(db: sqlite3.Connection, row: sqlite3.Row, receipt: Receipt) -> None:
    times = stored(row["status_times"], {})
    times[receipt.status] = receipt.timestamp
    db.execute(
        "UPDATE messages SET status = ?, status_times = ?, version = version + 1 WHERE id = ?",
        (receipt.status, json.dumps(times), row["id"]),
    )


def _after_failed(
    db: sqlite3.Connection, job_id: int | None, receipt: Receipt, now: float, patience: Patience
) -> DeliveryError:
    """Meta had accepted it and failed after all: a fresh attempt of the same job, or the end of the message."""
    error = meaning(receipt.error or {})
    job = db.execute("SELECT id, contact_id, state, spent FROM jobs WHERE id = ?", (job_id,)).fetchone()
    outcome = None
    if job:
        judged = after_failure(error, spent=0, policy=patience.policy, now=now, noise=patience.noise)
        effects.spread(db, job["id"], job["contact_id"], judged, now)
    if job and job["state"] == State.DONE:
        outcome = after_bounce(error, spent=max(job["spent"], 1), policy=patience.policy, now=now, noise=patience.noise)
    if outcome is not None:
        _keep(db, receipt, now)
        _move(db, job["id"], State.DONE, outcome, now)
        db.execute(
            "UPDATE messages SET wamid = NULL, status = ?, error = ?, error_code = ? WHERE job_id = ?",
            (Status.QUEUED, error.reason, error.code, job_id),
        )
        return error
    db.execute(
        "UPDATE messages SET error = ?, error_code = ? WHERE wamid = ?", (error.reason, error.code, receipt.wamid)
    )
    return error


def _end_doubt_badly(
    db: sqlite3.Connection, row: sqlite3.Row, receipt: Receipt, now: float, patience: Patience
) -> DeliveryError:
    """Meta says that the send we were in doubt of failed: that is as good as an answer."""
    error = meaning(receipt.error or {})
    outcome = after_failure(error, spent=row["spent"] - 1, policy=patience.policy, now=now, noise=patience.noise)
    state = _move(db, row["job_id"], State.IN_DOUBT, outcome, now)
    if state is State.FAILED:
        db.execute(
            "UPDATE messages SET status = ?, error = ?, error_code = ?, version = version + 1 WHERE id = ?",
            (Status.FAILED, error.reason, error.code, row["id"]),
        )
    effects.spread(db, row["job_id"], row["contact_id"], outcome, now)
    promote(db, row["contact_id"], now)
    return error


def _move(db: sqlite3.Connection, job_id: int | None, before: State, outcome: Outcome, now: float) -> State:
    state = move(before, outcome.event)
    db.execute(
        "UPDATE jobs SET state = ?, due_at = ?, settled_at = ?, error = ?, error_code = ? WHERE id = ? AND state = ?",
        (
            state,
            outcome.due_at or now,
            None if state in OPEN else now,
            outcome.error,
            outcome.code,
            job_id,
            before,
        ),
    )
    return state
