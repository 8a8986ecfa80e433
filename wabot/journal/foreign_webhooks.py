"""Webhooks for a phone number id that is not configured: stored whole, until it is configured.

A typo in the settings must not lose what customers write meanwhile. Storage is bounded: the oldest are dropped first.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from wabot.core import webhook
from wabot.core.handoff import HandoffRules, Reason
from wabot.core.json_values import dict_of, list_of
from wabot.core.messages import Contact, ForeignPart, Inbound, Stop, Webhook
from wabot.journal import contacts, indexes, takeover
from wabot.journal.accept import Rules, accept
from wabot.journal.after_restore import restored_at
from wabot.journal.receipts import ReceiptRules

KEPT_SECONDS = 7 * 86400.0
KEPT_WEBHOOKS = 100_000
KEPT_BYTES = 256 << 20

ANSWERED_SECONDS = 12 * 3600.0
"""Older messages are stored and not answered: their authors do not wait any more. Nor are those in a restored backup
answered: they may have been since it was made."""

NAMED = 5
STEP_WEBHOOKS, STEP_BYTES = 100, 1 << 20
"""How much is read, and committed, at a time."""


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """The webhooks that were processed: how many, and how many new messages they had."""

    webhooks: int
    stored: int


@dataclass(frozen=True, slots=True)
class OneKept:
    """A stored webhook. `restored`: it was in a backup that was restored, so it may have been processed since."""

    id: int
    received_at: float
    raw: str
    restored: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """How many webhooks are stored, how many were dropped to make room, and for which numbers (at most NAMED)."""

    webhooks: int
    dropped: int
    numbers: tuple[str, ...]


def kept(db: sqlite3.Connection, ignored: Set[str]) -> Kept:
    """What is stored for numbers that are not `ignored`; 0 webhooks if nothing is."""
    totals = db.execute("SELECT webhooks, dropped FROM foreign_totals").fetchone()
    numbers, last = list[str](), ""
    while totals["webhooks"] and len(numbers) < NAMED:
        found = db.execute(
            "SELECT phone_number_id FROM foreign_webhooks WHERE phone_number_id > ? ORDER BY phone_number_id LIMIT 1",
            (last,),
        ).fetchone()
        if found is None:
            break
        last = found["phone_number_id"]
        if last not in ignored:
            numbers.append(last)
    return Kept(totals["webhooks"] if numbers else 0, totals["dropped"], tuple(numbers))


def keep(db: sqlite3.Connection, parts: Sequence[ForeignPart], now: float) -> None:
    """Store the parts of one webhook for other numbers; drop the oldest to make room."""
    for part in parts:
        size = len(part.payload.encode())
        db.execute(
            "INSERT INTO foreign_webhooks (received_at, phone_number_id, size, raw) VALUES (?, ?, ?, ?)",
            (now, part.phone_number_id, size, part.payload),
        )
        db.execute("UPDATE foreign_totals SET webhooks = webhooks + 1, bytes = bytes + ?", (size,))
    while _too_much(db):
        oldest = db.execute("SELECT id FROM foreign_webhooks ORDER BY id LIMIT 1").fetchone()
        db.execute("UPDATE foreign_totals SET dropped = dropped + ?", (_forget(db, [oldest["id"]]),))


def _too_much(db: sqlite3.Connection) -> bool:
    total = db.execute("SELECT webhooks, bytes FROM foreign_totals").fetchone()
    return bool(total["webhooks"] > KEPT_WEBHOOKS or total["bytes"] > KEPT_BYTES)


def prune(db: sqlite3.Connection, *, now: float, limit: int) -> int:
    """Delete what was not claimed in time; how many."""
    old = db.execute(
        "SELECT id FROM (SELECT id, received_at FROM foreign_webhooks ORDER BY id LIMIT ?) WHERE received_at < ?",
        (limit, now - KEPT_SECONDS),
    ).fetchall()
    return _forget(db, [row["id"] for row in old])


def reclaim(db: sqlite3.Connection, number: str, now: float, rules: Rules, receipt_rules: ReceiptRules) -> Reclaimed:
    """Process some of what was stored for a phone number id, as if it had just arrived; 0 webhooks: none is left.

    Processed and deleted in one commit, so that it happens exactly once, whenever we are killed. `now`: the same for
    all that is processed at a start.
    """
    step = some(db, number)
    stored = accept_kept(db, step, number, now, (rules, receipt_rules))
    return Reclaimed(forget(db, step), stored)


def some(db: sqlite3.Connection, number: str) -> list[OneKept]:
    """The oldest webhooks that are stored for a phone number id: at most STEP_WEBHOOKS and about STEP_BYTES."""
    found, size, put_back = list[OneKept](), 0, restored_at(db)
    for row in db.execute(
        "SELECT id, received_at, size, raw FROM foreign_webhooks WHERE phone_number_id = ? ORDER BY id LIMIT ?",
        (number, STEP_WEBHOOKS),
    ):
        size += row["size"]
        if found and size > STEP_BYTES:
            break
        found.append(OneKept(row["id"], row["received_at"], row["raw"], row["received_at"] <= put_back))
    return found


def accept_kept(
    db: sqlite3.Connection,
    step: Sequence[OneKept],
    number: str,
    now: float,
    both_rules: tuple[Rules, ReceiptRules],
) -> int:
    """Process stored webhooks, as if they had just arrived; how many new messages they had."""
    rules, receipt_rules = both_rules
    silent, stored = replace(rules, consent=replace(rules.consent, confirmation="", welcome_back="")), 0
    missed = list[Inbound]()
    for one in step:
        incoming = webhook.parse(one.raw.encode(), {number: ""})[number]
        answered_from = math.inf if one.restored else now - ANSWERED_SECONDS
        old, fresh = _by_age(incoming, one.received_at, answered_from)
        new = accept(db, old, now, silent, receipt_rules).stored
        if new and not one.restored:
            ids = {message.wamid for message in old.messages}
            missed += [message for message in incoming.messages if message.answerable and message.wamid in ids]
        stored += new + accept(db, fresh, now, rules, receipt_rules).stored
        for contact in _authors(db, [message for message in fresh.messages if message.answerable]):
            takeover.needs_nobody_after_all(db, contact.id, Reason.OLD_NEWS, now)  # both are answered together
    _leave_to_a_person(db, missed, rules.handoff, now)
    return stored


def _leave_to_a_person(db: sqlite3.Connection, messages: Sequence[Inbound], rules: HandoffRules, now: float) -> None:
    """Nobody answers these any more, as with a reply that comes too late: a person sees to who wrote them.

    Not to whoever is owed a reply, since they wrote later too, nor to whom the assistant answers nothing.
    """
    owed = f"SELECT 1 FROM jobs WHERE contact_id = ? AND {indexes.JOINABLE}"
    for contact in _authors(db, messages):
        silent = contact.stopped is Stop.ALL or contact.is_paused(now)
        is_owner = contact.wa_id is not None and contact.wa_id == rules.alert_number
        if not silent and not is_owner and db.execute(owed, (contact.id,)).fetchone() is None:
            takeover.hand_off(db, contact.id, rules.begin(Reason.OLD_NEWS), now)


def _authors(db: sqlite3.Connection, messages: Sequence[Inbound]) -> list[Contact]:
    names = dict.fromkeys(message.person.bsuid or message.person.wa_id or "" for message in messages)
    return [contact for name in names if (contact := contacts.find(db, name)) is not None]


def forget(db: sqlite3.Connection, step: Sequence[OneKept]) -> int:
    """Delete stored webhooks that were processed; how many."""
    return _forget(db, [one.id for one in step])


def leave_out(db: sqlite3.Connection, named: re.Pattern[str], after: int, limit: int) -> int:
    """Take a person out of the next ones with ids above `after`; the last id looked at."""
    page = "SELECT id, raw FROM foreign_webhooks WHERE id > ? ORDER BY id LIMIT ?"
    for row in db.execute(page, (after, limit)).fetchall():
        after = row["id"]
        if named.search(row["raw"]):
            _rewrite(db, row["id"], _without(row["raw"], named))
    return after


def _rewrite(db: sqlite3.Connection, webhook_id: int, raw: str) -> None:
    """Store a webhook with another content."""
    size = len(raw.encode())
    (was,) = db.execute("SELECT size FROM foreign_webhooks WHERE id = ?", (webhook_id,)).fetchone()
    db.execute("UPDATE foreign_webhooks SET raw = ?, size = ? WHERE id = ?", (raw, size, webhook_id))
    db.execute("UPDATE foreign_totals SET bytes = bytes + ?", (size - was,))


def _by_age(incoming: Webhook, received_at: float, answered_from: float) -> tuple[Webhook, Webhook]:
    """The messages that are too old to be answered, and all the rest. One without a time is as old as its webhook."""
    dated = [m._replace(timestamp=m.timestamp or float(int(received_at))) for m in incoming.messages]
    old = [m for m in dated if m.timestamp < answered_from]
    fresh = [m for m in dated if m.timestamp >= answered_from]
    return (
        Webhook(messages=tuple(m._replace(answerable=False) for m in old)),
        replace(incoming, messages=tuple(fresh)),
    )


def _forget(db: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Every deletion goes through here, so that the totals are right."""
    for one in ids:
        (size,) = db.execute("DELETE FROM foreign_webhooks WHERE id = ? RETURNING size", (one,)).fetchone()
        db.execute("UPDATE foreign_totals SET webhooks = webhooks - 1, bytes = bytes - ?", (size,))
    return len(ids)


def _without(raw: str, named: re.Pattern[str]) -> str:
    """A stored webhook without the entries of its lists that name a person; empty if it cannot be read."""
    try:
        payload = json.loads(raw)
    except ValueError:
        return "{}"
    for entry in list_of(dict_of(payload).get("entry")):
        for change in list_of(dict_of(entry).get("changes")):
            value = dict_of(change).get("value")
            if isinstance(value, dict):
                lists = {field: held for field, held in value.items() if isinstance(held, list)}
                value |= {field: [one for one in held if not _names_one(one, named)] for field, held in lists.items()}
    return json.dumps(payload, ensure_ascii=False)


def _names_one(entry: object, named: re.Pattern[str]) -> bool:
    return named.search(json.dumps(entry, ensure_ascii=False)) is not None
