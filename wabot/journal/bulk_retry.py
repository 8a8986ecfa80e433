"""Retries many sends at once: found in pages, moved in slices, so that other operations come between them.

Each page goes on above the last id of the one before, so that no send is retried twice. A slice checks its sends again:
what moved meanwhile is left as it is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wabot.core.jobs import Event, State
from wabot.journal import indexes, retry_and_cancel
from wabot.journal.transitions import states_before

PAGE, SLICE = 1000, 100
"""Sends that are looked at in one question, and changed in one commit."""

RETRIED = (*states_before(Event.REOPEN), State.IN_DOUBT)

MAY_REPEAT = "(j.state IN ('parked', 'in_doubt') OR j.doubts <> '[]')"
"""Whether a send may have been accepted, and be on its way or there: then another attempt may say it twice."""

_STATES = ", ".join(f"'{state}'" for state in RETRIED)
_ABOVE = " UNION ALL ".join(
    f"SELECT j.id FROM jobs j WHERE j.kind = 'send' AND state = '{state}' AND {indexes.ASIDE} AND j.id > :after"
    for state in RETRIED
)
_AMONG = "SELECT j.id FROM json_each(:ids) n JOIN jobs j ON j.id = n.value WHERE j.kind = 'send' AND j.id > :after"
_OF_BATCH = "SELECT j.id FROM jobs j WHERE j.batch_id = :batch AND j.id > :after"
_CANDIDATES = (
    f"SELECT j.id, +j.state IN ({_STATES}) AS stuck, {MAY_REPEAT} AS may_repeat,"
    " coalesce(m.error_code, j.error_code) AS code FROM jobs j LEFT JOIN messages m ON m.job_id = j.id"
    " WHERE j.id IN ({ids} ORDER BY 1 LIMIT :limit) ORDER BY j.id"
)


@dataclass(frozen=True, slots=True)
class Retry:
    """Which of the failed, held, parked and doubtful sends to try again; None = any. `ids`: only these.

    `error_code`: as the outbox shows it, a number of Meta's or a word of ours. `may_repeat`: also those that may arrive
    twice then.
    """

    batch_id: str | None = None
    error_code: int | str | None = None
    may_repeat: bool = False
    ids: tuple[int, ...] | None = None


class Page(NamedTuple):
    """Some of the sends that match: those to retry, how many are left as they are, and the id after which to go on."""

    ids: list[int]
    left: int
    after: int | None


def to_retry(db: sqlite3.Connection, retry: Retry, after: int) -> Page:
    """The next sends that a bulk retry is about, with ids above `after`."""
    ids = _AMONG if retry.ids is not None else _ABOVE if retry.batch_id is None else _OF_BATCH
    values = {"batch": retry.batch_id, "after": after, "limit": PAGE, "ids": json.dumps(retry.ids)}
    rows = db.execute(_CANDIDATES.format(ids=ids), values).fetchall()
    meant = [row for row in rows if row["stuck"] and retry.error_code in (None, row["code"])]
    now = [row["id"] for row in meant if retry.may_repeat or not row["may_repeat"]]
    return Page(now, len(meant) - len(now), rows[-1]["id"] if len(rows) == PAGE else None)


def retry_some(db: sqlite3.Connection, ids: Sequence[int], now: float, *, may_repeat: bool) -> int:
    """Try sends again that still wait for it; how many."""
    wanted = f"SELECT j.id FROM jobs j WHERE j.id = ? AND (? OR NOT {MAY_REPEAT})"
    found = [job_id for job_id in ids if db.execute(wanted, (job_id, may_repeat)).fetchone()]
    return sum(retry_and_cancel.try_again(db, job_id, now) for job_id in found)
