"""A webhook becomes rows: contacts, messages (each wamid once), receipts, and the replies that we owe now."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

from wabot.core.account import AccountNews, Standing
from wabot.core.errors import DeliveryError
from wabot.core.jobs import Event, Origin, Outgoing, State
from wabot.core.messages import (
    Direction,
    Inbound,
    Notice,
    Person,
    Preference,
    Status,
    Stop,
    Webhook,
    is_bsuid,
    said_at,
)
from wabot.core.optout import Consent, Wish
from wabot.journal import contacts, indexes, opt_outs, receipts, templates
from wabot.journal.jobs import fail_message
from wabot.journal.queue import enqueue
from wabot.journal.receipts import ReceiptRules
from wabot.journal.transitions import apply_event

SLICE = 200
"""Entries of a webhook that one commit takes in."""
NOTICE_LIMIT = 65_536
"""Characters of a notice that are kept: enough to read it, too little to fill a disk."""


_LASTING = frozenset({Standing.BLOCKED, Standing.RESTRICTED, Standing.LIFTED})
"""News of which only the latest holds."""
_WORDS = frozenset({"text", "button", "interactive"})
"""The types of message in which a person can say STOP."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a webhook is taken in by. Seconds; `consent` has the words that stop and start us."""

    quiet_seconds: float = 2.0
    quiet_max_seconds: float = 15.0
    reply_expires_seconds: float = 3600.0
    consent: Consent = field(default_factory=Consent)


@dataclass(slots=True)
class Taken:
    """What was new in a webhook; `sends`: how often the outbox moved."""

    stored: int = 0
    replies: int = 0
    sends: int = 0
    failures: list[DeliveryError] = field(default_factory=list)
    account: list[AccountNews] = field(default_factory=list)

    def add(self, other: Taken) -> None:
        """What was new in another slice of the same webhook."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def slices(incoming: Webhook, size: int = SLICE) -> Iterator[Webhook]:
    """A webhook in parts of at most `size` entries, each to be taken in by a commit of its own.

    Webhooks of others come between them. What a crash cuts off was not acknowledged, so Meta delivers it again.
    """
    lists = {each.name: getattr(incoming, each.name) for each in fields(incoming)}
    lists = {name: entries for name, entries in lists.items() if isinstance(entries, tuple)}
    if sum(map(len, lists.values())) <= size:
        yield incoming
        return
    for name, entries in lists.items():
        for start in range(0, len(entries), size):
            yield Webhook(**{name: entries[start : start + size]})


def accept(db: sqlite3.Connection, incoming: Webhook, now: float, rules: Rules, patience: ReceiptRules) -> Taken:
    """Write down all that a webhook says; doing it twice changes nothing."""
    taken = Taken()
    for message in incoming.messages:
        _take_message(db, message, now, rules, taken)
    for receipt in incoming.receipts:
        applied = receipts.apply(db, receipt, now, patience)
        taken.sends += applied.moved
        if applied.failure is not None:
            taken.failures.append(applied.failure)
    for preference in incoming.preferences:
        _take_preference(db, preference, now)
    for news in incoming.templates:
        taken.sends += templates.heed(db, news, now)
    for said in incoming.account:
        _take_account_news(db, said, now, taken)
    for notice in incoming.notices:
        _keep_notice(db, notice, now)
    return taken


def set_stop(db: sqlite3.Connection, identity: str, now: float, *, stop: bool) -> None:
    """Somebody writes down what a person wants: no more messages, or messages again, since they can be reached."""
    person = Person(bsuid=identity) if is_bsuid(identity) else Person(wa_id=identity)
    contact_id = contacts.resolve(db, person, now, now)
    at = opt_outs.by_us(db, contact_id, now)
    if stop:
        _opt_out(db, contact_id, at, now)
    else:
        opt_outs.start(db, contact_id, at)
        opt_outs.reachable(db, contact_id)


def _opt_out(db: sqlite3.Connection, contact_id: int, at: float, now: float) -> bool:
    """Nothing more to this person since the time `at`: remember it, and cancel what is queued.

    False where they asked us to start again later than that, so that nothing is stopped.
    """
    opt_outs.record(db, contact_id, Stop.ALL, at, stop=True)
    if opt_outs.of(db, contact_id) is not Stop.ALL:
        return False
    for one in opt_outs.everyone(db, contact_id):
        _cancel_open(db, one, now)
    return True


def _cancel_open(db: sqlite3.Connection, contact_id: int, now: float) -> None:
    open_sends = (
        f"SELECT id, state FROM jobs WHERE contact_id = ? AND {indexes.WAITING}"
        f" UNION ALL SELECT id, state FROM jobs WHERE contact_id = ? AND {indexes.QUEUED_HEAD}"
        f" UNION ALL SELECT id, state FROM jobs WHERE contact_id = ? AND {indexes.HELD}"
    )
    why = "error = 'Opted out'"
    for job_id, state in db.execute(open_sends, (contact_id,) * 3).fetchall():
        apply_event(db, job_id, State(state), Event.CANCEL, now, also=f"{why}, error_code = 'opted_out'")
        fail_message(db, job_id, "Opted out", "opted_out")
    open_replies = f"SELECT id, state FROM jobs WHERE contact_id = ? AND {indexes.JOINABLE}"
    for job_id, state in db.execute(open_replies, (contact_id,)).fetchall():
        apply_event(db, job_id, State(state), Event.CANCEL, now, also=why)


def _take_message(db: sqlite3.Connection, message: Inbound, now: float, rules: Rules, taken: Taken) -> None:
    at = said_at(message.timestamp, now)
    says = message.direction is Direction.IN and message.type != "system"
    known = contacts.heard_again(db, message.person, at) if says and not message.group else None
    if known is None and db.execute("SELECT 1 FROM messages WHERE wamid = ?", (message.wamid,)).fetchone():
        return
    contact_id = known["id"] if known is not None else contacts.resolve(db, message.person, at, now)
    message_id = _insert(db, contact_id, message, at)
    if message_id is None:
        return
    taken.stored += 1
    if message.moved_to is not None:
        contact_id = contacts.rekey(db, contact_id, message.person, message.moved_to, at=at, now=now)
    if message.revokes:
        _take_back(db, contact_id, message, at)
    if not says:
        return
    if known is None and not message.group:
        known = contacts.heard(db, contact_id, at)
    stopped = opt_outs.of(db, contact_id) if known is None else contacts.stop_of(known)
    wish = rules.consent.wish(message.body) if message.type in _WORDS else None
    if wish is not None and _heed_wish(db, contact_id, wish, at=at, stopped=stopped, now=now, rules=rules):
        taken.sends += 1
    elif message.answerable and stopped is not Stop.ALL and wish is not Wish.STOP:
        _owe_reply(db, contact_id, message_id, now, rules)
        taken.replies += 1


def _insert(db: sqlite3.Connection, contact_id: int, message: Inbound, at: float) -> int | None:
    """The id of the new row; None where the wamid is known."""
    inbound = message.direction is Direction.IN
    cursor = db.execute(
        "INSERT INTO messages (contact_id, direction, origin, wamid, timestamp, type, body, raw, person, business,"
        " status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (wamid) WHERE wamid IS NOT NULL DO NOTHING",
        (
            contact_id,
            message.direction,
            Origin.PERSON if inbound else Origin.STAFF,
            message.wamid,
            at,
            message.type,
            message.body,
            message.raw,
            message.person.wa_id or message.person.bsuid,
            message.business_number,
            Status.RECEIVED if inbound else Status.SENT,
        ),
    )
    return cursor.lastrowid if cursor.rowcount else None


def _take_back(db: sqlite3.Connection, contact_id: int, revoke: Inbound, at: float) -> None:
    """The person took a message back: we forget what it said.

    If it was slower than the news, its place is taken: what comes under its wamid is a repetition then.
    """
    db.execute(
        "UPDATE messages SET body = '', raw = '{}', version = version + 1 WHERE wamid = ? AND contact_id = ?",
        (revoke.revokes, contact_id),
    )
    _insert(db, contact_id, replace(revoke, wamid=revoke.revokes, type="unknown", body="", raw="{}"), at)


def _owe_reply(db: sqlite3.Connection, contact_id: int, since: int, now: float, rules: Rules) -> None:
    """Join the reply that still waits for the person to finish, or owe one; behind a running one it waits."""
    due, expires = now + rules.quiet_seconds, now + rules.reply_expires_seconds
    joined = db.execute(
        "UPDATE jobs SET due_at = max(due_at, min(?, created_at + ?)), expires_at = max(expires_at, ?)"
        f" WHERE contact_id = ? AND {indexes.JOINABLE}",
        (due, rules.quiet_max_seconds, expires, contact_id),
    ).rowcount
    if not joined:
        db.execute(
            "INSERT INTO jobs (kind, contact_id, state, due_at, created_at, expires_at, since) SELECT 'reply', ?,"
            f" CASE WHEN EXISTS (SELECT 1 FROM jobs WHERE contact_id = ? AND {indexes.ANSWERING})"
            " THEN 'waiting' ELSE 'queued' END, ?, ?, ?, ?",
            (contact_id, contact_id, due, now, expires, since),
        )


def _heed_wish(
    db: sqlite3.Connection, contact_id: int, wish: Wish, *, at: float, stopped: Stop | None, now: float, rules: Rules
) -> bool:
    """Apply STOP or START, said at a time, and confirm it once; whether a confirmation is owed now."""
    if wish is Wish.STOP:
        changed = _opt_out(db, contact_id, at, now) and stopped is not Stop.ALL
    else:
        opt_outs.start(db, contact_id, at)
        changed = stopped in (Stop.ALL, Stop.MARKETING) and opt_outs.of(db, contact_id) is None
    text = rules.consent.answer(wish)
    if not changed or not text:
        return False
    confirmation = Outgoing({"type": "text", "text": {"body": text}}, text, Origin.SERVICE)
    enqueue(db, contact_id, confirmation, now=now, expires_at=now + rules.reply_expires_seconds)
    return True


def _take_account_news(db: sqlite3.Connection, news: AccountNews, now: float, taken: Taken) -> None:
    """What Meta says of the account, unless it said something later before: webhooks overtake each other.

    A restriction outlives a restart here. A blocked number needs no memory: the first send after it meets Meta's error.
    """
    if news.standing in _LASTING:
        newest = db.execute(
            "INSERT INTO meta VALUES ('account_news_at', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            " WHERE CAST(excluded.value AS REAL) >= CAST(value AS REAL)",
            (str(news.at),),
        )
        if not newest.rowcount:
            return
    if news.standing is Standing.RESTRICTED:
        templates.restrict(db, news.reason, news.until, now)
    elif news.standing is Standing.LIFTED:
        taken.sends += templates.lift(db, now)
    taken.account.append(news)


def _take_preference(db: sqlite3.Connection, preference: Preference, now: float) -> None:
    at = said_at(preference.timestamp, now)
    contact_id = contacts.resolve(db, preference.person, at, now)
    opt_outs.record(db, contact_id, Stop.MARKETING, at, stop=preference.stopped)


def _keep_notice(db: sqlite3.Connection, notice: Notice, now: float) -> None:
    """Meta repeats what it has not heard a 200 to, and some news without end: what is known already is counted."""
    digest = hashlib.sha256("\0".join((notice.field, notice.reason, notice.raw)).encode()).digest()
    again = db.execute(
        "UPDATE notices SET received_at = ?, times = times + 1 WHERE hash = ? AND hash IS NOT NULL", (now, digest)
    )
    if not again.rowcount:
        db.execute(
            "INSERT INTO notices (received_at, field, reason, raw, hash) VALUES (?, ?, ?, ?, ?)",
            (now, notice.field, notice.reason, notice.raw[:NOTICE_LIMIT], digest),
        )
