"""Phone numbers and business-scoped user ids: reads, compares and masks them."""

from __future__ import annotations

import re

import phonenumbers

from wabot.core.exceptions import InvalidInput

_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_SPELLING = re.compile(r"[+\d\s().\-/]{1,40}")
_OLD_MEXICAN = re.compile(r"521\d{10}", re.ASCII)
"""WhatsApp still writes Mexican mobile numbers with the 1 that the country dropped in 2019."""

_SAME_END, _SAME_START, _PIECE = 7, 2, 2
"""Digits that two spellings of a number have in common at the end and at the start; most digits that one lacks."""


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
