"""The talks as the customers' phones show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from wabot.core.complaint import part, text_of
from wabot.core.messages import Receipt
from wabot.sandbox import payloads
from wabot.sandbox.ledger import Event, Said, Seen, Sent
from wabot.sandbox.meta import Meta
from wabot.sandbox.on_screen import readable
from wabot.sandbox.people import Customer

LONGEST = 500
"""Messages of a talk that are kept."""
_RANK = {"": 0, "waits": 0, "sent": 1, "delivered": 2, "read": 3, "played": 4, "failed": 5}


@dataclass(slots=True)
class Bubble:
    """A message. `mine`: the customer wrote it. `ticks`: of the bot's messages Meta's last receipt; of ours "waits"
    until wabot took it, then "sent", then "read". `taps`: titles of buttons and rows.
    """

    id: str
    mine: bool
    kind: str
    text: str
    at: float
    ticks: str = ""
    quoted: str = ""
    reaction: str = ""
    media: str = ""
    taps: tuple[str, ...] = ()


@dataclass(slots=True)
class Talk:
    """A customer's phone. `typing`: the bot is typing."""

    customer: Customer
    bubbles: list[Bubble] = field(default_factory=list)
    typing: bool = False
    payloads: dict[tuple[str, str], payloads.Json] = field(default_factory=dict)


class Talks:
    """The phones of all customers, by BSUID, which every customer has. `on_news` is called with each that changed."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta
        self._talks: dict[str, Talk] = {}
        self.on_news: Callable[[Talk], None] = lambda _talk: None
        meta.subscribe(self._happened)

    def of(self, customer: Customer) -> Talk:
        """The phone of a customer."""
        known = next((talk for talk in self._talks.values() if talk.customer is customer), None)
        return known or self._talks.setdefault(customer.user_id, Talk(customer))

    def all(self) -> list[dict[str, Any]]:
        """All phones as JSON."""
        return [self.shown(talk) for talk in self._talks.values()]

    def shown(self, talk: Talk) -> dict[str, Any]:
        """A phone as JSON."""
        customer = talk.customer
        return {
            "who": customer.user_id,
            "name": customer.name or customer.username or customer.number or customer.user_id,
            "number": customer.number,
            "hidden": customer.hides_number,
            "username": customer.username,
            "window": customer.window_is_open(self._meta.now()),
            "typing": talk.typing,
            "bubbles": [asdict(bubble) for bubble in talk.bubbles],
        }

    def find(self, who: str) -> Talk | None:
        """The phone of this BSUID."""
        return next((talk for talk in self._talks.values() if talk.customer.user_id == who), None)

    def say(self, talk: Talk, wamid: str, said: Mapping[str, Any], *, media: str = "") -> Bubble:
        """A customer says something; it waits until wabot takes it."""
        kind = str(said["type"])
        if kind == "reaction":
            reaction = part(said, "reaction")
            for bubble in talk.bubbles:
                if bubble.id == reaction.get("message_id"):
                    bubble.reaction = text_of(reaction, "emoji")
            self.on_news(talk)
            return Bubble(wamid, True, kind, "", self._meta.now())
        quoted = self._text_of(talk, str(part(said, "context").get("id", "")))
        bubble = Bubble(wamid, True, kind, _said_text(said), self._meta.now(), "waits", quoted, media=media)
        self._add(talk, bubble)
        return bubble

    def taken(self, talk: Talk, bubble: Bubble, *, took: bool) -> None:
        """wabot took a customer's message, or it did not get there."""
        bubble.ticks = max(bubble.ticks, "sent" if took else "failed", key=lambda ticks: _RANK[ticks])
        self.on_news(talk)

    def _happened(self, event: Event) -> None:
        match event:
            case Sent(wamid="") | Sent(type="reaction"):
                self._react(event)
            case Sent():
                self._heard(event)
            case Seen():
                self._seen(event)
            case Said():  # by the terminal or a program, unless the phone has it already
                talk = self.of(event.customer)
                if not any(bubble.id == event.wamid for bubble in talk.bubbles):
                    self.taken(talk, self.say(talk, event.wamid, event.said), took=event.took)
            case Receipt(person=person) if person:
                for talk in self._talks.values():
                    for bubble in talk.bubbles:
                        if bubble.id == event.wamid and _RANK[event.status] > _RANK[bubble.ticks]:
                            bubble.ticks = str(event.status)
                            self.on_news(talk)

    def _heard(self, sent: Sent) -> None:
        talk = self.of(self._meta.people.of(sent.to))
        text, taps = readable(sent, self._meta)
        for title, tap in taps.items():
            talk.payloads[sent.wamid, title] = tap
        quoted = self._text_of(talk, str(part(sent.payload, "context").get("message_id", "")))
        link = text_of(part(sent.payload, sent.type), "link")
        talk.typing = False
        self._add(talk, Bubble(sent.wamid, False, sent.type, text, sent.at, quoted=quoted, media=link, taps=(*taps,)))

    def _react(self, sent: Sent) -> None:
        if sent.wamid and sent.type == "reaction":
            reaction, talk = part(sent.payload, "reaction"), self.of(self._meta.people.of(sent.to))
            for bubble in talk.bubbles:
                if bubble.id == reaction.get("message_id"):
                    bubble.reaction = text_of(reaction, "emoji")
            self.on_news(talk)

    def _seen(self, seen: Seen) -> None:
        for talk in self._talks.values():
            for place, bubble in enumerate(talk.bubbles):
                if bubble.id == seen.wamid:
                    for earlier in talk.bubbles[: place + 1]:
                        if earlier.mine and earlier.ticks == "sent":
                            earlier.ticks = "read"
                    talk.typing = seen.typing or talk.typing
                    self.on_news(talk)

    def _add(self, talk: Talk, bubble: Bubble) -> None:
        talk.bubbles.append(bubble)
        del talk.bubbles[:-LONGEST]
        self.on_news(talk)

    @staticmethod
    def _text_of(talk: Talk, wamid: str) -> str:
        return next((bubble.text or f"[{bubble.kind}]" for bubble in talk.bubbles if bubble.id == wamid), "")


def _said_text(said: Mapping[str, Any]) -> str:
    kind = str(said["type"])
    content = part(said, kind)
    if kind == "interactive":
        reply = part(content, "button_reply") or part(content, "list_reply")
        return text_of(reply, "title")
    return text_of(content, "body") or text_of(content, "caption") or text_of(content, "text")
