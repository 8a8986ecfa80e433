"""What Meta finds wrong with the content of a message: pure functions from a content to a complaint.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core import interactive_check
from wabot.core.complaint import Complaint, part, parts, text_of

MEDIA = ("image", "audio", "video", "document", "sticker")
TYPES = (*MEDIA, "text", "template", "location", "contacts", "interactive", "reaction")

LONGEST_CAPTION = 1024
_ONLY_OF = {"caption": ("image", "video", "document"), "filename": ("document",)}
"""Fields that Meta takes with some kinds of media; with another kind it refuses the whole message."""


@dataclass(frozen=True, slots=True)
class Known:
    """What depends on the account: whether a send's `template` is valid, and which media ids exist."""

    template: Callable[[Mapping[str, Any]], Complaint | None] = lambda content: None
    has_media: Callable[[str], bool] = lambda id_: True


ANYTHING = Known()
"""Every template exists and takes any number of parameters; so does every media id."""


def required(name: str) -> Complaint:
    """A field is missing."""
    return Complaint(100, f"The parameter {name} is required.")


def complaint(message: Mapping[str, Any], known: Known = ANYTHING) -> Complaint | None:
    """What is wrong with a message `{"type": …, type: …}`; None if Meta accepts it."""
    kind = message.get("type", "text")
    if kind not in TYPES:
        return Complaint(100, f"Param type must be one of {{{', '.join(TYPES).upper()}}}.")
    content = message.get(kind)
    if kind == "contacts":
        return _about_contacts(message)
    if not isinstance(content, dict):
        return Complaint(131008, f"Parameter '{kind}' is mandatory for type '{kind}'.")
    if kind in MEDIA:
        return _about_media(kind, content, known)
    if kind == "template":
        return _about_template(content) or known.template(content)
    return _ABOUT[kind](content)


def _about_media(kind: str, content: Mapping[str, Any], known: Known) -> Complaint | None:
    id_, link, caption = text_of(content, "id"), text_of(content, "link"), content.get("caption", "")
    if not id_ and not link:
        return required(f"{kind}['id'] or ['link']")
    if link and not link.startswith(("http://", "https://")):
        return Complaint(100, f"Param {kind}['link'] is not a valid URI.")
    for name, kinds in _ONLY_OF.items():
        if name in content and kind not in kinds:
            return Complaint(100, f"Unexpected key '{name}' on param '{kind}'.")
    if id_ and not known.has_media(id_):
        return Complaint(100, f"Param {kind}['id'] is not a valid whatsapp business account media attachment ID.")
    if not isinstance(caption, str) or len(caption) > LONGEST_CAPTION:
        return Complaint(100, f"Param {kind}['caption'] must be at most {LONGEST_CAPTION} characters long.")
    return None


def _about_reaction(content: Mapping[str, Any]) -> Complaint | None:
    return None if text_of(content, "message_id") else required("reaction['message_id']")


def _about_location(content: Mapping[str, Any]) -> Complaint | None:
    for name, most in (("latitude", 90), ("longitude", 180)):
        if name not in content:
            return required(f"location['{name}']")
        if not _is_within(content[name], most):
            return Complaint(100, f"Param location['{name}'] must be a number from -{most} to {most}.")
    return None


def _is_within(value: Any, most: float) -> bool:
    """Whether it is a number, or one as text, of at most this absolute value."""
    try:
        return not isinstance(value, bool) and abs(float(value)) <= most
    except (TypeError, ValueError, OverflowError):
        return False


def _about_text(content: Mapping[str, Any]) -> Complaint | None:
    body = content.get("body")
    if not isinstance(body, str) or not body.strip():
        return required("text['body']")
    return Complaint(100, "Param text['body'] must be at most 4096 characters long.") if len(body) > 4096 else None


def _about_template(content: Mapping[str, Any]) -> Complaint | None:
    if not text_of(content, "name"):
        return required("template['name']")
    if not text_of(part(content, "language"), "code"):
        return required("template['language']")
    components = content.get("components") or []
    if not _are_objects(components) or not all(_are_objects(each.get("parameters") or []) for each in components):
        return Complaint(100, "Param template['components'] must be a list of objects, and so their parameters.")
    return None


def _are_objects(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, dict) for each in value)


def _about_contacts(payload: Mapping[str, Any]) -> Complaint | None:
    cards = parts(payload, "contacts")
    if not cards or not _are_objects(payload["contacts"]):
        return required("contacts")
    nameless = not all(text_of(part(card, "name"), "formatted_name") for card in cards)
    return required("contacts['name']['formatted_name']") if nameless else None


def _about_interactive(content: Mapping[str, Any]) -> Complaint | None:
    return next(interactive_check.faults(content), None)


_ABOUT: Mapping[str, Callable[[Mapping[str, Any]], Complaint | None]] = {
    "text": _about_text,
    "interactive": _about_interactive,
    "reaction": _about_reaction,
    "location": _about_location,
}
