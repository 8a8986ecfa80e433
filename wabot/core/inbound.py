"""One message object of Meta's → `Inbound`: who said it, when, and whether we said it ourselves.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from wabot.core import bodies
from wabot.core.messages import Direction, Inbound, Person, is_bsuid
from wabot.core.shapes import compact, dict_of, digits_of, list_of, seconds_of, text_of

Object = Mapping[str, Any]

_MOVES = frozenset({"user_changed_number", "user_changed_user_id"})
_BSUID_IN_TEXT = re.compile(r"(?<![\w.])[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}(?!\w)")


@dataclass(frozen=True, slots=True)
class Chat:
    """What the messages of one change have in common. `at` is when Meta told us, in Unix seconds, or 0.0."""

    at: float
    business_number: str
    people: Mapping[str, Object]

    @classmethod
    def of(cls, value: Object, at: float) -> Self:
        """`value` is a change's: `metadata` and `contacts[]` of any shape."""
        number = digits_of(dict_of(value.get("metadata")).get("display_phone_number"))
        return cls(at, number, people_of(value))

    def message(self, message: Object) -> Inbound | None:
        """An entry of `messages[]`; None if it has no id or nobody said it.

        Where the sender is our own number, it is what we said ourselves, echoed.
        """
        if text_of(message.get("type")) == "system":
            return self._event(message)
        wa_id = digits_of(message.get("from"))
        if wa_id and wa_id == self.business_number:
            return self.echo(message)
        person = person_of(wa_id, text_of(message.get("from_user_id")), self.people)
        return self._inbound(message, person)

    def echo(self, message: Object) -> Inbound | None:
        """A message that the business sent, from its phone say, to the person in `to`; None if that is nobody."""
        recipient = text_of(message.get("recipient"))
        wa_id = digits_of(message.get("to")) or digits_of(recipient)
        bsuid = text_of(message.get("to_user_id")) or (recipient if is_bsuid(recipient) else "")
        return self._inbound(message, person_of(wa_id, bsuid, self.people), direction=Direction.OUT)

    def _event(self, message: Object) -> Inbound | None:
        """A message of type "system": `contacts[]` is not asked, since it may know the new ids already.

        https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/system
        """
        system = dict_of(message.get("system"))
        old, new = _ids_before(message, system), _ids_of(system.get("wa_id"), system.get("user_id"))
        moved = text_of(system.get("type")) in _MOVES and old is not None and old != new
        return self._inbound(message, old or new, moved_to=new if moved else None)

    def _inbound(
        self,
        message: Object,
        person: Person | None,
        *,
        direction: Direction = Direction.IN,
        moved_to: Person | None = None,
    ) -> Inbound | None:
        wamid = text_of(message.get("id"))
        if not wamid or person is None:
            return None
        body, answerable = bodies.read(message)
        return Inbound(
            wamid=wamid,
            person=person,
            timestamp=seconds_of(message.get("timestamp")) or self.at,
            type=text_of(message.get("type")) or "unknown",
            body=body,
            raw=compact(message),
            business_number=self.business_number,
            direction=direction,
            answerable=answerable and direction is Direction.IN,
            moved_to=moved_to,
            revokes=text_of(dict_of(message.get("revoke")).get("original_message_id")),
        )


def people_of(value: Object) -> Mapping[str, Object]:
    """The entries of a change's `contacts[]` by number and by BSUID: their order says nothing about the messages'."""
    people: dict[str, Object] = {}
    for contact in list_of(value.get("contacts")):
        for key in (digits_of(dict_of(contact).get("wa_id")), text_of(dict_of(contact).get("user_id"))):
            if key:
                people[key] = contact
    return people


def person_of(wa_id: str, bsuid: str, people: Mapping[str, Object]) -> Person | None:
    """The person with these ids, either of which may be ""; what is missing, and the name, comes from `people`."""
    contact = people.get(wa_id) or people.get(bsuid)
    if contact is None:
        return _ids_of(wa_id, bsuid)
    return _ids_of(
        wa_id or contact.get("wa_id"),
        bsuid or contact.get("user_id"),
        text_of(dict_of(contact.get("profile")).get("name")),
    )


def _ids_of(wa_id: Any, bsuid: Any, name: str = "") -> Person | None:
    number, user_id = digits_of(wa_id), text_of(bsuid)
    return Person(number or None, user_id or None, name) if number or user_id else None


def _ids_before(message: Object, system: Object) -> Person | None:
    """Who wrote to us until now, as far as a system message tells; a BSUID that is the new one is not the old one."""
    new = text_of(system.get("user_id"))
    mentioned = set(_BSUID_IN_TEXT.findall(text_of(system.get("body"))))
    told = text_of(system.get("previous_user_id")), text_of(message.get("from_user_id"))
    old = next((bsuid for bsuid in told if bsuid not in ("", new)), "")
    if not old and len(mentioned - {new}) == 1:
        (old,) = mentioned - {new}
    return _ids_of(message.get("from"), old)
