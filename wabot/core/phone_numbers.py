"""Phone numbers and business-scoped user ids: reads, compares and masks them."""

from __future__ import annotations

import re
from functools import cache

import phonenumbers

from wabot.core.exceptions import InvalidInput

_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_SPELLING = re.compile(r"[+\d\s()\[\]./\-\u2010-\u2015\u2212]{1,40}")
"""The last ones are the dashes and the minus that word processors and web pages write instead of a hyphen."""
_PLAIN = re.compile(r"\+?([1-9]\d{4,16})", re.ASCII)
_NOTHING = "(?!)"
_OLD_MEXICAN = re.compile(r"521\d{10}", re.ASCII)
"""WhatsApp still writes Mexican mobile numbers with the 1 that the country dropped in 2019."""

_SAME_END, _SAME_START, _PIECE = 7, 2, 2
"""Digits that two spellings of a number have in common at the end and at the start; most digits that one lacks."""


class InvalidNumber(InvalidInput):
    """The text cannot be a phone number."""

    details = ({"field": "number", "message": "Invalid phone number"},)


def normalize_number(text: str) -> str:
    """`text` as digits with country code ("+91 92165-98210" → "919216598210").

    Accepts `+` or `00`, spaces, dashes, dots, slashes, brackets. Raises InvalidNumber if the country code does not
    exist or the length is impossible. Whether the number is in use only Meta knows.
    """
    plain = _PLAIN.fullmatch(text)
    return plain[1] if plain and _is_whole(plain[1]) else by_library(text)


def by_library(text: str) -> str:
    """The same, by the library alone."""
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
        return by_library(normal)
    return normal


def _is_whole(digits: str) -> bool:
    """Whether digits are certainly a number with its country code and nothing else: a tenth of the library's time.

    By the library's own plans. Where a trunk prefix may precede the national number, the library must decide.
    """
    for size in (1, 2, 3):
        plan = _plan(digits[:size])
        if plan is not None:
            lengths, trunk_prefix = plan
            national = digits[size:]
            return len(national) in lengths and national[0] != "0" and not trunk_prefix.match(national)
    return False


@cache
def _plan(code: str) -> tuple[frozenset[int], re.Pattern[str]] | None:
    """The possible lengths of national numbers under a country code, and what may precede one; None: no such code."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code))
    metadata = regions and phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), regions[0])
    whole = metadata.general_desc if metadata else None
    if not metadata or not whole:
        return None
    lengths = frozenset({*whole.possible_length, *whole.possible_length_local_only})
    return lengths, re.compile(metadata.national_prefix_for_parsing or _NOTHING)


def is_bsuid(text: str) -> bool:
    """Whether `text` has the form of a business-scoped user id: country, dot, up to 128 alphanumerics.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
    """
    return _BSUID.fullmatch(text) is not None


def identify(text: str) -> str:
    """The digits of a phone number, or a business-scoped user id as it is. Raises InvalidNumber."""
    return text if is_bsuid(text) else normalize_number(text)


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
