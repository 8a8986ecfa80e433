"""Messages that we ask Meta to send, as content for Graph.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wabot.core.message_text import sent_text
from wabot.core.quick_replies import Choices


class Origin(StrEnum):
    """Who wrote a message.

    CONFIRMATION: of STOP or START. SERVICE: any other text of wabot's own, and the templates that tell the owner.
    """

    PERSON = "person"
    AI = "ai"
    FALLBACK = "fallback"
    TEMPLATE = "template"
    BULK = "bulk"
    SERVICE = "service"
    CONFIRMATION = "confirmation"
    STAFF = "staff"
    LIMIT = "limit"


OF_ASSISTANT = frozenset({Origin.AI, Origin.TEMPLATE, Origin.FALLBACK, Origin.LIMIT})
"""What wabot says by itself to somebody who wrote: nothing of it is said while a person answers."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send: Graph's content (`{"type": …, …}`), its text for readers, and who wrote it."""

    content: Mapping[str, Any]
    body: str
    origin: Origin

    @property
    def template(self) -> tuple[str, str] | None:
        """Name and language of its template, None without one. Meta approves and pauses each pair by itself."""
        template = self.content.get("template")
        if not isinstance(template, Mapping):
            return None
        language = template.get("language")
        return str(template.get("name")), str(language.get("code")) if isinstance(language, Mapping) else ""


def text_message(text: str, origin: Origin, quotes: str | None = None) -> Outgoing:
    """A text message. `quotes`: the wamid of the message that it quotes."""
    return Outgoing({**_context(quotes), "type": "text", "text": {"preview_url": False, "body": text}}, text, origin)


def staff_message(content: Mapping[str, Any], quotes: str | None = None) -> Outgoing:
    """A message of the business's people or programs, from Meta's message object `{"type": …, type: …}`.

    `quotes`: the wamid of the message that it quotes.
    """
    return Outgoing({**_context(quotes), **content}, sent_text(content), Origin.STAFF)


def _context(quotes: str | None) -> dict[str, Any]:
    return {"context": {"message_id": quotes}} if quotes else {}


def with_choices(message: Outgoing, choices: Choices | None) -> Outgoing:
    """A text message that also offers choices, which fit its text; as it is without any."""
    if choices is None:
        return message
    content = {key: value for key, value in message.content.items() if key != "text"}
    interactive = choices.interactive(message.body)
    return Outgoing({**content, "type": "interactive", "interactive": interactive}, message.body, message.origin)


def typing_indicator(wamid: str) -> dict[str, Any]:
    """What marks a message as read, with all before it, and shows "typing …" in its talk.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/typing-indicators
    """
    return {
        "messaging_product": "whatsapp", "status": "read", "message_id": wamid, "typing_indicator": {"type": "text"},
    }  # fmt: skip


def template_message(template: Mapping[str, Any], origin: Origin, quotes: str | None = None) -> Outgoing:
    """A template message from `{name, language, components}`; its text for readers is its name and parameters.

    `quotes`: the wamid of the message that it quotes.
    """
    content: dict[str, Any] = {"name": template["name"], "language": {"code": template["language"]}}
    if template.get("components"):
        content["components"] = template["components"]
    texts = [
        str(parameter["text"])
        for component in template.get("components") or []
        for parameter in component.get("parameters") or []
        if isinstance(parameter, Mapping) and parameter.get("text")
    ]
    body = f"[template {template['name']}] {', '.join(texts)}".strip()
    return Outgoing({**_context(quotes), "type": "template", "template": content}, body, origin)
