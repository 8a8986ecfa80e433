"""Events for the owner's programs are written in the transaction that makes them true.

`event_triggers.sql` notes them; before each operation of the writer is committed, the notes become rows of `events`:
one for each endpoint that wants the type, with one body for all of them. See event_queue.py for what follows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wabot.core.messages import Direction
from wabot.core.new_ids import new_id
from wabot.core.owner_events import KEPT_SECONDS, NOBODY, Endpoint
from wabot.journal import batch_results, batches, contact_documents, message_documents
from wabot.log import get_logger

TRIGGERS = Path(__file__).with_name("event_triggers.sql")
LAST_LINES = 10
"""Messages of the talk in a handoff."""

log = get_logger()


def note(db: sqlite3.Connection, type_: str, about: Mapping[str, Any]) -> None:
    """Note what no row shows. Only where an EventWriter was set up."""
    db.execute("INSERT INTO temp.noted (type, about) VALUES (?, ?)", (type_, json.dumps(about)))


class EventWriter:
    """Writes events for `endpoints`. `clock`: Unix seconds; `noise`: random numbers from 0 to 1; `wake`: something is
    due, called with its time.
    """

    def __init__(
        self,
        account: str,
        endpoints: Sequence[Endpoint],
        *,
        clock: Callable[[], float],
        noise: Callable[[], float],
        wake: Callable[[float], None],
    ) -> None:
        self._account, self._endpoints = account, endpoints
        self._clock, self._noise, self._wake = clock, noise, wake
        self._wrote = False

    def set_up(self, db: sqlite3.Connection) -> None:
        """Let the writing connection note what happens."""
        db.executescript(TRIGGERS.read_text("utf-8"))

    def before_commit(self, db: sqlite3.Connection) -> None:
        """Make events of what an operation noted. A note that cannot be told must not stop the operation."""
        notes = db.execute("SELECT * FROM temp.noted ORDER BY id").fetchall()
        if not notes:
            return
        db.execute("DELETE FROM temp.noted")
        now = self._clock()
        for note in notes:
            try:
                data = _data(db, note, now)
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                log.warning("event.untellable", type=note["type"], reason=type(error).__name__)
                continue
            if data is not None:
                self._write(db, note["type"], note["contact_id"], data, now)

    def after_commit(self) -> None:
        """Wake the lane, if events were written."""
        if self._wrote:
            self._wrote = False
            self._wake(self._clock())

    def write(self, db: sqlite3.Connection, type_: str, data: Mapping[str, Any]) -> None:
        """Write an event that is about no contact."""
        self._write(db, type_, NOBODY, data, self._clock())

    def _write(self, db: sqlite3.Connection, type_: str, contact_id: int, data: Mapping[str, Any], now: float) -> None:
        wanted = [endpoint.url for endpoint in self._endpoints if endpoint.wants(type_)]
        if not wanted:
            return
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = json.dumps({"type": type_, "timestamp": at, "account": self._account, "data": data})
        new = "INSERT INTO event_bodies (webhook_id, body) VALUES (?, ?)"
        body_id = db.execute(new, (f"evt_{new_id(self._noise, 24)}", body)).lastrowid
        for url in wanted:
            db.execute(
                "INSERT INTO events (endpoint, contact_id, type, state, due_at, created_at, expires_at, body_id)"
                " VALUES (:url, :contact, :type, iif(EXISTS (SELECT 1 FROM events WHERE endpoint = :url"
                " AND contact_id = :contact AND state IN ('queued', 'running')), 'waiting', 'queued'),"
                " :now, :now, :until, :body)",
                {"url": url, "contact": contact_id, "type": type_, "now": now, "until": now + KEPT_SECONDS,
                 "body": body_id},
            )  # fmt: skip
        self._wrote = True


def _data(db: sqlite3.Connection, note: sqlite3.Row, now: float) -> dict[str, Any] | None:
    """The `data` of an event; None if it is not true any more, or about somebody who was forgotten."""
    kind = note["type"].partition(".")[0]
    if kind == "batch":
        return _batch(db, note["about"], now)
    about: dict[str, Any] = json.loads(note["about"]) if note["about"] else {}
    if kind in ("message", "contact"):
        return _of_contact(db, note, about, now)
    return about if about.pop("before", 0) <= now else None


def _of_contact(db: sqlite3.Connection, note: sqlite3.Row, about: dict[str, Any], now: float) -> dict[str, Any] | None:
    contact = contact_documents.of_contact(db, note["contact_id"], now)
    if contact is None:
        return None
    if note["message_id"] is None:
        last = {"messages": _last_lines(db, note["contact_id"])} if note["type"] == "contact.handoff" else {}
        return {"contact": contact, **about, **last}
    row = db.execute(f"{message_documents.MESSAGE} WHERE m.id = ?", (note["message_id"],)).fetchone()
    return row and {
        "message": message_documents.shown(message_documents.document(row, row["content"])) | about,
        "contact": contact,
    }


def _batch(db: sqlite3.Connection, batch_id: str, now: float) -> dict[str, Any] | None:
    if batches.is_open(db, batch_id) or (head := batch_results.head(db, batch_id)) is None:
        return None
    return batch_results.batch_document(head, batch_results.counts(db, batch_id), now)


def _last_lines(db: sqlite3.Connection, contact_id: int) -> list[dict[str, Any]]:
    """The newest messages of a talk, oldest first."""
    rows = db.execute(
        "SELECT direction, type, body, timestamp FROM messages WHERE contact_id = ? ORDER BY timestamp DESC, id DESC"
        " LIMIT ?",
        (contact_id, LAST_LINES),
    ).fetchall()
    return [
        {
            "direction": "out" if row["direction"] == Direction.OUT else "in",
            "type": row["type"],
            "body": row["body"],
            "timestamp": str(int(row["timestamp"])),
        }
        for row in reversed(rows)
    ]
