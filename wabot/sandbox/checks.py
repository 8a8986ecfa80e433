"""What Meta finds wrong with the body of a send. No network, no state: a body goes in, a complaint comes out.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from wabot.core.messages import is_bsuid

Templates = Mapping[tuple[str, str], int]
"""The approved templates, by (name, language): how many parameters the body takes."""

MEDIA = ("image", "audio", "video", "document", "sticker")
TYPES = (*MEDIA, "text", "template", "location", "contacts", "interactive", "reaction")

_NUMBER = re.compile(r"\+?[\d\s().\-]+", re.ASCII)
_TEMPLATE_NAME = re.compile(r"[a-z0-9_]{1,512}")


@dataclass(frozen=True, slots=True)
class Complaint:
    """Meta's code and details for a body that it does not take."""

    code: int
    details: str


def _required(name: str) -> Complaint:
    return Complaint(100, f"The parameter {name} is required.")


def address(payload: Mapping[str, Any]) -> str | None:
    """To whom: digits, a BSUID, or None if neither `to` nor `recipient` is one. `to` wins where both are given."""
    to, recipient = payload.get("to"), payload.get("recipient")
    if to is not None:
        digits = re.sub(r"\D", "", to) if isinstance(to, str) and _NUMBER.fullmatch(to) else ""
        return digits if 5 <= len(digits) <= 15 else None
    return recipient if isinstance(recipient, str) and is_bsuid(recipient) else None


def complaint(payload: Any, templates: Templates | None = None) -> Complaint | None:
    """What is wrong with the body of a request to `/messages`; None if Meta would take it.

    `templates` None: every well-named template exists and takes any number of parameters.
    """
    if not isinstance(payload, dict) or payload.get("messaging_product") is None:
        return _required("messaging_product")
    if payload["messaging_product"] != "whatsapp":
        return Complaint(100, "Param messaging_product must be one of {WHATSAPP}.")
    if "status" in payload:
        return _about_status(payload)
    return _about_address(payload) or _about_extras(payload) or _about_content(payload, templates)


def _about_status(payload: Mapping[str, Any]) -> Complaint | None:
    if payload["status"] != "read":
        return Complaint(100, "Param status must be one of {READ}.")
    if not _text(payload, "message_id"):
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
    if context is not None and not (isinstance(context, dict) and _text(context, "message_id")):
        return _required("context['message_id']")
    return None


def _about_content(payload: Mapping[str, Any], templates: Templates | None) -> Complaint | None:
    kind = payload.get("type", "text")
    if kind not in TYPES:
        return Complaint(100, f"Param type must be one of {{{', '.join(TYPES).upper()}}}.")
    content = payload.get(kind)
    if kind == "contacts":
        return None if isinstance(content, list) and content else _required("contacts")
    if not isinstance(content, dict):
        return Complaint(131008, f"Parameter '{kind}' is mandatory for type '{kind}'.")
    if kind == "template":
        return _about_template(content, templates)
    return _ABOUT.get(kind, partial(_about_media, kind))(content)


def _about_media(kind: str, content: Mapping[str, Any]) -> Complaint | None:
    return None if _text(content, "id") or _text(content, "link") else _required(f"{kind}['id'] or ['link']")


def _about_reaction(content: Mapping[str, Any]) -> Complaint | None:
    return None if _text(content, "message_id") else _required("reaction['message_id']")


def _about_location(content: Mapping[str, Any]) -> Complaint | None:
    return None if {"latitude", "longitude"} <= content.keys() else _required("location['latitude']")


def _about_text(content: Mapping[str, Any]) -> Complaint | None:
    body = content.get("body")
    if not isinstance(body, str) or not body:
        return _required("text['body']")
    return Complaint(100, "Param text['body'] must be at most 4096 characters long.") if len(body) > 4096 else None


def _about_template(content: Mapping[str, Any], templates: Templates | None) -> Complaint | None:
    name, language = content.get("name"), content.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    if not isinstance(name, str) or not name:
        return _required("template['name']")
    if not isinstance(code, str) or not code:
        return _required("template['language']")
    if not _TEMPLATE_NAME.fullmatch(name) or (templates is not None and (name, code) not in templates):
        return Complaint(132001, f"template name ({name}) does not exist in {code}")
    if templates is None:
        return None
    given, expected = _body_parameters(content), templates[name, code]
    if given != expected:
        return Complaint(
            132000,
            f"body: number of localizable_params ({given}) does not match the expected number of params ({expected})",
        )
    return None


def _body_parameters(content: Mapping[str, Any]) -> int:
    bodies = [part for part in _parts(content, "components") if str(part.get("type")).lower() == "body"]
    return sum(len(_parts(body, "parameters")) for body in bodies)


def _about_interactive(content: Mapping[str, Any]) -> Complaint | None:
    """Reply buttons and lists; the other kinds are taken as they are."""
    action, body = content.get("action"), content.get("body")
    if not _text(content, "type") or not isinstance(action, dict):
        return Complaint(131008, "Parameters 'type' and 'action' are mandatory for type 'interactive'.")
    if content["type"] not in ("button", "list"):
        return None
    if not isinstance(body, dict) or not _text(body, "text"):
        return Complaint(131008, "Parameter 'body' is mandatory for this interactive message.")
    if content["type"] == "button":
        titles = [str(_part(button, "reply").get("title", "")) for button in _parts(action, "buttons")]
        fits = 1 <= len(titles) <= 3 and len(set(titles)) == len(titles) and len(body["text"]) <= 1024
        return None if fits and all(1 <= len(title) <= 20 for title in titles) else _invalid("buttons")
    titles = [str(row.get("title", "")) for section in _parts(action, "sections") for row in _parts(section, "rows")]
    fits = 1 <= len(titles) <= 10 and len(body["text"]) <= 4096 and 1 <= len(str(action.get("button", ""))) <= 20
    return None if fits and all(1 <= len(title) <= 24 for title in titles) else _invalid("sections")


_ABOUT: Mapping[str, Callable[[Mapping[str, Any]], Complaint | None]] = {
    "text": _about_text,
    "interactive": _about_interactive,
    "reaction": _about_reaction,
    "location": _about_location,
}


def _invalid(name: str) -> Complaint:
    return Complaint(131009, f"Parameter '{name}' of the interactive message is not valid.")


def _text(fields: Mapping[str, Any], name: str) -> bool:
    """Whether the field is there and is a text that is not empty."""
    value = fields.get(name)
    return isinstance(value, str) and value != ""


def _part(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _parts(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = fields.get(name)
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
