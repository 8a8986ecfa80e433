"""The copies of a message: Meta may have accepted a send more than once, where an answer was lost.

Each request is an attempt with a wamid and receipts of its own. The message shows the best of them; the others, and
those that failed, are rows of `copies`. The ordinary send has no row there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from wabot.core.json_values import dict_of, list_of, stored
from wabot.core.messages import Receipt, Status, outshines
from wabot.journal import costs

_HELD_BACK = ("held_for_quality_assessment", "paused")

TAKEN = "EXISTS (SELECT 1 FROM messages other WHERE other.wamid = :wamid AND other.job_id IS NOT :job)"
"""Whether another message has this wamid: then ours is called so in `shared_wamid`."""

DOUBTED = "json_insert(doubts, '$[#]', attempt)"
"""The doubts of a send, and its last attempt too."""

_SHOW = (
    f"UPDATE messages SET wamid = iif({TAKEN}, NULL, :wamid), shared_wamid = iif({TAKEN}, :wamid, NULL),"
    " timestamp = iif(coalesce(wamid, shared_wamid) IS NULL, :timestamp, timestamp),"
    " status = :status, status_times = :times, pricing = :pricing, error = NULL, error_code = NULL,"
    " version = version + 1 WHERE job_id = :job"
)


def status_of(db: sqlite3.Connection, job_id: int, wamid: str) -> Status:
    """The status of a copy that is not shown; QUEUED for one that is not stored."""
    row = db.execute("SELECT status FROM copies WHERE job_id = ? AND wamid = ?", (job_id, wamid)).fetchone()
    return Status(row[0]) if row else Status.QUEUED


def note(db: sqlite3.Connection, job_id: int, attempt: int | None, receipt: Receipt) -> None:
    """Store a receipt of a copy that is not shown."""
    row = db.execute("SELECT pricing FROM copies WHERE job_id = ? AND wamid = ?", (job_id, receipt.wamid)).fetchone()
    costs.count(db, receipt, row["pricing"] if row else None)
    db.execute(
        "INSERT INTO copies (job_id, wamid, attempt, status, status_times, error, pricing)"
        " VALUES (:job, :wamid, :attempt, :status, json_object(:status, :at), :error, :pricing)"
        " ON CONFLICT (job_id, wamid) DO UPDATE SET attempt = coalesce(attempt, excluded.attempt),"
        " status = excluded.status, status_times = json_patch(status_times, excluded.status_times),"
        " error = excluded.error, pricing = coalesce(excluded.pricing, pricing)",
        {
            "job": job_id,
            "wamid": receipt.wamid,
            "attempt": attempt,
            "status": receipt.status,
            "at": receipt.timestamp,
            "error": as_json(receipt.error),
            "pricing": as_json(receipt.pricing),
        },
    )


def best(db: sqlite3.Connection, job_id: int) -> str | None:
    """The wamid of the copy to show instead of one that failed; None where no other is alive."""
    found, shown = None, Status.FAILED
    for row in db.execute("SELECT wamid, status FROM copies WHERE job_id = ?", (job_id,)).fetchall():
        if outshines(Status(row["status"]), shown):
            found, shown = row["wamid"], Status(row["status"])
    return found


def failure(db: sqlite3.Connection, job_id: int, attempt: int) -> Receipt | None:
    """The receipt by which an attempt failed before its answer arrived, if there was one."""
    row = db.execute(
        "SELECT * FROM copies WHERE job_id = ? AND attempt = ? AND status = 'failed'", (job_id, attempt)
    ).fetchone()
    return None if row is None else _receipt(row)


def show(db: sqlite3.Connection, job_id: int, wamid: str) -> None:
    """Make the message of a send show this copy; the copy that it showed, if any, gets a row of `copies`."""
    row = db.execute("SELECT * FROM copies WHERE job_id = ? AND wamid = ?", (job_id, wamid)).fetchone()
    db.execute("DELETE FROM copies WHERE job_id = ? AND wamid = ?", (job_id, wamid))
    put_aside(db, job_id)
    times = stored(row["status_times"], {})
    db.execute(
        _SHOW,
        {
            "job": job_id,
            "wamid": wamid,
            "status": row["status"],
            "times": row["status_times"],
            "timestamp": min(times.values(), default=0.0),
            "pricing": row["pricing"],
        },
    )


def put_aside(db: sqlite3.Connection, job_id: int) -> None:
    """Store the copy that the message of a send shows as a row of `copies`: its receipts may still arrive."""
    db.execute(
        "INSERT OR REPLACE INTO copies (job_id, wamid, status, status_times, pricing)"
        " SELECT job_id, coalesce(wamid, shared_wamid), status, status_times, pricing FROM messages"
        " WHERE job_id = ? AND coalesce(wamid, shared_wamid) IS NOT NULL",
        (job_id,),
    )


def start_over(db: sqlite3.Connection, job_id: int, error: str | None = None, code: int | str | None = None) -> None:
    """The message of a send is to be sent afresh; `error` and `code` say why."""
    put_aside(db, job_id)
    db.execute(
        "UPDATE messages SET status = 'queued', wamid = NULL, shared_wamid = NULL, pricing = NULL, error = ?,"
        " error_code = ?, version = version + 1 WHERE job_id = ?",
        (error, code, job_id),
    )


def settle_doubt(db: sqlite3.Connection, job_id: int, attempt: int) -> None:
    """An attempt is not in doubt any more, if it was."""
    others = "SELECT json_group_array(value) FROM json_each(doubts) WHERE value <> ?"
    db.execute(f"UPDATE jobs SET doubts = ({others}) WHERE id = ? AND doubts <> '[]'", (attempt, job_id))


def take(db: sqlite3.Connection, job_id: int, wamid: str) -> Receipt:
    """The latest receipt of a copy that the message shows from now on; the copy's row is deleted."""
    row = db.execute("DELETE FROM copies WHERE job_id = ? AND wamid = ? RETURNING *", (job_id, wamid)).fetchall()[0]
    return _receipt(row)


def response(answer: str | None, wamid: str | None) -> dict[str, Any] | None:
    """Meta's answer to the copy that is shown, of the `answer` that is stored; where its receipt was all: its id.

    None where no copy is shown: none was accepted, or the send is to be tried afresh.
    """
    if wamid is None:
        return None
    known = dict_of(stored(answer, None) if answer else None)
    return dict(known) if _message_in(known).get("id") == wamid else {"messages": [{"id": wamid}]}


def pacing(answer: str | None, wamid: str | None) -> str | None:
    """Meta's word for a template message that it took and does not send on yet, to see how others like it.

    `held_for_quality_assessment`, or `paused` with the template.
    https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-pacing
    """
    word = _message_in(response(answer, wamid) or {}).get("message_status")
    return word if isinstance(word, str) and word in _HELD_BACK else None


def _message_in(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict_of(next(iter(list_of(answer.get("messages"))), None))


def as_json(value: object) -> str | None:
    """An object as it is stored."""
    return None if value is None else json.dumps(value)


def _receipt(row: sqlite3.Row) -> Receipt:
    times = stored(row["status_times"], {})
    return Receipt(
        row["wamid"],
        Status(row["status"]),
        times.get(row["status"], 0.0),
        error=stored(row["error"] or "{}", {}),
        pricing=stored(row["pricing"], None) if row["pricing"] else None,
    )
