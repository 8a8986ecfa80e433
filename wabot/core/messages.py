"""Contacts, inbound messages, receipts and phone numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import phonenumbers

from wabot.core.account import AccountNews
from wabot.core.errors import InvalidInput

SERVICE_WINDOW_SECONDS = 24 * 3600.0
"""How long after a person's message we may send free texts.
https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages"""

AHEAD_SECONDS = 300.0
"""How far our clock may be behind Meta's: a time further in the future is wrong."""

_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_SPELLING = re.compile(r"[+\d\s().\-/]{1,40}")
_OLD_MEXICAN = re.compile(r"521\d{10}", re.ASCII)
"""WhatsApp still writes Mexican mobile numbers with the 1 that the country dropped in 2019."""


class InvalidNumber(InvalidInput):
    """The text cannot be a phone number."""


def normalize_number(text: str) -> str:
    """`text` as digits with country code ("+91 92165-98210" → "919216598210").

    Accepts `+` or `00`, spaces, dashes, dots, slashes, brackets. Raises InvalidNumber if the country code does not
    exist or the length is impossible. Whether the number is in use only Meta knows.
    """
    if not _SPELLING.fullmatch(text):
        raise InvalidNumber("Invalid phone number")
    digits = re.sub(r"\D", "", text)
    if digits.startswith("00"):
        digits = digits[2:]
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException as error:
        raise InvalidNumber("Invalid phone number") from error
    if _OLD_MEXICAN.fullmatch(digits):
        return digits
    if not digits.isascii() or not phonenumbers.is_possible_number(number):
        raise InvalidNumber("Invalid phone number")
    national = phonenumbers.national_significant_number(number)
    normal = f"{number.country_code}{national}"
    if national.startswith("0") and normal != digits:  # one trunk zero was removed; this may be another, or Italy's
        return normalize_number(normal)
    return normal


def is_bsuid(text: str) -> bool:
    """Whether `text` has the form of a business-scoped user id: country, dot, up to 128 alphanumerics.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
    """
    return _BSUID.fullmatch(text) is not None


def mask(identity: str | None) -> str:
    """A phone number or BSUID, shortened for logs: enough to recognise it, too little to call it."""
    if not identity:
        return "?"
    return f"{identity[:2]}…{identity[-2:]}" if len(identity) > 5 else "…"


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


_SAME_END, _SAME_START, _PIECE = 7, 2, 2
"""Digits that two spellings of a number have in common at the end and at the start; most digits that one lacks."""


def same_number(one: str, other: str) -> bool:
    """Whether two numbers (digits) are equal, or two spellings of one number: the shorter lacks one or two digits.

    WhatsApp writes some countries' numbers as they were before a change of the numbering plan: Brazil (9 after the area
    code), Mexico (1 after the country code), Argentina, Benin, Ivory Coast.
    https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
    """
    short, long = sorted((one, other), key=len)
    piece = len(long) - len(short)
    if not 0 < piece <= _PIECE:
        return short == long
    places = range(_SAME_START, len(short) - _SAME_END + 1)
    return any(long[:at] + long[at + piece :] == short for at in places)


@dataclass(frozen=True, slots=True)
class Person:
    """A person as Meta names them: phone number (digits), BSUID, or both; at least one."""

    wa_id: str | None = None
    bsuid: str | None = None
    name: str = ""


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
    """A person we talk with, as stored in the journal. Times are Unix seconds."""

    id: int
    wa_id: str | None = None
    bsuid: str | None = None
    name: str = ""
    last_inbound_at: float | None = None
    stopped: Stop | None = None

    @property
    def address(self) -> str:
        """The number, or the BSUID if there is none, or ""."""
        return self.wa_id or self.bsuid or ""

    def window_is_open(self, now: float) -> bool:
        """Whether Meta's 24-hour window, counted from the person's own last message, is open."""
        return self.last_inbound_at is not None and now < self.last_inbound_at + SERVICE_WINDOW_SECONDS


@dataclass(frozen=True, slots=True)
class Inbound:
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


@dataclass(frozen=True, slots=True)
class Receipt:
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
