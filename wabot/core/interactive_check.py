"""What Meta finds wrong with buttons and lists; other kinds of interactive messages are not checked.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/interactive-reply-buttons-messages
https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/interactive-list-messages
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wabot.core.complaint import Complaint, part, parts, text_of


def faults(content: Mapping[str, Any]) -> Iterator[Complaint]:
    """Everything that is wrong with an `interactive`."""
    kind, action = content.get("type"), part(content, "action")
    if not isinstance(kind, str) or not kind or not action:
        yield Complaint(131008, "Parameters 'type' and 'action' are mandatory for type 'interactive'.")
    elif kind in ("button", "list"):
        yield from _around(content, longest_body=1024 if kind == "button" else 4096)
        yield from _buttons(action) if kind == "button" else _list(action)
    elif kind == "cta_url":
        parameters = part(action, "parameters")
        yield from _length(parameters, "display_text", 20, "action['parameters']")
        if not text_of(parameters, "url").startswith(("http://", "https://")):
            yield Complaint(131009, "action['parameters']['url'] is not an address.")


def _around(content: Mapping[str, Any], *, longest_body: int) -> Iterator[Complaint]:
    if not text_of(part(content, "body"), "text"):
        yield Complaint(131008, "Parameter 'body' is mandatory for this interactive message.")
    yield from _length(part(content, "body"), "text", longest_body, "body")
    yield from _length(part(content, "footer"), "text", 60, "footer", least=0)
    yield from _length(part(content, "header"), "text", 60, "header", least=0)


def _buttons(action: Mapping[str, Any]) -> Iterator[Complaint]:
    replies = [part(button, "reply") for button in parts(action, "buttons")]
    if not 1 <= len(replies) <= 3:
        yield Complaint(131009, "action['buttons'] must have 1 to 3 buttons.")
    for reply in replies:
        yield from _length(reply, "title", 20, "a button")
        yield from _length(reply, "id", 256, "a button")
    for name in ("title", "id"):
        if len({text_of(reply, name) for reply in replies}) < len(replies):
            yield Complaint(131009, f"The {name}s of the buttons must differ.")


def _list(action: Mapping[str, Any]) -> Iterator[Complaint]:
    sections = parts(action, "sections")
    rows = [row for section in sections for row in parts(section, "rows")]
    yield from _length(action, "button", 20, "action")
    if not 1 <= len(sections) <= 10 or not 1 <= len(rows) <= 10:
        yield Complaint(131009, "action['sections'] must have 1 to 10 sections with 1 to 10 rows in all.")
    for section in sections:
        yield from _length(section, "title", 24, "a section", least=1 if len(sections) > 1 else 0)
    for row in rows:
        yield from _length(row, "title", 24, "a row")
        yield from _length(row, "id", 200, "a row")
        yield from _length(row, "description", 72, "a row", least=0)
    if len({text_of(row, "id") for row in rows}) < len(rows):
        yield Complaint(131009, "The ids of the rows must differ.")


def _length(fields: Mapping[str, Any], name: str, most: int, where: str, *, least: int = 1) -> Iterator[Complaint]:
    if not least <= len(text_of(fields, name)) <= most:
        yield Complaint(131009, f"'{name}' of {where} must have {least} to {most} characters.")
