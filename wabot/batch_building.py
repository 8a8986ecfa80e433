"""Turns a bulk request into a batch: parses the numbers, makes the messages, computes the fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wabot.core.exceptions import InvalidField
from wabot.core.may_send import unwanted
from wabot.core.messages import Stop
from wabot.core.outgoing import Origin, template_message
from wabot.core.phone_numbers import InvalidNumber, identify
from wabot.journal.batches import NewBatch, Recipient

LATE_SECONDS, AHEAD_SECONDS = 60.0, 30 * 86400.0
"""How far in the past, and ahead, the time of a scheduled batch may be."""

_sorted_json = json.JSONEncoder(sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class Asked:
    """One recipient of a bulk request: the number as written, and components of their own (None = the template's)."""

    number: str
    components: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Bulk:
    """A request of `/initiate-bulk`. `template`: `{name, language, components}`, None = the first-contact one.

    `by_recipient`: it names `recipients`, who may have components of their own. `send_at`: Unix seconds, None = now.
    """

    recipients: Sequence[Asked]
    template: Mapping[str, Any] | None = None
    key: str | None = None
    by_recipient: bool = False
    send_at: float | None = None


def check_time(bulk: Bulk, now: float) -> None:
    """Refuse a schedule in the past or too far ahead. Raises InvalidField."""
    if bulk.send_at is not None and not now - LATE_SECONDS <= bulk.send_at <= now + AHEAD_SECONDS:
        raise InvalidField("send_at", "must not be in the past, and at most 30 days ahead")


def new_batch(bulk: Bulk, default: Mapping[str, Any], batch_id: str, category: str | None) -> NewBatch:
    """The batch for a request, with this new id; `default`: the template if the request has none. May take a second.

    `category`: of the template, in Meta's words; None if they are not known.
    """
    template = bulk.template or default
    whole = template_message(template, Origin.BULK)
    recipients = []
    for asked in bulk.recipients:
        outgoing, size = whole, 0
        if asked.components is not None:
            outgoing = template_message({**template, "components": asked.components}, Origin.BULK)
            size = len(json.dumps(asked.components))
        try:
            recipients.append(Recipient(asked.number, identify(asked.number), outgoing, size))
        except InvalidNumber:
            recipients.append(Recipient(asked.number, None))
    return NewBatch(batch_id, bulk.key, fingerprint(bulk), recipients, bulk.send_at, category, whole.template)


def fingerprint(bulk: Bulk) -> str:
    """The SHA-256 of `[[[number, components], …], template]` as JSON, and of `send_at`, made step by step."""
    digest = hashlib.sha256(b"[[")
    for place, asked in enumerate(bulk.recipients):
        entry = _sorted_json([asked.number, asked.components])
        digest.update((f", {entry}" if place else entry).encode())
    digest.update(f"], {_sorted_json(bulk.template)}]".encode())
    if bulk.send_at is not None:
        digest.update(f", {bulk.send_at!r}".encode())
    return digest.hexdigest()


def dry_run(batch: NewBatch, stops: Mapping[Stop, int], seconds: Callable[[int], float]) -> dict[str, Any]:
    """What a batch would send, how many it would not be sent to, and how long it takes.

    `seconds`: how long so many messages take.
    """
    valid = [recipient.number for recipient in batch.recipients if recipient.number]
    distinct = len(set(valid))
    refused = Counter[str]()
    for stopped, people in stops.items():
        if why := unwanted(stopped, batch.category, bulk=True):
            refused[why[1]] += people
    would_send = distinct - refused.total()
    return {
        "total": len(batch.recipients),
        "duplicates": len(valid) - distinct,
        "invalid": len(batch.recipients) - len(valid),
        "opted_out": refused["opted_out"],
        "unreachable": refused["unreachable"],
        "would_send": would_send,
        "category": batch.category,
        "seconds": round(seconds(would_send), 2),
    }
