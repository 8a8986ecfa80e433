"""Checks the form of ids, token and secrets, to find wrong ones before asking Meta."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from wabot.core.health_checks import SYSTEM_USERS, Check, State, ok
from wabot.core.phone_numbers import InvalidNumber, normalize_number

_PLACEHOLDER = re.compile(r"your|xxx|change.?me|placeholder|example|token|secret|[<>{}…]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The settings whose form can be checked."""

    access_token: str
    phone_number_id: str
    business_account_id: str
    app_secret: str
    verify_token: str


def check(given: Credentials, *, known: Collection[str] = ()) -> Check:
    """Whether ids, token and secret have the form that Meta gives them.

    `known`: those of "token", "number" and "secret" that Meta has accepted; their form is not checked.
    """
    found = list(_misshapen(given, known))
    for state in (State.BROKEN, State.WARNING):
        bad = [(detail, remedy) for kind, detail, remedy in found if kind is state]
        if bad:
            return Check("settings", state, "; ".join(d for d, _ in bad), " ".join(dict.fromkeys(r for _, r in bad)))
    return ok("settings", "ids, token and secret have the form that Meta gives them")


def _misshapen(given: Credentials, known: Collection[str]) -> Iterable[tuple[State, str, str]]:
    api_setup = "Copy the ids from WhatsApp > API setup in the app's dashboard into [whatsapp]."
    for name, value in (
        ("phone_number_id", given.phone_number_id),
        ("business_account_id", given.business_account_id),
    ):
        if not value and name == "business_account_id":
            yield State.WARNING, "whatsapp.business_account_id is missing: templates cannot be checked", api_setup
        elif name == "phone_number_id" and "number" in known:
            continue
        elif not re.fullmatch(r"\d{5,20}", value, re.ASCII):
            yield State.BROKEN, f"whatsapp.{name} is not an id, which has digits only", api_setup
        elif _is_phone_number(value):
            yield State.BROKEN, f"whatsapp.{name} is a phone number, not the id of one", api_setup
    if given.business_account_id and given.business_account_id == given.phone_number_id:
        yield State.BROKEN, "whatsapp.phone_number_id and whatsapp.business_account_id are the same", api_setup
    if "token" not in known and (len(given.access_token) < 50 or _PLACEHOLDER.search(given.access_token)):
        yield (
            State.BROKEN,
            "whatsapp.access_token looks like a placeholder",
            f"Generate a token in {SYSTEM_USERS} and put it into whatsapp.access_token.",
        )
    if given.app_secret and "secret" not in known and not re.fullmatch(r"[0-9a-f]{32}", given.app_secret):
        yield (
            State.WARNING,
            "whatsapp.app_secret does not look like Meta's (32 hexadecimal digits)",
            "Copy it from App settings > Basic into whatsapp.app_secret.",
        )
    if not given.verify_token:
        yield (
            State.WARNING,
            "whatsapp.verify_token is missing: Meta cannot verify the webhook's address",
            "Make up a word, put it into whatsapp.verify_token and into WhatsApp > Configuration.",
        )


def _is_phone_number(digits: str) -> bool:
    """Whether an id is a phone number. Meta's ids have 14 digits or more; phone numbers of that length are rare."""
    try:
        return len(digits) <= 13 and bool(normalize_number(digits))
    except InvalidNumber:
        return False
