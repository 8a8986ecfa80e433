"""What a person sees on the screen of a phone when a message comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wabot.core.complaint import part, parts, text_of
from wabot.sandbox import payloads
from wabot.sandbox.ledger import Sent
from wabot.sandbox.meta import Meta


def readable(sent: Sent, meta: Meta) -> tuple[str, dict[str, payloads.Json]]:
    """What a person sees of a message: its text, and by title what can be tapped (to what the tap says)."""
    content = sent.payload.get(sent.type)
    if not isinstance(content, dict):
        return f"[{sent.type}]", {}
    match sent.type:
        case "text":
            return str(content.get("body", "")), {}
        case "template":
            return _of_template(content, meta)
        case "interactive":
            return text_of(part(content, "body"), "text"), _taps(part(content, "action"))
        case "reaction":
            return str(content.get("emoji") or "(reaction taken back)"), {}
    return " ".join(filter(None, [f"[{sent.type}]", content.get("caption")])), {}


def _of_template(content: Mapping[str, Any], meta: Meta) -> tuple[str, dict[str, payloads.Json]]:
    template = meta.templates.sent(content)
    if template is None:
        return f"[template {content.get('name')}]", {}
    taps = template.buttons(content).items()
    return template.text(content), {title: payloads.button(title, payload) for title, payload in taps}


def _taps(action: Mapping[str, Any]) -> dict[str, payloads.Json]:
    """What the buttons, or the rows of the list, of an interactive message say."""
    buttons = [part(button, "reply") for button in parts(action, "buttons")]
    rows = [row for section in parts(action, "sections") for row in parts(section, "rows")]
    taps = {text_of(b, "title"): payloads.button_reply(text_of(b, "id"), text_of(b, "title")) for b in buttons}
    for row in rows:
        title = text_of(row, "title")
        taps[title] = payloads.list_reply(text_of(row, "id"), title, text_of(row, "description") or None)
    return taps
