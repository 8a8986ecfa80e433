"""Events for the owner's programs on their way: claimed, settled, listed, retried.

They move by the same table as jobs (core/jobs.py). Of the open events of a contact for an endpoint only the oldest is
claimable, which a unique index enforces; those about no contact are one such queue for each endpoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wabot.core.jobs import OPEN, TRANSITIONS, Event, Job, Kind, Outcome, Post, State, move
from wabot.core.messages import Contact
from wabot.core.owner_events import KEPT_SECONDS
from wabot.journal import contacts
from wabot.journal.event_writing import EventWriter
from wabot.journal.retry_and_cancel import CannotMove
from wabot.journal.sqlite import Reader, Writer

DONE_SECONDS = 86400.0
"""How long an event stays that was told to its endpoint."""
STEP = 500
"""Events that one commit makes due, or deletes."""

_SHOWN = (
    "SELECT e.id, e.endpoint, e.type, e.state, e.created_at, e.due_at, e.expires_at, e.settled_at,"
    " e.attempt AS attempts, e.error, b.webhook_id, coalesce(c.wa_id, c.bsuid) AS number FROM events e"
    " JOIN event_bodies b ON b.id = e.body_id LEFT JOIN contacts c ON c.id = e.contact_id"
)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events are asked for: in a state (None: any), before an id (None: the newest), about a person ("": any)."""

    state: State | None = None
    limit: int = 50
    before: int | None = None
    identity: str = ""


class TellsPrograms:
    """The journal's operations on events."""

    writer: Writer
    _read: Reader
    _read_long: Reader
    _token: int
    notify: Callable[[Kind, float], None]
    _events: EventWriter | None = None
    _endpoints: Sequence[str] = ()

    async def tell_programs(self, events: EventWriter, endpoints: Sequence[str], now: float) -> None:
        """Write events from now on, and try again what was not told before."""
        await self.writer.accompany(events)
        self._events, self._endpoints = events, endpoints
        await self.writer(recover, list(endpoints), now)

    async def write_event(self, type_: str, data: Mapping[str, Any]) -> None:
        """Write an event that is about no contact; nothing without endpoints."""
        if self._events is not None:
            await self.writer(self._events.write, type_, data)

    async def claim_events(self, room: Mapping[str, int], now: float) -> list[Job]:
        """Claim due events, at most as many for each endpoint as it has room for."""
        self._token += 1
        return await self.writer(claim, room, now=now, token=self._token)

    async def settle_event(self, job: Job, outcome: Outcome, now: float) -> State | None:
        """Store what became of an event; its new state, None if it is gone or was settled before."""
        return await self.writer(settle, job, outcome, now)

    async def events_due(self, endpoints: Sequence[str]) -> float | None:
        """When the first event for these endpoints is due."""
        return await self._read(next_due, endpoints)

    async def events(self, query: EventQuery) -> list[dict[str, Any]]:
        """Events, newest first."""
        return await self._read_long(listing, query)

    async def retry_event(self, event_id: int, now: float) -> dict[str, Any] | None:
        """Tell a failed event after all; None if it is unknown. Raises CannotMove."""
        found = await self.writer(retry, event_id, self._endpoints, now)
        self._wake_events(now)
        return found

    async def hurry_events(self, now: float) -> None:
        """Try all events now that wait for their next try."""
        after: int | None = 0
        while after is not None:
            after = await self.writer(hurry, after, now)
            self._wake_events(now)

    def _wake_events(self, now: float) -> None:
        if self._events is not None:
            self.notify(Kind.EVENT, now)

    async def event_depths(self) -> list[tuple[str, int, float | None]]:
        """For each endpoint: how many events are open, and when the oldest was written."""
        return await self._read_long(depths, self._endpoints) if self._endpoints else []


def recover(db: sqlite3.Connection, endpoints: Sequence[str], now: float) -> None:
    """After a restart: what ran, or waited for its next try, is tried now; what is for nobody any more is cancelled."""
    db.execute("UPDATE events SET state = ? WHERE state = 'running'", (move(State.RUNNING, Event.RETRY),))
    db.execute("UPDATE events SET due_at = ? WHERE state = 'queued' AND due_at > ?", (now, now))
    known = "(" + ", ".join("?" * len(endpoints)) + ")"
    for before in (State.WAITING, State.QUEUED):
        db.execute(
            "UPDATE events SET state = ?, settled_at = ?, error = 'The endpoint is no longer in [[events]]'"
            f" WHERE state = '{before}' AND endpoint NOT IN {known}",
            (move(before, Event.CANCEL), now, *endpoints),
        )


def claim(db: sqlite3.Connection, room: Mapping[str, int], *, now: float, token: int) -> list[Job]:
    """Claim due events."""
    claimed = []
    for endpoint, limit in room.items():
        rows = db.execute(
            "SELECT e.*, b.webhook_id, b.body FROM events e JOIN event_bodies b ON b.id = e.body_id"
            " WHERE e.state = 'queued' AND e.endpoint = ? AND e.due_at <= ? ORDER BY e.due_at, e.id LIMIT ?",
            (endpoint, now, limit),
        ).fetchall()
        running = move(State.QUEUED, Event.CLAIM)
        db.executemany(
            "UPDATE events SET state = ?, token = ?, attempt = attempt + 1 WHERE id = ? AND state = 'queued'",
            [(running, token, row["id"]) for row in rows],
        )
        claimed += [_job(row, token) for row in rows]
    return claimed


def settle(db: sqlite3.Connection, job: Job, outcome: Outcome, now: float) -> State | None:
    """Store the outcome of a claimed event, and let the next one follow."""
    after = move(State.RUNNING, outcome.event)
    moved = db.execute(
        "UPDATE events SET state = ?, settled_at = ?, due_at = ?, error = ? WHERE id = ? AND state = 'running'"
        " AND token = ? RETURNING endpoint, contact_id",
        (after, None if after in OPEN else now, outcome.due_at or now, outcome.error, job.id, job.token),
    ).fetchall()
    for row in moved:
        _promote(db, row["endpoint"], row["contact_id"], now)
    return after if moved else None


def next_due(db: sqlite3.Connection, endpoints: Sequence[str]) -> float | None:
    """When the first event for these endpoints is due."""
    first = "SELECT min(due_at) FROM events WHERE state = 'queued' AND endpoint = ?"
    found = [db.execute(first, (endpoint,)).fetchone()[0] for endpoint in endpoints]
    return min((due for due in found if due is not None), default=None)


def listing(db: sqlite3.Connection, query: EventQuery) -> list[dict[str, Any]]:
    """Events, newest first."""
    contact = contacts.find(db, query.identity) if query.identity else None
    if query.identity and contact is None:
        return []
    wanted = f" AND e.state = '{query.state}'" if query.state is not None else ""
    wanted += " AND e.contact_id = :contact" if contact is not None else ""
    rows = db.execute(
        f"{_SHOWN} WHERE e.id < :before{wanted} ORDER BY e.id DESC LIMIT :limit",
        {
            "before": query.before or 1 << 62,
            "limit": query.limit,
            "contact": contact and contact.id,
        },
    ).fetchall()
    return [dict(row) for row in rows]


def retry(db: sqlite3.Connection, event_id: int, endpoints: Sequence[str], now: float) -> dict[str, Any] | None:
    """Queue a failed event again, with all its time; make one that is queued due now."""
    row = db.execute("SELECT * FROM events WHERE id = ?", (event_id,)).fetchone()
    if row is None:
        return None
    state = State(row["state"])
    if row["endpoint"] not in endpoints:
        raise CannotMove("its endpoint is no longer in [[events]]")
    if state is State.QUEUED:
        db.execute("UPDATE events SET due_at = min(due_at, ?) WHERE id = ?", (now, event_id))
    elif Event.REOPEN in TRANSITIONS[state]:
        db.execute(
            "UPDATE events SET state = ?, settled_at = NULL, due_at = ?, expires_at = ?, attempt = 0 WHERE id = ?",
            (move(state, Event.REOPEN), now, now + KEPT_SECONDS, event_id),
        )
        _promote(db, row["endpoint"], row["contact_id"], now)
    else:
        raise CannotMove(f"the event is {state}")
    return dict(db.execute(f"{_SHOWN} WHERE e.id = ?", (event_id,)).fetchone())


def hurry(db: sqlite3.Connection, after: int, now: float) -> int | None:
    """Make some events above an id due that wait for their next try; the last of them, None at the end."""
    waiting = "SELECT id FROM events WHERE state = 'queued' AND id > ? AND due_at > ? ORDER BY id LIMIT ?"
    ids = [row["id"] for row in db.execute(waiting, (after, now, STEP)).fetchall()]
    db.executemany("UPDATE events SET due_at = ? WHERE id = ?", [(now, event_id) for event_id in ids])
    return ids[-1] if ids else None


def depths(db: sqlite3.Connection, endpoints: Sequence[str]) -> list[tuple[str, int, float | None]]:
    """For each endpoint: how many events are open, and when the oldest was written."""
    of = "SELECT count(*), min(created_at) FROM events WHERE endpoint = ? AND state IN ('waiting', 'queued', 'running')"
    return [(endpoint, *db.execute(of, (endpoint,)).fetchone()) for endpoint in endpoints]


def prune(db: sqlite3.Connection, *, before: float, now: float, limit: int) -> int:
    """Delete some events that were settled before a time, or told a day ago; how many."""
    gone = db.execute(
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE settled_at < ? AND (state = 'done'"
        " OR settled_at < ?) ORDER BY settled_at LIMIT ?) RETURNING body_id",
        (now - DONE_SECONDS, before, limit),
    ).fetchall()
    _drop_bodies(db, [row["body_id"] for row in gone])
    return len(gone)


def forget(db: sqlite3.Connection, contact_id: int, limit: int) -> int:
    """Delete some events about a contact; how many."""
    gone = db.execute(
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE contact_id = ? LIMIT ?) RETURNING body_id",
        (contact_id, limit),
    ).fetchall()
    _drop_bodies(db, [row["body_id"] for row in gone])
    return len(gone)


def _drop_bodies(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    db.executemany(
        "DELETE FROM event_bodies WHERE id = ? AND NOT EXISTS (SELECT 1 FROM events WHERE body_id = event_bodies.id)",
        [(body_id,) for body_id in set(ids)],
    )


def _promote(db: sqlite3.Connection, endpoint: str, contact_id: int, now: float) -> None:
    """Make the oldest waiting event of a queue its head, if there is none."""
    db.execute(
        "UPDATE events SET state = :next, due_at = :now WHERE id = (SELECT id FROM events WHERE state = 'waiting'"
        " AND endpoint = :endpoint AND contact_id = :contact ORDER BY id LIMIT 1)"
        " AND NOT EXISTS (SELECT 1 FROM events WHERE endpoint = :endpoint AND contact_id = :contact"
        " AND state IN ('queued', 'running'))",
        {"next": move(State.WAITING, Event.PROMOTE), "now": now, "endpoint": endpoint, "contact": contact_id},
    )


def _job(row: sqlite3.Row, token: int) -> Job:
    return Job(
        id=row["id"],
        kind=Kind.EVENT,
        contact=Contact(row["contact_id"]),
        token=token,
        attempt=row["attempt"] + 1,
        spent=row["attempt"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        post=Post(row["endpoint"], row["type"], row["webhook_id"], row["body"]),
    )
