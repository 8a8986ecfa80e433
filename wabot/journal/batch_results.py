"""What became of batches: the results of one in the order asked, and the counts of many, newest first."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from wabot.core.jobs import State
from wabot.journal import copies
from wabot.journal.transitions import SAYS_FORGOTTEN

SENT, QUEUED, FAILED = "sent", "queued", "failed"
"""What became of a recipient: Meta accepted the message and did not fail it; it is still to be sent; or neither."""

_STATUS = (
    f"CASE WHEN r.job_id IS NULL AND r.error IS NULL THEN '{QUEUED}'"  # its slice comes next
    f" WHEN j.state IN ('waiting', 'queued', 'running', 'in_doubt', 'held') THEN '{QUEUED}'"
    f" WHEN j.state = 'done' AND m.error IS NULL THEN '{SENT}' ELSE '{FAILED}' END"
)
_RECIPIENTS = (
    "recipients r LEFT JOIN jobs j ON j.id = r.job_id LEFT JOIN messages m ON m.job_id = r.job_id WHERE r.batch_id = ?"
)
_HEADS = (
    "SELECT id, created_at, cancelled_at, send_at, template, language FROM batches"
    " WHERE coalesce(next_position, 0) >= 0 AND single = 0"
)
"""A draft is no batch yet, and one message to one person never is one for others."""
_OLDER = "(created_at, id) < (SELECT created_at, id FROM batches WHERE id = :cursor)"


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What became of one recipient so far. `status`: sent, queued or failed."""

    number: str
    status: str
    state: State | None
    job_id: int | None
    duplicate: bool
    answer: Any
    error: str | None
    error_code: int | str | None


class Head(NamedTuple):
    """A batch without its recipients. Times are Unix seconds; `cancelled_at` is None if it was not cancelled.

    `send_at`: when it is to be queued, or was; None: when it was asked for. `template`, `language`: None where an
    earlier version wrote it down.
    """

    id: str
    created_at: float
    cancelled_at: float | None
    send_at: float | None = None
    template: str | None = None
    language: str | None = None


class Counts(NamedTuple):
    """Recipients of a batch by what became of them."""

    total: int
    sent: int
    failed: int
    queued: int


def head(db: sqlite3.Connection, batch_id: str) -> Head | None:
    """A batch; None if it is unknown."""
    row = db.execute(f"{_HEADS} AND id = ?", (batch_id,)).fetchone()
    return None if row is None else Head(*row)


def heads(db: sqlite3.Connection, limit: int, cursor: str | None) -> list[Head] | None:
    """The newest batches, or those that are older than the one that `cursor` names; None if that is unknown."""
    if cursor is not None and head(db, cursor) is None:
        return None
    older = f" AND {_OLDER}" if cursor is not None else ""
    sql = f"{_HEADS}{older} ORDER BY created_at DESC, id DESC LIMIT :limit"
    return [Head(*row) for row in db.execute(sql, {"cursor": cursor, "limit": limit}).fetchall()]


def counts(db: sqlite3.Connection, batch_id: str) -> Counts:
    """How many recipients a batch has, and what became of them."""
    sums = ", ".join(f"coalesce(sum(status = '{status}'), 0)" for status in (SENT, FAILED, QUEUED))
    sql = f"SELECT count(*), {sums} FROM (SELECT {_STATUS} AS status FROM {_RECIPIENTS})"
    return Counts(*db.execute(sql, (batch_id,)).fetchone())


def batch_document(head: Head, counts: Counts, now: float) -> dict[str, Any]:
    """A batch without its results, as the API and events show it."""
    state = "running" if counts.queued else "settled"
    if counts.queued and head.send_at is not None and head.send_at > now:
        state = "scheduled"
    return {
        "batch_id": head.id,
        "state": state if head.cancelled_at is None else "cancelled",
        "created_at": head.created_at,
        **({} if head.send_at is None else {"send_at": head.send_at}),
        **({} if head.template is None else {"template": {"name": head.template, "language": head.language}}),
        "total": counts.total,
        "successful": counts.sent,
        "failed": counts.failed,
        "queued": counts.queued,
    }


def results(db: sqlite3.Connection, batch_id: str) -> list[RecipientResult] | None:
    """What became of each recipient, in the order asked; None for a batch that we do not know."""
    return None if head(db, batch_id) is None else [_result(row) for row in _rows(db, batch_id)]


def single_result(db: sqlite3.Connection, batch_id: str) -> RecipientResult:
    """What became of one message to one person."""
    (row,) = _rows(db, batch_id)
    return _result(row)


def _rows(db: sqlite3.Connection, batch_id: str) -> list[sqlite3.Row]:
    return db.execute(
        f"SELECT {_STATUS} AS status, r.number, r.job_id, r.duplicate, j.state, j.answer,"
        " coalesce(r.error, j.error) AS error, coalesce(r.error_code, j.error_code) AS error_code,"
        " coalesce(m.wamid, m.shared_wamid) AS wamid, m.error AS message_error, m.error_code AS message_code"
        f" FROM {_RECIPIENTS} ORDER BY r.position",
        (batch_id,),
    ).fetchall()


def _result(row: sqlite3.Row) -> RecipientResult:
    """The message's error comes first: a late failure, a cancel. A send that is still open shows no error."""
    state = State(row["state"]) if row["state"] else None
    if row["job_id"] is None and row["status"] == QUEUED:
        state = State.QUEUED  # as good as: its slice comes next
    error, code = row["error"], row["error_code"]
    if row["status"] == QUEUED:
        error = code = None
    elif state is State.DONE or row["message_error"]:
        error, code = row["message_error"], row["message_code"]
    return RecipientResult(
        number=row["number"],
        status=row["status"],
        state=state,
        job_id=row["job_id"],
        duplicate=bool(row["duplicate"]),
        answer=copies.response(row["answer"], row["wamid"]),
        error=error,
        error_code=code,
    )


RESULTS = 2_000
"""Results that one commit looks through."""
Place: TypeAlias = tuple[str, int]
FIRST: Place = ("", -1)


def forget(db: sqlite3.Connection, names: Sequence[str], after: Place) -> Place | None:
    """Remove a person from results that no job of theirs leads to: those cancelled, or given twice.

    Some results after a place; where to go on, None at the end.
    """
    rows = db.execute(
        "SELECT batch_id, position, number FROM recipients WHERE (batch_id, position) > (?, ?)"
        " ORDER BY batch_id, position LIMIT ?",
        (*after, RESULTS),
    ).fetchall()
    db.executemany(
        f"UPDATE recipients SET number = '', {SAYS_FORGOTTEN} WHERE batch_id = ? AND position = ?",
        [(row["batch_id"], row["position"]) for row in rows if row["number"] in names],
    )
    return (rows[-1]["batch_id"], rows[-1]["position"]) if len(rows) == RESULTS else None
