"""A webhook becomes rows: contacts, messages (each wamid once), receipts, and replies to be made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

from wabot.core.account_news import AccountNews, Standing
from wabot.core.exceptions import DeliveryError
from wabot.core.handoff import HandoffRules
from wabot.core.messages import Direction, Inbound, Person, Preference, Status, Stop, Webhook, said_at
from wabot.core.optout import Consent, Wish, word_of
from wabot.core.outgoing import Origin, text_message
from wabot.journal import authors, contacts, event_writing, handoffs, indexes, notices, opt_outs, receipts, templates
from wabot.journal.authors import Author
from wabot.journal.jobs import cancel_for_opt_out
from wabot.journal.queue import enqueue
from wabot.journal.receipts import ReceiptRules

SLICE = 200
"""Entries of a webhook that are stored in one commit."""

_LASTING = frozenset({Standing.BLOCKED, Standing.RESTRICTED, Standing.LIFTED})
"""News of which only the latest counts."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How webhooks are processed. Seconds; `consent` has the words by which people stop and start our messages,
    `handoff` those by which they ask for a person.

    `alerts`: what Meta says of the account is an event for the owner's programs.
    """

    quiet_seconds: float = 2.0
    quiet_max_seconds: float = 15.0
    reply_expires_seconds: float = 3600.0
    consent: Consent = field(default_factory=Consent)
    alerts: bool = False
    handoff: HandoffRules = field(default_factory=HandoffRules)


@dataclass(slots=True)
class Taken:
    """What was new in a webhook; `sends`: how often the outbox changed."""

    stored: int = 0
    replies: int = 0
    sends: int = 0
    failures: list[DeliveryError] = field(default_factory=list)
    account: list[AccountNews] = field(default_factory=list)
    handoffs: int = 0

    def add(self, other: Taken) -> None:
        """What was new in another slice of the same webhook."""
        self.stored += other.stored
        self.replies += other.replies
        self.sends += other.sends
        self.failures += other.failures
        self.account += other.account
        self.handoffs += other.handoffs


_LISTS = [each.name for each in fields(Webhook) if each.name != "count"]


def slices(incoming: Webhook, size: int = SLICE) -> Iterator[Webhook]:
    """A webhook in parts of at most `size` entries, each to be stored in a commit of its own.

    Other webhooks are stored between them. Parts that a crash cuts off were not acknowledged, so Meta repeats them.
    """
    if sum([len(getattr(incoming, name)) for name in _LISTS]) <= size:
        yield incoming
        return
    for name in _LISTS:
        entries = getattr(incoming, name)
        for start in range(0, len(entries), size):
            yield Webhook(**{name: entries[start : start + size]})


def accept(db: sqlite3.Connection, incoming: Webhook, now: float, rules: Rules, receipt_rules: ReceiptRules) -> Taken:
    """Store all that a webhook says; doing it twice changes nothing."""
    taken = Taken()
    for message in incoming.messages:
        _store_message(db, message, now, rules, taken)
    for receipt in incoming.receipts:
        applied = receipts.apply(db, receipt, now, receipt_rules)
        taken.sends += applied.moved
        if applied.failure is not None:
            taken.failures.append(applied.failure)
    for preference in incoming.preferences:
        _store_preference(db, preference, now)
    for news in incoming.templates:
        taken.sends += templates.apply_news(db, news, now)
    for said in incoming.account:
        _apply_account_news(db, said, now, taken)
    for one in taken.account if rules.alerts else ():
        about = {"standing": str(one.standing), "reason": one.reason, "at": one.at, "until": one.until}
        event_writing.note(db, "account.alert", about)
    for notice in incoming.notices:
        notices.store(db, notice, now)
    return taken


def set_stop(db: sqlite3.Connection, identity: str, now: float, *, stop: bool) -> None:
    """Store by hand that a person wants no more messages, or wants messages again and can be reached."""
    person = Person.of(identity)
    contact_id = contacts.resolve(db, person, now, now)
    _set_stop(db, contact_id, opt_outs.by_us(db, contact_id, now), now, stop=stop)
    if not stop:
        opt_outs.reachable(db, contact_id)


def apply_wishes(db: sqlite3.Connection, wishes: Sequence[tuple[Person, float, bool]], now: float) -> None:
    """Apply what people said to another account, where that binds this one too: (person, when, whether to stop)."""
    for person, at, stop in wishes:
        _set_stop(db, contacts.resolve(db, person, at, now), at, now, stop=stop)


def _set_stop(db: sqlite3.Connection, contact_id: int, at: float, now: float, *, stop: bool) -> None:
    if stop:
        _opt_out(db, contact_id, at, now)
    else:
        opt_outs.start(db, contact_id, at)


def _opt_out(db: sqlite3.Connection, contact_id: int, at: float, now: float) -> bool:
    """Store that a person wants no more messages since the time `at`, and cancel what is queued.

    False where they asked us to start again after that time: then nothing is stopped.
    """
    opt_outs.record(db, contact_id, Stop.ALL, at, stop=True)
    if opt_outs.of(db, contact_id) is not Stop.ALL:
        return False
    for one in opt_outs.everyone(db, contact_id):
        cancel_for_opt_out(db, one, now)
    return True


def _store_message(db: sqlite3.Connection, message: Inbound, now: float, rules: Rules, taken: Taken) -> None:
    at = said_at(message.timestamp, now)
    is_said = _is_said(message)
    author = authors.of_message(db, message, at, now, opens_window=is_said and not message.group)
    message_id = _insert(db, author.id, message, at) if author is not None else None
    if author is None or message_id is None:
        return
    taken.stored += 1
    if message.moved_to is not None:
        moved = contacts.rekey(db, author.id, message.person, message.moved_to, at=at, now=now)
        author = author._replace(id=moved)
    if message.revokes:
        _delete_content(db, author.id, message, at)
    if not is_said:
        if message.direction is Direction.OUT and message.type != "system":
            handoffs.staff_wrote(db, author.id, message.body, at, now=now, rules=rules.handoff)
        return
    word = word_of(message.type, message.body)
    wish = rules.consent.wish(word)
    if wish is not None and _apply_wish(db, author, wish, at=at, now=now, rules=rules):
        taken.sends += 1
    elif not message.answerable or author.stopped is Stop.ALL or author.paused or wish is Wish.STOP:
        return
    elif message.person.wa_id and message.person.wa_id == rules.handoff.alert_number:
        return  # the owner
    elif rules.handoff.asks(word):
        handoffs.begin(db, author.id, rules.handoff, now=now, expires_at=now + rules.reply_expires_seconds)
        taken.sends += 1
        taken.handoffs += 1
    else:
        _queue_reply(db, author.id, message_id, now, rules)
        taken.replies += 1


def wishes(incoming: Webhook, consent: Consent, now: float) -> list[tuple[Person, float, bool]]:
    """What people ask for with the words of `consent`: (person, when, whether to stop)."""
    said = [(m, consent.wish(word_of(m.type, m.body))) for m in incoming.messages if _is_said(m)]
    return [(m.person, said_at(m.timestamp, now), wish is Wish.STOP) for m, wish in said if wish is not None]


def _is_said(message: Inbound) -> bool:
    """Whether a person says something to us with it."""
    return message.direction is Direction.IN and message.type != "system"


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


def _delete_content(db: sqlite3.Connection, contact_id: int, revoke: Inbound, at: float) -> None:
    """The person deleted a message: delete its content, and that of its edits, which came after it.

    If the message arrives after its deletion, it counts as a repetition, since a row has its wamid already.
    """
    db.execute(
        "UPDATE messages SET body = '', raw = '{}', version = version + 1 WHERE contact_id = :contact AND timestamp >="
        " (SELECT timestamp FROM messages WHERE wamid = :wamid AND wamid IS NOT NULL)"
        """ AND (wamid = :wamid OR (type = 'edit' AND instr(raw, '"' || :wamid || '"')))""",
        {"contact": contact_id, "wamid": revoke.revokes},
    )
    _insert(db, contact_id, revoke._replace(wamid=revoke.revokes, type="unknown", body="", raw="{}"), at)


def _queue_reply(db: sqlite3.Connection, contact_id: int, since: int, now: float, rules: Rules) -> None:
    """Prolong the open reply until the person has finished, or queue one; behind a running one it waits."""
    due, expires = now + rules.quiet_seconds, now + rules.reply_expires_seconds
    joined = db.execute(
        "UPDATE jobs SET due_at = max(due_at, min(?, created_at + ?)), expires_at = max(expires_at, ?)"
        f" WHERE contact_id = ? AND {indexes.JOINABLE}",
        (due, rules.quiet_max_seconds, expires, contact_id),
    ).rowcount
    if not joined:
        db.execute(  # with INSERT … SELECT from its own table, SQLite would first copy the row into another
            "INSERT INTO jobs (kind, contact_id, state, due_at, created_at, expires_at, since) VALUES ('reply', ?,"
            f" iif(EXISTS (SELECT 1 FROM jobs WHERE contact_id = ? AND {indexes.ANSWERING}), 'waiting', 'queued'),"
            " ?, ?, ?, ?)",
            (contact_id, contact_id, due, now, expires, since),
        )


def _apply_wish(db: sqlite3.Connection, author: Author, wish: Wish, *, at: float, now: float, rules: Rules) -> bool:
    """Apply STOP or START, said at a time, and confirm it once; whether a confirmation was queued."""
    if wish is Wish.STOP:
        changed = _opt_out(db, author.id, at, now) and author.stopped is not Stop.ALL
    else:
        opt_outs.start(db, author.id, at)
        changed = author.stopped in (Stop.ALL, Stop.MARKETING) and opt_outs.of(db, author.id) is None
    text = rules.consent.answer(wish)
    if not changed or not text:
        return False
    confirmation = text_message(text, Origin.CONFIRMATION)
    enqueue(db, author.id, confirmation, now=now, expires_at=now + rules.reply_expires_seconds)
    return True


def _apply_account_news(db: sqlite3.Connection, news: AccountNews, now: float, taken: Taken) -> None:
    """Apply what Meta says of the account, unless something newer arrived before: webhooks overtake each other.

    A restriction is stored, so that it survives a restart. A blocked number is not: the next send gets Meta's error.
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


def _store_preference(db: sqlite3.Connection, preference: Preference, now: float) -> None:
    at = said_at(preference.timestamp, now)
    contact_id = contacts.resolve(db, preference.person, at, now)
    opt_outs.record(db, contact_id, Stop.MARKETING, at, stop=preference.stopped)
