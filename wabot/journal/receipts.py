"""Delivery receipts: they move a message's status forward only, in whatever order they arrive.

A receipt belongs to a copy: the one that its message shows, or another of the same send (see copies.py). Its tag names
the send and the attempt, and proves that Meta accepted the attempt even if its answer was lost. A tag proves nothing if
its send goes to another person than the receipt: it dates from a time that a restored backup does not have.
A send is done as long as one of its copies is alive; a fresh attempt follows only if none is.
"""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass, field
from typing import NamedTuple

from wabot.core.after_failure import after_bounce, after_failure
from wabot.core.exceptions import DeliveryError
from wabot.core.jobs import TRANSITIONS, Event, Outcome, Policy, State, move
from wabot.core.json_values import stored
from wabot.core.messages import Receipt, Status, is_news, outshines
from wabot.core.meta_errors import meaning
from wabot.journal import contacts, copies, costs, refusal_effects
from wabot.journal.transitions import apply_event, promote

_TAG = re.compile(r"wabot:([0-9a-z]+)-(\d{1,18}):(\d{1,9})", re.ASCII)

_SEND = (
    "SELECT j.id AS job_id, j.contact_id, j.state, j.attempt, j.spent, m.id, m.status, m.status_times, m.pricing,"
    " m.person, coalesce(m.wamid, m.shared_wamid) AS wamid FROM jobs j JOIN messages m ON m.job_id = j.id WHERE j.id ="
)


@dataclass(frozen=True, slots=True)
class ReceiptRules:
    """How a failure by receipt is judged; `journal` is this journal's name in tags, `noise` is in [0, 1)."""

    journal: str
    policy: Policy = field(default_factory=Policy)
    noise: float = 0.5


@dataclass(frozen=True, slots=True)
class Applied:
    """What a receipt changed: whether a job moved, and for a `failed` one what Meta's error means."""

    moved: bool = False
    failure: DeliveryError | None = None


class Tag(NamedTuple):
    """Our own string that came back: which send, and which of its attempts."""

    job_id: int
    attempt: int


NOTHING = Applied()


def apply(db: sqlite3.Connection, receipt: Receipt, now: float, rules: ReceiptRules) -> Applied:
    """Apply a receipt, if it is news."""
    tag = _own_tag(receipt, rules)
    shown = db.execute(
        "SELECT id, job_id, status, status_times, pricing FROM messages WHERE wamid = ?", (receipt.wamid,)
    ).fetchone()
    if shown is None or (tag is not None and tag.job_id != shown["job_id"]):
        send = _send_of(db, receipt, tag)
        if send is not None:
            return _apply_to_send(db, send, receipt, tag, now=now, rules=rules)
    if shown is not None:
        own = tag if tag is not None and tag.job_id == shown["job_id"] else None
        return _apply_to_shown(db, shown, receipt, own, now=now, rules=rules)
    if tag is None:  # with a tag of ours it is one that was pruned
        _keep(db, receipt, now)
    return NOTHING


def attach(db: sqlite3.Connection, wamid: str, now: float, rules: ReceiptRules) -> None:
    """A message just got its wamid: apply the receipts that came earlier."""
    early = db.execute("SELECT * FROM receipts WHERE wamid = ? ORDER BY timestamp", (wamid,)).fetchall()
    if early:
        db.execute("DELETE FROM receipts WHERE wamid = ?", (wamid,))
    for row in early:
        error = stored(row["error"], {}) if row["error"] else None
        pricing = stored(row["pricing"], None) if row["pricing"] else None
        known = Receipt(wamid, Status(row["status"]), row["timestamp"], error=error, pricing=pricing)
        apply(db, known, now, rules)


def end_doubt(db: sqlite3.Connection, job_id: int, failed: Receipt, now: float, rules: ReceiptRules) -> State:
    """A receipt says that the attempt in doubt failed, which is as good as an answer. Returns the send's state."""
    send = db.execute(f"{_SEND} ?", (job_id,)).fetchone()
    error = _meaning(failed, send)
    outcome = after_failure(
        error,
        spent=send["spent"] - 1,
        attempt=send["attempt"],
        policy=rules.policy,
        now=now,
        noise=rules.noise,
    )
    state = _move(db, job_id, State.IN_DOUBT, outcome, now)
    copies.settle_doubt(db, job_id, send["attempt"])
    if state is State.FAILED:
        db.execute(
            "UPDATE messages SET status = ?, error = ?, error_code = ?, version = version + 1 WHERE id = ?",
            (Status.FAILED, error.reason, error.code, send["id"]),
        )
    refusal_effects.spread(db, job_id, send["contact_id"], outcome, now)
    promote(db, send["contact_id"], now)
    return state


def _own_tag(receipt: Receipt, rules: ReceiptRules) -> Tag | None:
    match = _TAG.fullmatch(receipt.tag or "")
    return Tag(int(match[2]), int(match[3])) if match and match[1] == rules.journal else None


def _send_of(db: sqlite3.Connection, receipt: Receipt, tag: Tag | None) -> sqlite3.Row | None:
    """The send that a receipt is about though no message shows its wamid: by its tag, else by a copy put aside."""
    if tag is None:
        of_copy = "(SELECT job_id FROM copies WHERE wamid = ? LIMIT 1)"
        row: sqlite3.Row | None = db.execute(f"{_SEND} {of_copy}", (receipt.wamid,)).fetchone()
        return row
    row = db.execute(f"{_SEND} ?", (tag.job_id,)).fetchone()
    if row is None or receipt.person is None:
        return row
    return None if contacts.is_another(db, row["contact_id"], row["person"], receipt.person) else row


def _apply_to_send(
    db: sqlite3.Connection, send: sqlite3.Row, receipt: Receipt, tag: Tag | None, *, now: float, rules: ReceiptRules
) -> Applied:
    """A receipt of a copy that may be another than the one shown."""
    if send["wamid"] == receipt.wamid:
        return _apply_to_shown(db, send, receipt, tag, now=now, rules=rules)
    if not is_news(copies.status_of(db, send["job_id"], receipt.wamid), receipt.status):
        return NOTHING
    copies.note(db, send["job_id"], tag.attempt if tag else None, receipt)
    if tag is not None:
        copies.settle_doubt(db, send["job_id"], tag.attempt)
    if receipt.status is Status.FAILED:
        applied = _copy_failed(db, send, receipt, tag, now=now, rules=rules)
    else:
        applied = _copy_lives(db, send, receipt, now)
    attach(db, receipt.wamid, now, rules)
    return applied


def _copy_failed(
    db: sqlite3.Connection, send: sqlite3.Row, receipt: Receipt, tag: Tag | None, *, now: float, rules: ReceiptRules
) -> Applied:
    """A copy that is not shown failed: that ends the doubt about its attempt."""
    error = _meaning(receipt, send)
    if tag is not None and tag.attempt == send["attempt"] and State(send["state"]) is State.IN_DOUBT:
        end_doubt(db, send["job_id"], receipt, now, rules)
        return Applied(moved=True, failure=error)
    _spread(db, send, error, now, rules)
    return Applied(failure=error)


def _copy_lives(db: sqlite3.Connection, send: sqlite3.Row, receipt: Receipt, now: float) -> Applied:
    """Meta has a copy that is not shown: the send is done, and shows it where it is the best."""
    better = outshines(receipt.status, Status(send["status"]))
    if better:
        copies.show(db, send["job_id"], receipt.wamid)
        _prove(db, send, now)
        if receipt.person is not None:
            contacts.learn_spelling(db, send["contact_id"], send["person"], receipt.person.wa_id, now)
    return Applied(moved=better)


def _apply_to_shown(
    db: sqlite3.Connection, row: sqlite3.Row, receipt: Receipt, tag: Tag | None, *, now: float, rules: ReceiptRules
) -> Applied:
    """A receipt of the copy that the message shows."""
    before = Status(row["status"])
    costs.count(db, receipt, row["pricing"])
    if not is_news(before, receipt.status):
        if receipt.pricing is not None and row["pricing"] is None:
            pricing = copies.as_json(receipt.pricing)
            db.execute("UPDATE messages SET pricing = ?, version = version + 1 WHERE id = ?", (pricing, row["id"]))
        return NOTHING
    _advance(db, row, receipt)
    if receipt.status is Status.FAILED:
        return _after_failed(db, row, receipt, tag, now=now, rules=rules)
    if before is Status.FAILED and row["job_id"] is not None:  # it arrived after all
        send = db.execute(f"{_SEND} ?", (row["job_id"],)).fetchone()
        if send is not None:
            _prove(db, send, now)
        return Applied(moved=True)
    return NOTHING


def _advance(db: sqlite3.Connection, row: sqlite3.Row, receipt: Receipt) -> None:
    times = stored(row["status_times"], {})
    times[receipt.status] = receipt.timestamp
    db.execute(
        "UPDATE messages SET status = ?, status_times = ?, pricing = coalesce(?, pricing), error = NULL,"
        " error_code = NULL, version = version + 1 WHERE id = ?",
        (receipt.status, json.dumps(times), copies.as_json(receipt.pricing), row["id"]),
    )


def _prove(db: sqlite3.Connection, send: sqlite3.Row, now: float) -> None:
    """Meta has a copy that has not failed: the send is done, whatever its state was."""
    before = State(send["state"])
    if Event.PROVE in TRANSITIONS[before]:
        _move(db, send["job_id"], before, Outcome(Event.PROVE), now)
        promote(db, send["contact_id"], now)


def _after_failed(
    db: sqlite3.Connection, row: sqlite3.Row, receipt: Receipt, tag: Tag | None, *, now: float, rules: ReceiptRules
) -> Applied:
    """The copy that the message shows failed: another is shown, or the send is tried afresh, or it has failed."""
    send = db.execute(f"{_SEND} ?", (row["job_id"],)).fetchone()
    error = _meaning(receipt, send)
    db.execute("UPDATE messages SET error = ?, error_code = ? WHERE id = ?", (error.reason, error.code, row["id"]))
    if send is None:  # the job was pruned
        return Applied(failure=error)
    _spread(db, send, error, now, rules)
    alive = copies.best(db, send["job_id"])
    if alive is not None:
        copies.show(db, send["job_id"], alive)
    elif State(send["state"]) is State.DONE:
        _bounce(db, send, error, tag, now=now, rules=rules)
    return Applied(failure=error)


def _bounce(
    db: sqlite3.Connection,
    send: sqlite3.Row,
    error: DeliveryError,
    tag: Tag | None,
    *,
    now: float,
    rules: ReceiptRules,
) -> None:
    """A send was done, and none of its copies is alive any more: try it afresh, or end it."""
    is_of_last_attempt = send["attempt"] == 1 or (tag is not None and tag.attempt == send["attempt"])
    outcome = after_bounce(
        error,
        spent=max(send["spent"], 1),
        policy=rules.policy,
        now=now,
        noise=rules.noise,
        attempt=send["attempt"],
        undecided=not is_of_last_attempt,
    )
    if _move(db, send["job_id"], State.DONE, outcome, now) is not State.FAILED:
        copies.start_over(db, send["job_id"], error.reason, error.code)


def _spread(db: sqlite3.Connection, send: sqlite3.Row, error: DeliveryError, now: float, rules: ReceiptRules) -> None:
    """Apply the effects of a failure beyond its own message."""
    judged = after_failure(error, spent=0, policy=rules.policy, now=now, noise=rules.noise)
    refusal_effects.spread(db, send["job_id"], send["contact_id"], judged, now)


def _meaning(receipt: Receipt, send: sqlite3.Row | None) -> DeliveryError:
    """The error of a `failed` receipt."""
    return meaning(receipt.error or {}, to=send["person"] if send is not None else None)


def _keep(db: sqlite3.Connection, receipt: Receipt, now: float) -> None:
    db.execute(
        "INSERT OR IGNORE INTO receipts (wamid, status, timestamp, error, received_at, pricing)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            receipt.wamid,
            receipt.status,
            receipt.timestamp,
            copies.as_json(receipt.error),
            now,
            copies.as_json(receipt.pricing),
        ),
    )


def _move(db: sqlite3.Connection, job_id: int, before: State, outcome: Outcome, now: float) -> State:
    """Move a send whose attempt was counted already: where the outcome spends none, its try is given back."""
    apply_event(
        db,
        job_id,
        before,
        outcome.event,
        now,
        also="due_at = :due_at, spent = max(spent - :given_back, 0), error = :error, error_code = :code",
        due_at=outcome.due_at or now,
        given_back=not outcome.spent,
        error=outcome.error,
        code=outcome.code,
    )
    return move(before, outcome.event)
