"""Contacts, messages, receipts, and what else a webhook contains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from wabot.core.account_news import AccountNews
from wabot.core.phone_numbers import is_bsuid

SERVICE_WINDOW_SECONDS = 24 * 3600.0
"""How long after a person's message we may send free texts.
https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages"""

AHEAD_SECONDS = 300.0
"""How far our clock may be behind Meta's: a time further in the future is wrong."""


class Direction(StrEnum):
    """The direction of a message, seen from us."""

    IN = "in"
    OUT = "out"


class Status(StrEnum):
    """The status of a message. For outbound ones, `sent` to `failed` come from Meta."""

    RECEIVED = "received"
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    FAILED = "failed"


_RANK = {
    Status.QUEUED: 0, Status.SENT: 1, Status.FAILED: 2, Status.DELIVERED: 3, Status.READ: 4, Status.PLAYED: 5,
    Status.RECEIVED: 6,
}  # fmt: skip


def is_news(current: Status, received: Status) -> bool:
    """Whether a receipt with status `received` changes a message in `current`: only forward, whatever their order.

    `failed` follows `sent` but never `delivered`; a late `sent` does not undo it.
    """
    return _RANK[received] > _RANK[current]


def is_alive(status: Status) -> bool:
    """Whether Meta accepted a copy of a message and it has not failed: it has arrived, or still may."""
    return status in (Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED)


def outshines(copy: Status, shown: Status) -> bool:
    """Whether, of two copies of one message, `copy` is the one to show: it is alive, and the other is not or is behind.

    Meta may have accepted several copies if answers were lost; each has its own wamid and receipts.
    """
    return is_alive(copy) and (not is_alive(shown) or _RANK[copy] > _RANK[shown])


class Person(NamedTuple):
    """A person as Meta names them: phone number (digits), BSUID, or both; at least one."""

    wa_id: str | None = None
    bsuid: str | None = None
    name: str = ""

    @classmethod
    def of(cls, identity: str) -> Person:
        """Who goes by the digits of a phone number, or by a BSUID."""
        return cls(bsuid=identity) if is_bsuid(identity) else cls(wa_id=identity)


def said_at(timestamp: float, now: float) -> float:
    """When a message was sent: Meta's time; our own, in whole seconds, if that is missing (0.0) or in the future.

    A message from the future would keep the 24-hour window open, and an opt-out from the future could not be undone.
    """
    return timestamp if 0 < timestamp <= now + AHEAD_SECONDS else float(int(now))


class Stop(StrEnum):
    """What we may no longer send to a contact: anything, marketing, or bulk messages."""

    ALL = "all"
    MARKETING = "marketing"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Contact:
    """A person we talk with, as stored in the journal. Times are Unix seconds.

    `paused_until`: so long a person answers them, and not the assistant. What the assistant wanted to say in jobs with
    ids up to `silent_upto` is not said any more.
    """

    id: int
    wa_id: str | None = None
    bsuid: str | None = None
    name: str = ""
    last_inbound_at: float | None = None
    stopped: Stop | None = None
    paused_until: float | None = None
    silent_upto: int = 0

    @property
    def address(self) -> str:
        """The number, or the BSUID if there is none, or ""."""
        return self.wa_id or self.bsuid or ""

    def window_is_open(self, now: float) -> bool:
        """Whether Meta's 24-hour window, counted from the person's own last message, is open."""
        return self.last_inbound_at is not None and now < self.last_inbound_at + SERVICE_WINDOW_SECONDS

    def is_paused(self, now: float) -> bool:
        """Whether the assistant is silent, because a person answers."""
        return self.paused_until is not None and now < self.paused_until


class Inbound(NamedTuple):
    """One entry of a webhook's `messages[]` (or of `message_echoes[]`: then `direction` is OUT).

    `timestamp` is Meta's, in Unix seconds; `raw` is Meta's object as JSON text; `body` is the text for readers and the
    model. `answerable`: it should be answered. `moved_to`: the person's new ids. `revokes`: the wamid of the message
    that the person deleted. `group`: the id of the group in which it was sent; group messages do not open Meta's
    24-hour window.
    """

    wamid: str
    person: Person
    timestamp: float
    type: str
    body: str
    raw: str
    business_number: str = ""
    direction: Direction = Direction.IN
    answerable: bool = True
    moved_to: Person | None = None
    revokes: str = ""
    group: str = ""


class Receipt(NamedTuple):
    """One entry of a webhook's `statuses[]`. `tag`: our own string, returned by Meta. `error`: Meta's error object.

    `pricing`: what Meta charges for; category, billable, type and pricing_model, each if Meta sent it.
    """

    wamid: str
    status: Status
    timestamp: float
    tag: str | None = None
    person: Person | None = None
    error: Mapping[str, Any] | None = None
    pricing: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """A person stopped, or resumed, our marketing messages with WhatsApp's own button."""

    person: Person
    stopped: bool
    timestamp: float


@dataclass(frozen=True, slots=True)
class TemplateNews:
    """Meta changed the status of a template: `event` is APPROVED, PAUSED, DISABLED, REINSTATED, …"""

    name: str
    language: str
    event: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Any other part of a webhook, kept as it came: a field that we do not handle, or something unreadable."""

    field: str
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class ForeignPart:
    """The part of one webhook that is for a phone number id that is not ours: a payload like Meta's, as JSON text."""

    phone_number_id: str
    payload: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """The contents of one webhook. `count`: the number of messages in it, also for other numbers."""

    count: int = 0
    messages: tuple[Inbound, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    preferences: tuple[Preference, ...] = ()
    templates: tuple[TemplateNews, ...] = ()
    notices: tuple[Notice, ...] = ()
    foreign: tuple[ForeignPart, ...] = ()
    account: tuple[AccountNews, ...] = ()
