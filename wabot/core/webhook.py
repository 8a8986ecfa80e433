"""Parses webhooks: what each of them says to each of our numbers. `usual_webhooks` reads most of them, and faster.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wabot.core import account_news, usual_webhooks
from wabot.core.account_news import AccountNews
from wabot.core.json_limits import TooManyValues
from wabot.core.json_values import compact, dict_of, list_of, loads, seconds_of, storable, text_of
from wabot.core.message_parsing import Chat, Object, people_of, person_of
from wabot.core.messages import ForeignPart, Inbound, Notice, Preference, Receipt, TemplateNews, Webhook
from wabot.core.receipt_parsing import receipt_of

T = TypeVar("T")

MOST_NOTICES = 100
"""The most notices of one webhook; Meta really sends a handful."""

_CHATS = ("messages", "smb_message_echoes")
"""The fields whose changes are about conversations."""
MOST_NUMBERS = 100
"""The most other phone number ids in one webhook; Meta sends one."""
_IN_CHATS = ("messages", "message_echoes", "statuses", "errors")
_STOPPED = {"stop": True, "resume": False}
_LONGEST_WORD = 64


def parse(
    body: bytes, accounts: Mapping[str, str], *, refused: Set[str] = frozenset(), ignored: Set[str] = frozenset()
) -> dict[str, Webhook]:
    """The contents of one webhook for each of our numbers; unreadable parts become Notices. Never raises.

    `accounts`: phone number id → id of its account (WABA), "" if that is not known. The first one's Webhook is always
    there; it also has what names no number. What is about a whole WABA goes to each of its numbers, and becomes a
    Notice if it is not ours.

    Changes for another phone number id become ForeignParts of the first, unless that id is in `ignored`. Those for one
    in `refused` are dropped, and its Webhook is empty: it is ours, but its app secret did not sign this webhook.

    A malformed part does not affect the others, and all strings can be stored. A message without a valid timestamp gets
    that of its entry, or else 0.0: then the caller's clock must do.
    """
    first = next(iter(accounts))
    usual = usual_webhooks.read(body)
    if usual is None or usual[0] not in accounts:
        return parse_any(body, accounts, refused, ignored)
    number, webhook = usual
    return {number: webhook} if number == first else {first: Webhook(), number: webhook}


def parse_any(body: bytes, accounts: Mapping[str, str], refused: Set[str], ignored: Set[str]) -> dict[str, Webhook]:
    """The same for any body, usual or not."""
    first = next(iter(accounts))
    text = body.decode(errors="replace")
    try:
        payload = loads(text)
    except TooManyValues:
        return {first: _unreadable("too many values", text)}
    except ValueError:
        return {first: _unreadable("not JSON", text)}
    except RecursionError:
        return {first: _unreadable("nested too deeply", text)}
    entries = dict_of(payload).get("entry")
    if not isinstance(entries, list):
        return {first: _unreadable("unknown shape", text)}
    routing = _Routing(accounts, refused, ignored)
    try:
        for entry in entries:
            routing.entry(entry)
        return {number: reading.webhook() for number, reading in routing.readings.items()}
    except RecursionError:  # shallow enough to be read, but too deep to be written again
        return {first: _unreadable("nested too deeply", text)}


def _unreadable(reason: str, text: str) -> Webhook:
    return Webhook(notices=(Notice("unreadable", reason, storable(text)),))


class _Routing:
    """Gives each change of a webhook to the number that it is for."""

    def __init__(self, accounts: Mapping[str, str], refused: Set[str], ignored: Set[str]) -> None:
        self._accounts, self._refused, self._ignored = accounts, refused, ignored
        self.readings: defaultdict[str, _Reading] = defaultdict(_Reading)
        self.first = self.readings[next(iter(accounts))]

    def entry(self, entry: Any) -> None:
        changes = dict_of(entry).get("changes")
        if not isinstance(changes, list):
            self.first.note("unreadable", "unknown shape", entry)
            return
        at = seconds_of(entry.get("time")) or 0.0
        for change in changes:
            number = _number_of(change)
            if not number:
                self.of_account(entry, change, at)
            elif number in self._accounts:
                self.readings[number].change(change, at)
            elif number in self._refused:
                self.readings[number] = _Reading()
            else:
                self.first.elsewhere(number, entry, change, ignored=number in self._ignored)

    def of_account(self, entry: Object, change: Any, at: float) -> None:
        """A change that names no number: it is about a whole account (WABA), and so about each of its numbers."""
        field_, named = text_of(dict_of(change).get("field")), text_of(entry.get("id"))
        if field_ in _CHATS or not field_ or not named:
            self.first.change(change, at)
            return
        numbers = [number for number, waba in self._accounts.items() if waba in ("", named)]
        if not numbers:
            self.first.note(field_, "for another account", change)
        for number in numbers:
            self.readings[number].change(change, at)


@dataclass(slots=True)
class _Reading:
    """Collects the parts of one webhook for one number."""

    count: int = 0
    messages: list[Inbound] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)
    templates: list[TemplateNews] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    unnoted: int = 0
    foreign: dict[str, list[Object]] = field(default_factory=dict)
    account: list[AccountNews] = field(default_factory=list)

    def webhook(self) -> Webhook:
        if self.unnoted:
            self.notices.append(Notice("unreadable", f"{self.unnoted} more of these in one webhook", ""))
        return Webhook(
            count=self.count,
            messages=tuple(self.messages),
            receipts=tuple(self.receipts),
            preferences=tuple(self.preferences),
            templates=tuple(self.templates),
            notices=tuple(self.notices),
            foreign=tuple([_foreign(number, entries) for number, entries in self.foreign.items()]),
            account=tuple(self.account),
        )

    def change(self, change: Any, at: float) -> None:
        name, value = text_of(dict_of(change).get("field")), dict_of(change).get("value")
        if not name or not isinstance(value, dict):
            self.note(name or "unreadable", "unknown shape", change)
        elif name in _CHATS:
            self.chat(name, value, at)
        elif name == "user_preferences":
            people = people_of(value)
            self.each(name, value.get(name), self.preferences, lambda item: _preference(item, people, at))
        elif name == "message_template_status_update":
            self.each(name, [value], self.templates, _template)
        elif (news := account_news.read(name, value, at)) is not None:
            self.account.append(news)
            self.note(name, news.reason, change)
        else:
            self.note(name, "not handled", change)

    def chat(self, name: str, value: Object, at: float) -> None:
        """A change about conversations. Meta sometimes puts echoes into the field `messages`."""
        said, echoed = value.get("messages"), value.get("message_echoes")
        self.count += _messages_in(value)
        if value.keys().isdisjoint(_IN_CHATS):
            self.note(name, "unknown shape", value)
        if said is not None or echoed is not None:
            chat = Chat.of(value, at)
            self.each(name, said, self.messages, chat.message)
            self.each(name, echoed, self.messages, chat.echo)
        self.each("statuses", value.get("statuses"), self.receipts, lambda status: receipt_of(status, at))
        troubles: list[Notice] = []
        self.each("errors", value.get("errors"), troubles, _trouble)
        for trouble in troubles:
            self.keep(trouble)

    def elsewhere(self, number: str, entry: Object, change: Object, *, ignored: bool) -> None:
        """A change for another number, kept (unless `ignored`) with id and time of its entry, as if it came alone."""
        if change.get("field") in _CHATS:
            self.count += _messages_in(change["value"])
        if ignored:
            return
        if number not in self.foreign and len(self.foreign) >= MOST_NUMBERS:
            self.note("foreign", "too many numbers in one webhook", {"phone_number_id": number})
            return
        around = {"id": text_of(entry.get("id"))[:_LONGEST_WORD], "time": seconds_of(entry.get("time"))}
        self.foreign.setdefault(number, []).append({**around, "changes": [change]})

    def each(self, name: str, items: Any, found: list[T], read: Callable[[Object], T | None]) -> None:
        """Read each of `items` into `found`; a malformed one becomes a Notice and does not affect the others."""
        if items is None:
            return
        if not isinstance(items, list):
            self.note(name, "unknown shape", items)
            return
        for item in items:
            one = read(item) if isinstance(item, dict) else None
            if one is None:
                self.note(name, "malformed", item)
            else:
                found.append(one)

    def note(self, name: str, reason: str, what: Any) -> None:
        if len(self.notices) < MOST_NOTICES:
            self.keep(Notice(name, reason, compact(what)))
        else:
            self.unnoted += 1

    def keep(self, notice: Notice) -> None:
        if len(self.notices) < MOST_NOTICES:
            self.notices.append(notice)
        else:
            self.unnoted += 1


def _foreign(number: str, entries: list[Object]) -> ForeignPart:
    return ForeignPart(number, compact({"object": "whatsapp_business_account", "entry": entries}))


def _number_of(change: Any) -> str:
    """The phone number id that a change is for; "" if it names none."""
    return text_of(dict_of(dict_of(dict_of(change).get("value")).get("metadata")).get("phone_number_id"))


def _messages_in(value: Object) -> int:
    return len(list_of(value.get("messages"))) + len(list_of(value.get("message_echoes")))


def _preference(item: Object, people: Any, at: float) -> Preference | None:
    """An entry of `user_preferences[]`; None if it is not about marketing messages."""
    person = person_of(item.get("wa_id"), item.get("user_id"), people)
    stopped = _STOPPED.get(text_of(item.get("value")))
    if person is None or stopped is None or item.get("category", "marketing_messages") != "marketing_messages":
        return None
    return Preference(person, stopped, seconds_of(item.get("timestamp")) or at)


def _template(value: Object) -> TemplateNews | None:
    name, event = text_of(value.get("message_template_name")), text_of(value.get("event"))
    language = text_of(value.get("message_template_language"))
    return TemplateNews(name, language, event) if name and event else None


def _trouble(error: Object) -> Notice:
    """An entry of `value.errors[]`: a general error that Meta reports, without a message."""
    said = text_of(error.get("title")) or text_of(error.get("message"))
    return Notice("errors", " ".join(filter(None, (text_of(error.get("code")), said))), compact(error))
