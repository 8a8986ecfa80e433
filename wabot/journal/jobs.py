"""Jobs are claimed, settled, and recovered after a crash.

A claim has a token that its settle must repeat, so that a late answer of an earlier run changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from wabot.core.jobs import OF_CONTACTS, OPEN, Event, Job, Kind, Outcome, Pause, Policy, State, move
from wabot.core.messages import Receipt, Status
from wabot.core.outgoing import Origin, Outgoing
from wabot.journal import contacts, copies, indexes, merging, refusal_effects, takeover, templates, transitions
from wabot.journal.queue import BULK, UNSENT, bound_waits, enqueue
from wabot.journal.receipts import ReceiptRules, apply, attach, end_doubt
from wabot.journal.transitions import apply_event, fail_message, promote, promote_reply

_CLAIMABLE = {
    kind: "SELECT j.*, c.wa_id, c.bsuid, c.name, c.last_inbound_at, c.stopped,"
    " c.paused_until, c.silent_upto, (SELECT category FROM batches WHERE id = j.batch_id) AS category,"
    " coalesce((SELECT raw FROM contents WHERE id = m.content_id), m.raw) AS raw, m.body, m.origin,"
    " (SELECT max(id) FROM messages) AS upto"  # ids only grow: up to the newest of all is up to the contact's newest
    " FROM jobs j JOIN contacts c ON c.id = j.contact_id LEFT JOIN messages m ON m.job_id = j.id"
    f" WHERE j.kind = '{kind}' AND {indexes.READY} AND j.priority = ? AND j.due_at <= ? ORDER BY j.due_at, j.id LIMIT ?"
    for kind in OF_CONTACTS
}
_FIRST_DUE = {
    kind: f"SELECT min(at) FROM (SELECT min(due_at) AS at FROM jobs WHERE kind = '{kind}' AND {indexes.READY}"
    f" AND priority = 0 UNION ALL SELECT min(due_at) FROM jobs WHERE kind = '{kind}' AND {indexes.READY}"
    f" AND priority = {BULK})"
    for kind in OF_CONTACTS
}
"""By kind: where a parameter decides whether a partial index serves, SQLite prepares a statement at each run."""

_OUTCOME = (
    "due_at = :due_at, spent = spent + :spent, error = :error, error_code = :code,"
    f" answer = coalesce(:answer, answer), doubts = iif(:doubtful, {copies.DOUBTED}, doubts)"
)

_BEFORE_THE_ANSWER = (
    f"SELECT {copies.TAKEN} AS taken,"
    " EXISTS (SELECT 1 FROM copies WHERE job_id = :job AND wamid = :wamid) AS failed,"
    " EXISTS (SELECT 1 FROM receipts WHERE wamid = :wamid) AS early"
)


def claim(db: sqlite3.Connection, kind: Kind, *, limit: int, now: float, token: int, journal: str) -> list[Job]:
    """Claim up to `limit` due jobs, replies before bulk."""
    rows = db.execute(_CLAIMABLE[kind], (0, now, limit)).fetchall()
    if kind is Kind.SEND and len(rows) < limit:
        rows += db.execute(_CLAIMABLE[kind], (BULK, now, limit - len(rows))).fetchall()
    transitions.claim(db, [row["id"] for row in rows], token)
    paused = templates.paused(db, now) if kind is Kind.SEND else {}
    claimed = []
    for row in rows:
        try:
            claimed.append(_job(row, token, journal, paused))
        except (ValueError, TypeError, AttributeError) as error:  # one poisoned row must not stop the lane
            _fail_unreadable(db, row, error, now)
    return claimed


def settle(db: sqlite3.Connection, job: Job, outcome: Outcome, now: float, rules: ReceiptRules) -> State | None:
    """Store the outcome of a claimed job, and all that follows; its new state, or None if it was settled already.

    A receipt that proved the send before its answer arrived can have settled it, or a restart.
    """
    if job.kind is Kind.REPLY and outcome.event is Event.RETRY:
        _absorb_next_reply(db, job, now)
    moved = apply_event(
        db,
        job.id,
        State.RUNNING,
        outcome.event,
        now,
        token=job.token,
        also=_OUTCOME,
        due_at=outcome.due_at or now,
        spent=outcome.spent,
        doubtful=outcome.event is Event.LOSE_TRACK,
        answer=json.dumps(outcome.answer) if outcome.answer is not None else None,
        error=outcome.error,
        code=outcome.code,
    )
    if moved is None:
        if outcome.event is Event.SUCCEED and outcome.wamid:
            _answered_late(db, job, outcome, now, rules)
        contacts.learn_spelling(db, job.contact.id, job.contact.wa_id, outcome.wa_id, now)
        return None
    if moved.contact_id != job.contact.id:  # since the claim, two contacts became one
        job = replace(job, contact=replace(job.contact, id=moved.contact_id))
    state = moved.state
    if job.kind is Kind.REPLY:
        _settle_reply(db, job, outcome, now)
    else:
        state = _settle_send(db, job, outcome, now, rules)
    if moved.merges_wait:
        merging.finish(db, now, job.contact.id)
    return state


def recover(db: sqlite3.Connection, *, policy: Policy, now: float) -> tuple[int, int]:
    """After a restart: running replies start again, running sends are in doubt, and every doubt is held anew.

    Receipts could not arrive while wabot was down, so a hold that ended meanwhile proves nothing. (replies, sends)
    """
    replies = db.execute(f"SELECT contact_id FROM jobs WHERE kind = 'reply' AND {indexes.RUNNING}").fetchall()
    for row in replies:
        _absorb(db, row["contact_id"], now)
    transitions.interrupt_replies(db)
    sends = transitions.interrupt_sends(db)
    db.execute(f"UPDATE jobs SET due_at = ? WHERE {indexes.DOUBTFUL}", (now + policy.hold_seconds,))
    _end_known_failures(db, policy=policy, now=now)
    bound_waits(db, now=now, policy=policy, longest=policy.backoff_max_seconds)
    return len(replies), sends


def next_due(db: sqlite3.Connection, kind: Kind) -> float | None:
    """When the first of a kind's queued jobs is due."""
    due: float | None = db.execute(_FIRST_DUE[kind]).fetchone()[0]
    return due


def recently_sent(db: sqlite3.Connection, since: float) -> list[tuple[int, float]]:
    """(contact id, time) of the sends that Meta may count since a time, oldest first."""
    rows = db.execute(
        "SELECT contact_id, settled_at FROM jobs WHERE settled_at >= ?"
        " AND kind = 'send' AND state = 'done' ORDER BY settled_at",
        (since,),
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def cancel_for_opt_out(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    """Cancel the sends of a contact that opted out, except those in flight, and the reply that does not run yet."""
    why = "error = 'Opted out'"
    for job_id, state in db.execute(UNSENT, {"contact": contact_id}).fetchall():
        apply_event(db, job_id, State(state), Event.CANCEL, now, also=f"{why}, error_code = 'opted_out'")
        fail_message(db, job_id, "Opted out", "opted_out")
    open_replies = f"SELECT id, state FROM jobs WHERE contact_id = ? AND {indexes.JOINABLE}"
    for job_id, state in db.execute(open_replies, (contact_id,)).fetchall():
        apply_event(db, job_id, State(state), Event.CANCEL, now, also=why)


def _settle_reply(db: sqlite3.Connection, job: Job, outcome: Outcome, now: float) -> None:
    if outcome.handoff is not None:
        takeover.hand_off(db, job.contact.id, outcome.handoff, now)
    for outgoing in outcome.says:
        enqueue(db, job.contact.id, outgoing, now=now, expires_at=job.expires_at)
    promote_reply(db, job.contact.id, now)


def _settle_send(db: sqlite3.Connection, job: Job, outcome: Outcome, now: float, rules: ReceiptRules) -> State:
    state = move(State.RUNNING, outcome.event)
    if state is State.IN_DOUBT and (failed := copies.failure(db, job.id, job.attempt)):
        return end_doubt(db, job.id, failed, now, rules)
    if state is State.DONE:
        _record_acceptance(db, job, outcome, now, rules)
    elif state not in OPEN:
        fail_message(db, job.id, outcome.error, outcome.code if outcome.code is not None else str(state))
    refusal_effects.spread(db, job.id, job.contact.id, outcome, now)
    promote(db, job.contact.id, now)
    return state


def _record_acceptance(db: sqlite3.Connection, job: Job, outcome: Outcome, now: float, rules: ReceiptRules) -> None:
    """Meta accepted it: the message gets its wamid, and the receipts that arrived before the answer."""
    named = {"job": job.id, "wamid": outcome.wamid}
    found = db.execute(_BEFORE_THE_ANSWER, named).fetchone()
    db.execute(
        "UPDATE messages SET wamid = iif(:taken, NULL, :wamid), shared_wamid = iif(:taken, :wamid, NULL),"
        " status = 'sent', timestamp = :at, status_times = json_object('sent', :now), error = NULL,"
        " error_code = NULL, version = version + 1 WHERE job_id = :job",
        {**named, "taken": found["taken"], "at": int(now), "now": now},
    )
    if outcome.wamid and found["failed"]:
        apply(db, copies.take(db, job.id, outcome.wamid)._replace(tag=job.tag), now, rules)
    if outcome.wamid and found["early"]:
        attach(db, outcome.wamid, now, rules)
    contacts.learn_spelling(db, job.contact.id, job.contact.wa_id, outcome.wa_id, now)


def _answered_late(db: sqlite3.Connection, job: Job, outcome: Outcome, now: float, rules: ReceiptRules) -> None:
    """Meta's answer, after a receipt that was faster: it proves its attempt as a receipt does, and has more details."""
    accepted = Receipt(outcome.wamid or "", Status.SENT, float(int(now)), tag=job.tag)
    apply(db, accepted, now, rules)
    db.execute(
        "UPDATE jobs SET answer = :answer WHERE id = :job AND EXISTS (SELECT 1 FROM messages"
        " WHERE job_id = :job AND coalesce(wamid, shared_wamid) = :wamid)",
        {"answer": json.dumps(outcome.answer), "job": job.id, "wamid": outcome.wamid},
    )


def _end_known_failures(db: sqlite3.Connection, *, policy: Policy, now: float) -> None:
    """End the doubts about attempts that failed by a receipt which arrived before the answer."""
    rows = db.execute(
        f"SELECT j.id, j.attempt FROM jobs j WHERE {indexes.DOUBTFUL}"
        " AND EXISTS (SELECT 1 FROM copies c WHERE c.job_id = j.id AND c.attempt = j.attempt AND c.status = 'failed')"
    ).fetchall()
    for row in rows:
        failed = copies.failure(db, row["id"], row["attempt"])
        if failed is not None:
            end_doubt(db, row["id"], failed, now, ReceiptRules("", policy))


def _absorb_next_reply(db: sqlite3.Connection, job: Job, now: float) -> None:
    """A reply that runs again answers all that arrived meanwhile, unless its claim was settled already."""
    held = db.execute(
        "SELECT contact_id FROM jobs WHERE id = ? AND state = 'running' AND token = ?", (job.id, job.token)
    ).fetchone()
    if held is not None:
        _absorb(db, held["contact_id"], now)


def _absorb(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    """Cancel the reply that waits for a contact's running one, which answers its messages too and expires as late."""
    waiting = db.execute(
        f"SELECT id, since, expires_at FROM jobs WHERE contact_id = ? AND {indexes.WAITING_REPLY}", (contact_id,)
    ).fetchone()
    if waiting is None:
        return
    apply_event(db, waiting["id"], State.WAITING, Event.CANCEL, now, also="error = 'joined the reply before it'")
    running = db.execute(
        "UPDATE jobs SET expires_at = max(expires_at, ?), since = min(since, ?) WHERE contact_id = ?"
        f" AND {indexes.ANSWERING} RETURNING id",
        (waiting["expires_at"], waiting["since"], contact_id),
    ).fetchall()
    for (job_id,) in running:
        merging.hand_over(db, waiting["id"], job_id)


def _fail_unreadable(db: sqlite3.Connection, row: sqlite3.Row, error: Exception, now: float) -> None:
    reason = f"The journal's row cannot be read: {error}"
    apply_event(
        db,
        row["id"],
        State.RUNNING,
        Event.GIVE_UP,
        now,
        also="due_at = :due_at, error = :error",
        due_at=now,
        error=reason,
    )
    fail_message(db, row["id"], reason, "unreadable")
    promote(db, row["contact_id"], now)


def _job(row: sqlite3.Row, token: int, journal: str, paused: Mapping[tuple[str, str], Pause]) -> Job:
    outgoing = None
    if row["raw"] is not None:
        outgoing = Outgoing(json.loads(row["raw"]), row["body"], Origin(row["origin"]))
    attempt = row["attempt"] + 1
    return Job(
        id=row["id"],
        kind=Kind(row["kind"]),
        contact=contacts.of_row(row),
        token=token,
        attempt=attempt,
        spent=row["spent"],
        created_at=row["created_at"],
        tag=f"wabot:{journal}-{row['id']}:{attempt}",
        expires_at=row["expires_at"],
        since=row["since"] or 0,
        upto=row["upto"] or 0,
        outgoing=outgoing,
        pause=templates.pause_of(outgoing, paused) if outgoing and paused else None,
        batch_id=row["batch_id"],
        category=row["category"],
    )
