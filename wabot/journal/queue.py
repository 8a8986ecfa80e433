"""The outbox as a queue per contact: how a send gets in.

Of a contact's open sends only the oldest, the head, is claimable; the others are WAITING. That keeps a claim as quick
with 500 000 sends queued for one blocked contact as with none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from wabot.core.jobs import OF_CONTACTS, Policy
from wabot.core.outgoing import Origin, Outgoing
from wabot.journal import indexes

HELD_MAX_SECONDS = 86400.0
"""The longest time for which a send is held: Meta's longest wait."""

BULK = 1
"""The priority of bulk sends; a reply, and what comes of one, has 0 and overtakes."""

_SENDS = (
    "INSERT INTO jobs (kind, contact_id, state, priority, due_at, created_at, expires_at, batch_id)"
    " SELECT 'send', json_extract(value, '$[0]'), iif(json_extract(value, '$[2]') OR EXISTS (SELECT 1 FROM jobs"
    f" WHERE {indexes.HEAD} AND contact_id = json_extract(value, '$[0]')), 'waiting', 'queued'),"
    " :priority, :now, :now, :expires, :batch FROM json_each(:sends)"
)
_MESSAGES = (
    "INSERT INTO messages (contact_id, direction, origin, timestamp, type, body, raw, content_id, person, status,"
    " job_id) SELECT c.id, 'out', :origin, :said_at, coalesce(t.type, :type), coalesce(t.body, :body),"
    " coalesce(t.head, t.raw, :raw), iif(t.head IS NULL, NULL, t.id), coalesce(c.wa_id, c.bsuid, ''), 'queued',"
    " :first_job + n.key FROM json_each(:sends) n JOIN contacts c ON c.id = json_extract(n.value, '$[0]')"
    " LEFT JOIN contents t ON t.id = json_extract(n.value, '$[1]')"
)
"""`sends` is `[[contact, content, behind], …]`: `content` is null where the message has its own `type`, `body` and
`raw`, and `behind` is true where an earlier entry has the same contact."""

_DEFAULTS = {"priority": 0, "expires": None, "batch": None, "type": "", "body": "", "raw": "{}"}


UNSENT = " UNION ALL ".join(
    f"SELECT id, state FROM jobs WHERE contact_id = :contact AND {standing}"
    for standing in (indexes.WAITING, indexes.QUEUED_HEAD, indexes.HELD)
)
"""The sends to a contact that have not left: (id, state)."""


def enqueue(
    db: sqlite3.Connection,
    contact_id: int,
    outgoing: Outgoing,
    *,
    now: float,
    expires_at: float | None = None,
    batch_id: str | None = None,
) -> int:
    """Queue a message to a contact, last in line. Returns the job's id."""
    jobs = _enqueue(
        db,
        [(contact_id, None, False)],
        now=now,
        expires=expires_at,
        batch=batch_id,
        origin=outgoing.origin,
        type=str(outgoing.content.get("type", "")),
        body=outgoing.body,
        raw=json.dumps(outgoing.content, ensure_ascii=False),
    )
    return jobs[0]


def enqueue_bulk(db: sqlite3.Connection, sends: Sequence[tuple[int, int]], *, now: float, batch_id: str) -> range:
    """Queue contents (ids) to contacts (ids), as a batch does: (contact, content). Returns the jobs' ids, in order."""
    earlier = set[int]()
    rows = []
    for contact_id, content_id in sends:
        rows.append((contact_id, content_id, contact_id in earlier))
        earlier.add(contact_id)
    return _enqueue(db, rows, now=now, priority=BULK, batch=batch_id, origin=Origin.BULK)


def _enqueue(
    db: sqlite3.Connection, sends: Sequence[tuple[int, int | None, bool]], *, now: float, **more: Any
) -> range:
    values = {**_DEFAULTS, **more, "sends": json.dumps(sends), "now": now, "said_at": int(now)}
    last = int(db.execute(_SENDS, values).lastrowid or 0)
    jobs = range(last - len(sends) + 1, last + 1)  # one statement gives ids without a gap
    db.execute(_MESSAGES, {**values, "first_job": jobs.start})
    return jobs


def bound_waits(db: sqlite3.Connection, *, now: float, policy: Policy, longest: float) -> int:
    """After a clock was set back: let no job wait longer than intended; how many are due earlier now.

    A job that is queued for later than `longest` seconds from now waits for one back-off at the most, a doubt for its
    hold, and a held send for a day. Each statement reads an index range that is empty as a rule.
    """
    latest = now + min(longest, policy.backoff_max_seconds)
    pulled = 0
    for kind in OF_CONTACTS:
        for priority in (0, BULK):
            pulled += db.execute(
                f"UPDATE jobs SET due_at = :latest WHERE kind = '{kind}' AND priority = {priority}"
                f" AND {indexes.READY} AND due_at > :limit",
                {"latest": latest, "limit": now + longest},
            ).rowcount
    for jobs, most in ((indexes.DOUBTFUL, policy.hold_seconds), (indexes.HELD, HELD_MAX_SECONDS)):
        pulled += db.execute(
            f"UPDATE jobs SET due_at = :latest WHERE {jobs} AND due_at > :latest", {"latest": now + most}
        ).rowcount
    return pulled
