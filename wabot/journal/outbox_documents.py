"""What people can read about a send or a reply: the rows, and the documents that the API shows."""

from __future__ import annotations

import sqlite3
from typing import Any

from wabot.core.json_values import stored
from wabot.core.messages import Status
from wabot.journal import copies

SENDS = (
    "SELECT j.*, c.wa_id, c.bsuid, m.type, m.origin, m.wamid, m.shared_wamid, m.status, m.status_times,"
    " m.pricing,"
    " m.error AS message_error, m.error_code AS message_code"
    " FROM jobs j JOIN contacts c ON c.id = j.contact_id JOIN messages m ON m.job_id = j.id"
)

REPLIES = "SELECT j.*, c.wa_id, c.bsuid FROM jobs j JOIN contacts c ON c.id = j.contact_id"

SHARED = "Meta gave this message an id that another message has"


def one(db: sqlite3.Connection, job_id: int, journal: str) -> dict[str, Any] | None:
    """One send, with what it asks Meta for and what Meta answered; or one reply."""
    row = db.execute(f"{SENDS} WHERE j.id = ? AND j.kind = 'send'", (job_id,)).fetchone()
    if row is None:
        reply = db.execute(f"{REPLIES} WHERE j.id = ? AND j.kind = 'reply'", (job_id,)).fetchone()
        return None if reply is None else reply_document(reply, journal)
    shown = document(row, journal)
    content = db.execute(
        "SELECT coalesce(t.raw, m.raw) AS raw FROM messages m LEFT JOIN contents t ON t.id = m.content_id"
        " WHERE m.job_id = ?",
        (job_id,),
    ).fetchone()["raw"]
    others = db.execute("SELECT wamid AS message_id, status FROM copies WHERE job_id = ?", (job_id,)).fetchall()
    return {
        **shown,
        "content": stored(content, content),
        "response": copies.response(row["answer"], shown["message_id"]),
        "copies": [dict(other) for other in others],
    }


def document(row: sqlite3.Row, journal: str) -> dict[str, Any]:
    """A send as the API shows it. `pacing`: Meta's word for why it accepted the message and does not deliver it yet."""
    wamid = row["wamid"] or row["shared_wamid"]
    no_receipt_yet = row["status"] == Status.SENT and row["pricing"] is None  # the first receipt brings the pricing
    return {
        **_job(row, journal),
        "type": row["type"],
        "origin": row["origin"],
        "batch_id": row["batch_id"],
        "message_id": wamid,
        "message_status": row["status"],
        "status_times": stored(row["status_times"], {}),
        "pacing": copies.pacing(row["answer"], wamid) if no_receipt_yet else None,
        "note": SHARED if row["shared_wamid"] else None,
        "error": row["message_error"] or row["error"],
        "error_code": row["message_code"] if row["message_code"] is not None else row["error_code"],
    }


def reply_document(row: sqlite3.Row, journal: str) -> dict[str, Any]:
    """A reply to a contact. Its text is in the sends that it leads to."""
    return {**_job(row, journal), "error": row["error"], "error_code": row["error_code"]}


def _job(row: sqlite3.Row, journal: str) -> dict[str, Any]:
    """The fields of every job. Times are Unix seconds; `due_at`: when it is tried next."""
    return {
        "outbox_id": f"{journal}-{row['id']}",
        "kind": row["kind"],
        "number": row["wa_id"] or row["bsuid"],
        "bsuid": row["bsuid"],
        "state": row["state"],
        "created_at": row["created_at"],
        "due_at": row["due_at"],
        "expires_at": row["expires_at"],
        "settled_at": row["settled_at"],
        "attempts": row["attempt"],
    }
