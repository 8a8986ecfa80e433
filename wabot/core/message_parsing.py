"""One message object of a webhook → `Inbound`: who sent it, when, and whether it was our own number.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from wabot.core import message_text
from wabot.core.json_values import compact, dict_of, digits_of, list_of, seconds_of, text_of
from wabot.core.messages import Direction, Inbound, Person
from wabot.core.phone_numbers import is_bsuid

Object = Mapping[str, Any]

_MOVES = frozenset({"user_changed_number", "user_changed_user_id"})


class Chat(NamedTuple):
    """What the messages of one change have in common. `at`: when Meta sent the webhook, in Unix seconds, or 0.0.

    `people`: those in `contacts[]` by number and by BSUID. `only`: the person there, if there is exactly one.
    """

    at: float
    business_number: str
    people: Mapping[str, Person]
    only: Person | None = None

    @classmethod
    def of(cls, value: Object, at: float) -> Self:
        """From the `value` of a change; its `metadata` and `contacts[]` may have any shape."""
        number = digits_of(dict_of(value.get("metadata")).get("display_phone_number"))
        people = people_of(value)
        entries = list_of(value.get("contacts"))
        return cls(at, number, people, next(iter(people.values()), None) if len(entries) == 1 else None)

    def message(self, message: Object) -> Inbound | None:
        """An entry of `messages[]`; None if it has no id or no sender.

        If the sender is our own number, it is an echo of our own message. If no sender is named, it is from the only
        person in `contacts[]`.
        """
        if text_of(message.get("type")) == "system":
            return self._event(message)
        wa_id = digits_of(message.get("from"))
        if wa_id and wa_id == self.business_number:
            return self.echo(message)
        person = person_of(message.get("from"), message.get("from_user_id"), self.people) or self.only
        return self._inbound(message, person)

    def echo(self, message: Object) -> Inbound | None:
        """A message that the business sent, such as from its phone app, to the person in `to`; None without one."""
        person = person_of(message.get("to") or message.get("recipient"), message.get("to_user_id"), self.people)
        return self._inbound(message, person, direction=Direction.OUT)

    def _event(self, message: Object) -> Inbound | None:
        """A message of type "system". `contacts[]` is ignored, since it may have the new ids already.

        Its text is ignored too: it quotes the profile name, by which a person could pretend to be somebody else.

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
        body, answerable = message_text.read(message)
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
            group=text_of(message.get("group_id")),
        )


def people_of(value: Object) -> Mapping[str, Person]:
    """Those in a change's `contacts[]` by number and by BSUID. Their order need not be that of the messages."""
    people: dict[str, Person] = {}
    for contact in list_of(value.get("contacts")):
        person = _named_in(dict_of(contact))
        if person is not None:
            people.update({key: person for key in (person.wa_id, person.bsuid) if key})
    return people


def person_of(number: Any, user_id: Any, people: Mapping[str, Person]) -> Person | None:
    """The person with this number and user id; either may be missing, None if both are.

    A missing id, and the name, come from that person's entry in `people`.
    """
    person = _ids_of(number, user_id)
    known = person and people and (people.get(person.wa_id or "") or people.get(person.bsuid or ""))
    if person is None or not known:
        return person
    return Person(person.wa_id or known.wa_id, person.bsuid or known.bsuid, known.name)


def _named_in(contact: Object) -> Person | None:
    """The person in an entry of `contacts[]`."""
    name = text_of(dict_of(contact.get("profile")).get("name"))
    return _ids_of(contact.get("wa_id"), contact.get("user_id"), name)


def _ids_of(number: Any, user_id: Any, name: str = "") -> Person | None:
    """A person, from a field for phone numbers and one for BSUIDs. Meta sometimes puts a BSUID into the former."""
    digits, bsuid = digits_of(number), text_of(user_id)
    if not bsuid and is_bsuid(text_of(number)):
        bsuid = text_of(number)
    return Person(digits or None, bsuid or None, name) if digits or bsuid else None


def _ids_before(message: Object, system: Object) -> Person | None:
    """The person's ids before the change, if a system message has them; the new BSUID does not count as an old one."""
    new = text_of(system.get("user_id"))
    named = text_of(system.get("previous_user_id")), text_of(message.get("from_user_id"))
    old = next((bsuid for bsuid in named if bsuid not in ("", new)), "")
    person = _ids_of(message.get("from"), old)
    return None if person is not None and person.bsuid == new and not person.wa_id else person
