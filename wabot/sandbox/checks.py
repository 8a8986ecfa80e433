"""What Meta finds wrong with the body of a send: pure functions from a body to a complaint.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core.phone_numbers import is_bsuid
from wabot.sandbox import interactive
from wabot.sandbox.parts import Complaint, part, parts, text_of

MEDIA = ("image", "audio", "video", "document", "sticker")
TYPES = (*MEDIA, "text", "template", "location", "contacts", "interactive", "reaction")

LONGEST_CAPTION = 1024

_NUMBER = re.compile(r"\+?[\d\s().\-]+", re.ASCII)


def _required(name: str) -> Complaint:
    return Complaint(100, f"The parameter {name} is required.")


@dataclass(frozen=True, slots=True)
class Known:
    """What depends on the account: whether a send's `template` is valid, and which media ids exist."""

    template: Callable[[Mapping[str, Any]], Complaint | None] = lambda content: None
    has_media: Callable[[str], bool] = lambda id_: True


ANYTHING = Known()
"""Every template exists and takes any number of parameters; so does every media id."""


def address(payload: Mapping[str, Any]) -> str | None:
    """The recipient: digits, a BSUID, or None if neither `to` nor `recipient` is one. `to` wins where both are given.

    A BSUID in `to` is accepted, but such a message never arrives; see `astray`.
    """
    to, recipient = payload.get("to"), payload.get("recipient")
    if isinstance(to, str) and is_bsuid(to):
        return to
    if to is not None:
        digits = re.sub(r"\D", "", to) if isinstance(to, str) and _NUMBER.fullmatch(to) else ""
        return digits if 5 <= len(digits) <= 15 else None
    return recipient if isinstance(recipient, str) and is_bsuid(recipient) else None


def unfolded(payload: Any, objects: Collection[str] = (*TYPES, "context")) -> Any:
    """The body with `objects` parsed where they are JSON text, as pywa and whatsapp-api-js send them."""
    if not isinstance(payload, dict):
        return payload
    return {name: _unfolded(value) if name in objects else value for name, value in payload.items()}


def _unfolded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def astray(payload: Mapping[str, Any]) -> bool:
    """Whether `to`, which is for numbers, has a BSUID: Meta accepts such a message, but never delivers it.

    Reported by users (chatwoot), not documented: https://github.com/chatwoot/chatwoot
    """
    to = payload.get("to")
    return isinstance(to, str) and is_bsuid(to)


def complaint(payload: Any, known: Known = ANYTHING) -> Complaint | None:
    """What is wrong with the body of a request to `/messages`; None if Meta accepts it."""
    if not isinstance(payload, dict) or payload.get("messaging_product") is None:
        return _required("messaging_product")
    if payload["messaging_product"] != "whatsapp":
        return Complaint(100, "Param messaging_product must be one of {WHATSAPP}.")
    if "status" in payload:
        return _about_status(payload)
    return _about_address(payload) or _about_extras(payload) or _about_content(payload, known)


def _about_status(payload: Mapping[str, Any]) -> Complaint | None:
    if payload["status"] != "read":
        return Complaint(100, "Param status must be one of {READ}.")
    if not text_of(payload, "message_id"):
        return _required("message_id")
    typing = payload.get("typing_indicator")
    if typing is not None and typing != {"type": "text"}:
        return Complaint(100, "Param typing_indicator['type'] must be one of {TEXT}.")
    return None


def _about_address(payload: Mapping[str, Any]) -> Complaint | None:
    if payload.get("to") is None and payload.get("recipient") is None:
        return _required("to")
    if address(payload) is None:
        field = "to" if payload.get("to") is not None else "recipient"
        return Complaint(100, f"Invalid parameter {field}.")
    return None


def _about_extras(payload: Mapping[str, Any]) -> Complaint | None:
    if payload.get("recipient_type", "individual") != "individual":
        return Complaint(100, "Param recipient_type must be one of {INDIVIDUAL}.")
    tag = payload.get("biz_opaque_callback_data", "")
    if not isinstance(tag, str) or len(tag) > 512:
        return Complaint(100, "Param biz_opaque_callback_data must be at most 512 characters long.")
    context = payload.get("context")
    if context is not None and not (isinstance(context, dict) and text_of(context, "message_id")):
        return _required("context['message_id']")
    return None


def _about_content(payload: Mapping[str, Any], known: Known) -> Complaint | None:
    kind = payload.get("type", "text")
    if kind not in TYPES:
        return Complaint(100, f"Param type must be one of {{{', '.join(TYPES).upper()}}}.")
    content = payload.get(kind)
    if kind == "contacts":
        return _about_contacts(payload)
    if not isinstance(content, dict):
        return Complaint(131008, f"Parameter '{kind}' is mandatory for type '{kind}'.")
    if kind in MEDIA:
        return _about_media(kind, content, known)
    if kind == "template":
        return _about_template(content) or known.template(content)
    return _ABOUT[kind](content)


def _about_media(kind: str, content: Mapping[str, Any], known: Known) -> Complaint | None:
    id_, caption = text_of(content, "id"), content.get("caption", "")
    if not id_ and not text_of(content, "link"):
        return _required(f"{kind}['id'] or ['link']")
    if id_ and not known.has_media(id_):
        return Complaint(100, f"Param {kind}['id'] is not a valid whatsapp business account media attachment ID.")
    if not isinstance(caption, str) or len(caption) > LONGEST_CAPTION:
        return Complaint(100, f"Param {kind}['caption'] must be at most {LONGEST_CAPTION} characters long.")
    return None


def _about_reaction(content: Mapping[str, Any]) -> Complaint | None:
    return None if text_of(content, "message_id") else _required("reaction['message_id']")


def _about_location(content: Mapping[str, Any]) -> Complaint | None:
    return None if {"latitude", "longitude"} <= content.keys() else _required("location['latitude']")


def _about_text(content: Mapping[str, Any]) -> Complaint | None:
    body = content.get("body")
    if not isinstance(body, str) or not body:
        return _required("text['body']")
    return Complaint(100, "Param text['body'] must be at most 4096 characters long.") if len(body) > 4096 else None


def _about_template(content: Mapping[str, Any]) -> Complaint | None:
    if not text_of(content, "name"):
        return _required("template['name']")
    return None if text_of(part(content, "language"), "code") else _required("template['language']")


def _about_contacts(payload: Mapping[str, Any]) -> Complaint | None:
    cards = parts(payload, "contacts")
    if not cards:
        return _required("contacts")
    nameless = not all(text_of(part(card, "name"), "formatted_name") for card in cards)
    return _required("contacts['name']['formatted_name']") if nameless else None


def _about_interactive(content: Mapping[str, Any]) -> Complaint | None:
    return next(interactive.faults(content), None)


_ABOUT: Mapping[str, Callable[[Mapping[str, Any]], Complaint | None]] = {
    "text": _about_text,
    "interactive": _about_interactive,
    "reaction": _about_reaction,
    "location": _about_location,
}
