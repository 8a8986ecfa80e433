"""The outbox as a queue per contact: how a send gets in.

Of a contact's open sends only the oldest, the head, is claimable; the others are WAITING. That keeps a claim as quick
with 500 000 sends queued for one blocked contact as with none.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from wabot.core.jobs import Kind, Origin, Outgoing, Policy
from wabot.journal import indexes

HELD_MAX_SECONDS = 86400.0
"""The longest that a send is held before somebody looks at it again: Meta's longest wait."""

BULK = 1
"""The priority of bulk sends; a reply, and what comes of one, has 0 and overtakes."""

_HEAD = f"SELECT 1 FROM jobs WHERE {indexes.HEAD} AND contact_id ="

_OWE = (
    "INSERT INTO jobs (id, kind, contact_id, state, priority, due_at, created_at, expires_at, batch_id)"
    " SELECT :first + key, 'send', json_extract(value, '$[0]'),"
    f" CASE WHEN EXISTS ({_HEAD} json_extract(value, '$[0]')) THEN 'waiting' ELSE 'queued' END,"
    " :priority, :now, :now, :expires, :batch FROM json_each(:owed)"
)
_SAY = (
    "INSERT INTO messages (contact_id, direction, origin, timestamp, type, body, raw, content_id, person, status,"
    " job_id) SELECT c.id, 'out', :origin, :said_at, coalesce(t.type, :type), coalesce(t.body, :body),"
    " coalesce(t.head, t.raw, :raw), CASE WHEN t.head IS NOT NULL THEN t.id END,"
    " coalesce(c.wa_id, c.bsuid, ''), 'queued', :first + n.key"
    " FROM json_each(:owed) n"
    " JOIN contacts c ON c.id = json_extract(n.value, '$[0]')"
    " LEFT JOIN contents t ON t.id = json_extract(n.value, '$[1]')"
)
"""`owed` is `[[contact, content], …]`, content null where the message's own `type`, `body` and `raw` are given."""

_DEFAULTS = {"priority": 0, "expires": None, "batch": None, "type": "", "body": "", "raw": "{}"}


def enqueue(
    db: sqlite3.Connection, contact_id: int, outgoing: Outgoing, *, now: float, expires_at: float | None = None
) -> int:
    """Owe `outgoing` to a contact, last in line. Returns the job's id."""
    return _enqueue(
        db,
        [(contact_id, None)],
        now=now,
        expires=expires_at,
        origin=outgoing.origin,
        type=str(outgoing.content.get("type", "")),
        body=outgoing.body,
        raw=json.dumps(outgoing.content, ensure_ascii=False),
    )


def enqueue_bulk(db: sqlite3.Connection, owed: Sequence[tuple[int, int]], *, now: float, batch_id: str) -> list[int]:
    """Owe each contact (id) a content (id), as a batch does. Returns the jobs' ids, in order.

    There is one writer, so the ids that come next are known beforehand, and many sends take two statements.
    """
    places = [0] * len(owed)
    for group in _once_each(owed):
        first = _enqueue(
            db, [owed[place] for place in group], now=now, priority=BULK, batch=batch_id, origin=Origin.BULK
        )
        for offset, place in enumerate(group):
            places[place] = first + offset
    return places


def _enqueue(db: sqlite3.Connection, owed: Sequence[tuple[int, int | None]], *, now: float, **more: Any) -> int:
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    first: int = (last[0] if last else 0) + 1
    values = {**_DEFAULTS, **more, "first": first, "owed": json.dumps(owed), "now": now, "said_at": int(now)}
    db.execute(_OWE, values)
    db.execute(_SAY, values)
    return first


def _once_each(owed: Sequence[tuple[int, int]]) -> Iterable[list[int]]:
    """The places in `owed`, such that no group of them has a contact twice: its head would be there twice, too."""
    groups: dict[int, list[int]] = {}
    times: Counter[int] = Counter()
    for place, (contact_id, _) in enumerate(owed):
        times[contact_id] += 1
        groups.setdefault(times[contact_id], []).append(place)
    return groups.values()


def bound_waits(db: sqlite3.Connection, *, now: float, policy: Policy, longest: float) -> int:
    """Nothing waits longer than it can have been meant to, after a clock was set back; how many jobs were pulled up.

    What is queued for later than `longest` seconds from now rests for a back-off at the most, a doubt for its hold, and
    what is held for a day. Two ranges of one index each, empty as a rule.
    """
    latest = now + min(longest, policy.backoff_max_seconds)
    pulled = 0
    for kind in Kind:
        for priority in (0, BULK):
            pulled += db.execute(
                f"UPDATE jobs SET due_at = :latest WHERE kind = :kind AND priority = :priority AND {indexes.READY}"
                " AND due_at > :limit",
                {"kind": kind, "priority": priority, "latest": latest, "limit": now + longest},
            ).rowcount
    for jobs, most in ((indexes.DOUBTFUL, policy.hold_seconds), (indexes.HELD, HELD_MAX_SECONDS)):
        pulled += db.execute(
            f"UPDATE jobs SET due_at = :latest WHERE {jobs} AND due_at > :latest", {"latest": now + most}
        ).rowcount
    return pulled
