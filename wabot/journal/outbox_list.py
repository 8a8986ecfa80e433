"""Lists the outbox: sends and open replies, newest first, a page at a time.

Whatever narrows a listing, its rows come from an index that holds little else, and in the order of ids or from a set
that is small enough to be sorted; so a page costs the same in a journal of a million jobs.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from wabot.core.jobs import Kind, State
from wabot.journal import indexes, outbox_documents

ASIDE = frozenset({State.IN_DOUBT, State.HELD, State.FAILED, State.CANCELLED, State.EXPIRED, State.PARKED})
"""The states that few jobs are in."""

_UNANSWERED = f"jobs j INDEXED BY jobs_joinable WHERE {indexes.JOINABLE}"
_RUNNING = f"jobs j WHERE kind = '{{kind}}' AND {indexes.RUNNING}"
_ON_THE_WAY = {
    State.WAITING: f"jobs j INDEXED BY jobs_waiting WHERE {indexes.WAITING}",
    State.QUEUED: f"jobs j INDEXED BY jobs_ready WHERE kind = '{{kind}}' AND {indexes.READY}",
    State.RUNNING: _RUNNING,
}
_CARRIED = (
    "SELECT m.job_id FROM messages m CROSS JOIN jobs j ON j.id = m.job_id WHERE m.job_id IS NOT NULL"
    " AND m.status IN ('sent', 'delivered') AND m.job_id >= (SELECT min(id) FROM jobs)"  # jobs go before messages do
)
_STATUS = "(SELECT status FROM messages WHERE job_id = j.id)"

Fate = Literal["undelivered", "unread"]


@dataclass(frozen=True, slots=True)
class Query:
    """Which jobs to list: newest first, those with an id below `before`; None and "" = any.

    Replies are those that are still to be made, unless `state` names another. `message`: what became of the message.
    `undelivered`: the customer has not got it, as far as Meta says: it was accepted and neither delivered nor read, or
    it failed. `unread`: it was accepted or delivered, and not read. What is still to leave is neither.
    """

    kind: Kind = Kind.SEND
    state: State | None = None
    identity: str = ""
    batch_id: str = ""
    message: Fate | None = None
    limit: int = 50
    before: int | None = None


def listing(db: sqlite3.Connection, query: Query, journal: str) -> list[dict[str, Any]]:
    """The jobs that `query` asks for, as documents."""
    values = {
        "identity": query.identity,
        "batch": query.batch_id,
        "before": 2**62 if query.before is None else query.before,
        "limit": query.limit,
    }
    sources = _sources(query)
    if not sources:
        return []
    ids = f"{' UNION ALL '.join(sources)} ORDER BY 1 DESC LIMIT :limit"
    rows = outbox_documents.SENDS if query.kind is Kind.SEND else outbox_documents.REPLIES
    found = db.execute(f"{rows} WHERE j.id IN ({ids}) ORDER BY j.id DESC", values).fetchall()
    document = outbox_documents.document if query.kind is Kind.SEND else outbox_documents.reply_document
    return [document(row, journal) for row in found]


def _sources(query: Query) -> list[str]:
    """The statements that find the ids, each by an index that holds little else."""
    if query.identity or query.batch_id:
        return [_of_somebody(query)]
    if query.message:
        return _by_fate(query)
    if query.state in ASIDE:
        return [f"SELECT j.id FROM {_aside(query.kind, query.state)} AND j.id < :before"]
    if query.state is not State.DONE and query.kind is Kind.REPLY:
        which = [_UNANSWERED, _RUNNING.format(kind=query.kind)]
    elif query.state in _ON_THE_WAY:
        which = [_ON_THE_WAY[query.state].format(kind=query.kind)]
    else:
        which = [f"jobs j WHERE +j.kind = '{query.kind}'"]  # most are: in the order of ids
    return [f"SELECT j.id FROM {some} AND j.id < :before{_in_state(query)}" for some in which]


def _by_fate(query: Query) -> list[str]:
    """Sends by what became of their message: one that was accepted is done, and one whose message failed has failed.

    No others are read: in a large journal it takes long to find that none of them is meant.
    """
    sources = []
    if query.kind is Kind.SEND and query.state in (None, State.DONE):
        statuses = ("sent", "delivered") if query.message == "unread" else ("sent",)
        accepted = f"{_CARRIED} AND m.job_id < :before{_in_state(query)} AND m.status ="
        sources += [f"{accepted} '{status}'" for status in statuses]
    if query.kind is Kind.SEND and query.state in (None, State.FAILED) and query.message == "undelivered":
        sources.append(f"SELECT j.id FROM {_aside(query.kind, State.FAILED)} AND j.id < :before")
    return sources


def _of_somebody(query: Query) -> str:
    whose = {
        "j.contact_id = (SELECT contact_id FROM identities WHERE value = :identity)": query.identity,
        f"{'+' if query.identity else ''}j.batch_id = :batch": query.batch_id,
    }
    where = " AND ".join(condition for condition, wanted in whose.items() if wanted)
    still_open = " AND +j.state IN ('queued', 'waiting', 'running')"
    state = _in_state(query) or (still_open if query.kind is Kind.REPLY else "")
    return f"SELECT j.id FROM jobs j WHERE {where} AND +j.kind = '{query.kind}' AND j.id < :before{state}{_fate(query)}"


def _aside(kind: Kind, state: State) -> str:
    return f"jobs j WHERE kind = '{kind}' AND state = '{state}' AND {indexes.ASIDE}"


def _in_state(query: Query) -> str:
    return f" AND +j.state = '{query.state}'" if query.state else ""


def _fate(query: Query) -> str:
    match query.message:
        case "undelivered":
            return f" AND (+j.state = 'failed' OR {_STATUS} = 'sent')"
        case "unread":
            return f" AND {_STATUS} IN ('sent', 'delivered')"
    return ""
