"""The people on WhatsApp as Meta knows them: number, BSUID, username, what they show, and when they last wrote.

Since April 2026 everybody has a business-scoped user id (BSUID), and it comes with every message and receipt; the phone
number is left out for people who have a username and hide it.
https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core.messages import SERVICE_WINDOW_SECONDS
from wabot.core.phone_numbers import is_bsuid

COUNTRIES: Mapping[str, str] = {
    "1": "US", "20": "EG", "27": "ZA", "31": "NL", "33": "FR", "34": "ES", "39": "IT", "41": "CH", "43": "AT",
    "44": "GB", "48": "PL", "49": "DE", "52": "MX", "54": "AR", "55": "BR", "57": "CO", "62": "ID", "65": "SG",
    "81": "JP", "90": "TR", "91": "IN", "92": "PK", "234": "NG", "254": "KE", "880": "BD", "966": "SA", "971": "AE",
    "972": "IL",
}  # fmt: skip
"""By calling code; a BSUID begins with the country. All other countries get ZZ, the code for "unknown"."""


FREE_SECONDS = 72 * 3600.0
"""How long messages are free for people who came by an advertisement, from the first answer on.
https://developers.facebook.com/documentation/business-messaging/whatsapp/pricing"""


@dataclass(slots=True)
class Customer:
    """A person on WhatsApp. `number` None: only the BSUID is known. `wrote_at`: Unix seconds of the last message to us.

    `hides_number`: webhooks leave the number out. `blocked`: the business blocked this person. `came_at`: when a
    message came by an advertisement that is not answered yet; `free_until`: until when messages cost nothing since.
    """

    user_id: str
    number: str | None = None
    name: str | None = None
    username: str | None = None
    hides_number: bool = False
    wrote_at: float | None = None
    blocked: bool = False
    came_at: float | None = None
    free_until: float | None = None

    @property
    def shown_number(self) -> str | None:
        """The number as webhooks show it; None where it is hidden."""
        return None if self.hides_number else self.number

    def window_is_open(self, now: float) -> bool:
        """Whether the 24-hour window is open."""
        return self.wrote_at is not None and now < self.wrote_at + SERVICE_WINDOW_SECONDS

    def answered(self, now: float) -> float | None:
        """The business writes: until when that is free (a free entry point), None if it is not."""
        if self.came_at is not None and now < self.came_at + SERVICE_WINDOW_SECONDS:
            self.free_until = now + FREE_SECONDS
        self.came_at = None
        return self.free_until if self.free_until is not None and now < self.free_until else None


class People:
    """All customers, by number or BSUID; a look-up creates those that do not exist yet."""

    def __init__(self) -> None:
        self._by_number: dict[str, Customer] = {}
        self._by_user_id: dict[str, Customer] = {}

    def __iter__(self) -> Iterator[Customer]:
        return iter(tuple(self._by_user_id.values()))

    def of(self, address: str) -> Customer:
        """The person with this number (digits, in any spelling of WhatsApp's) or BSUID."""
        if is_bsuid(address):
            known = self._by_user_id.get(address)
            return known or self._by_user_id.setdefault(address, Customer(address))
        key = rewritten(address)
        known = self._by_number.get(key)
        if known is None:
            known = self._by_number[key] = Customer(user_id_of(key), address)
            self._by_user_id[known.user_id] = known
        return known

    def newcomer(self, name: str | None, *, hidden: bool) -> Customer:
        """Somebody new, with a German number; `hidden`: they have a username instead of showing it."""
        customer = self.of(f"4917{secrets.randbelow(10**8):08d}9")
        customer.name = name
        if hidden:
            customer.hides_number, customer.username = True, (name or "somebody").lower().replace(" ", ".")
        return customer

    def link(self, number: str, user_id: str) -> Customer:
        """The person with this number has this BSUID."""
        customer = self.of(number)
        self._rename(customer, user_id)
        return customer

    def change_user_id(self, customer: Customer) -> tuple[str, str]:
        """Meta makes a new BSUID for a person: (the old one, the new one)."""
        old = customer.user_id
        self._rename(customer, user_id_of(old, country=old[:2]))
        return old, customer.user_id

    def move(self, customer: Customer, number: str) -> None:
        """A person has another number from now on; the previous owner of the number is removed."""
        if customer.number is not None:
            self._by_number.pop(rewritten(customer.number), None)
        gone = self._by_number.get(rewritten(number))
        if gone is not None and gone is not customer:
            self._by_user_id.pop(gone.user_id, None)
        customer.number = number
        self._by_number[rewritten(number)] = customer

    def hear(self, message: Mapping[str, Any]) -> None:
        """Remember from an entry of `messages[]` that somebody wrote, and when; a system message has no sender."""
        sender = message.get("from") or message.get("from_user_id")
        stamp = message.get("timestamp")
        if message.get("type") == "system" or not isinstance(sender, str) or not isinstance(stamp, str):
            return
        if sender.isdecimal() or is_bsuid(sender):
            customer = self.of(sender)
            wrote_at = float(stamp) if stamp.isdecimal() else 0.0
            customer.wrote_at = max(customer.wrote_at or 0.0, wrote_at)
            if message.get("referral"):
                customer.came_at = wrote_at

    def _rename(self, customer: Customer, user_id: str) -> None:
        self._by_user_id.pop(customer.user_id, None)
        customer.user_id = user_id
        self._by_user_id[user_id] = customer


def user_id_of(seed: str, *, country: str | None = None) -> str:
    """The BSUID that goes with a number: the same one always, and nothing to recognise the number by."""
    code = country or next((COUNTRIES[seed[:n]] for n in (3, 2, 1) if seed[:n] in COUNTRIES), "ZZ")
    return f"{code}.{int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6], 'big'):015d}"


def rewritten(number: str) -> str:
    """Brazilian mobiles lose the ninth digit, Mexican ones get a 1 after the country code; others stay.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
    """
    if number.startswith("55") and len(number) == 13 and number[4] == "9":
        return number[:4] + number[5:]
    if number.startswith("52") and len(number) == 12:
        return "521" + number[2:]
    return number
