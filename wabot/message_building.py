"""Turns a request for one message into what the journal queues, or says why it cannot be sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core import message_check
from wabot.core.exceptions import InvalidInput
from wabot.core.outgoing import Outgoing, staff_message
from wabot.journal.single_messages import Reason

_WORDS = {
    Reason.WINDOW_CLOSED: "this person has not written within 24 hours, so Meta delivers nothing but a template",
    Reason.INVALID_NUMBER: "not a phone number",
    Reason.INVALID_MESSAGE: "Meta would not accept this message",
}


class NotSendable(InvalidInput):
    """A message that is not queued. `field`: where the request is wrong."""

    def __init__(self, reason: Reason, field: str = "", words: str = "") -> None:
        super().__init__(words or _WORDS[reason])
        self.reason, self.field = reason, field


@dataclass(frozen=True, slots=True)
class OneMessage:
    """A request of `POST /messages`. `asked`: its whole body; `quotes`: the wamid of the message that it quotes.

    `takeover`: a person answers the contact from now on.
    """

    number: str
    outgoing: Outgoing
    asked: Mapping[str, Any]
    key: str | None = None
    quotes: str | None = None
    takeover: bool = False

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the request, which distinguishes requests with the same key."""
        return hashlib.sha256(json.dumps(self.asked, sort_keys=True).encode()).hexdigest()


def text(body: str, quotes: str | None) -> Outgoing:
    """A text message. Raises NotSendable."""
    return _checked("text", {"type": "text", "text": {"preview_url": False, "body": body.strip()}}, quotes)


def message(asked: Mapping[str, Any], quotes: str | None) -> Outgoing:
    """Meta's own message object `{"type": …, type: …}`, and nothing beside these two. Raises NotSendable."""
    kind = asked.get("type")
    if not isinstance(kind, str):
        raise NotSendable(Reason.INVALID_MESSAGE, "message.type", "message.type: one of Meta's types of messages")
    if others := [field for field in asked if field not in ("type", kind)]:
        words = f"message.{others[0][:100]}: only type and {kind} are taken; wabot adds the rest"
        raise NotSendable(Reason.INVALID_MESSAGE, f"message.{others[0][:100]}", words)
    return _checked("message", asked, quotes)


def _checked(field: str, content: Mapping[str, Any], quotes: str | None) -> Outgoing:
    if complaint := message_check.complaint(content):
        raise NotSendable(Reason.INVALID_MESSAGE, field, f"{field}: {complaint.details}")
    return staff_message(content, quotes)
