"""What Meta finds wrong with the body of a send: pure functions from a body to a complaint.

https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from wabot.core import message_check
from wabot.core.complaint import Complaint, text_of
from wabot.core.message_check import ANYTHING, TYPES, Known, required
from wabot.core.phone_numbers import is_bsuid

_NUMBER = re.compile(r"\+?[\d\s().\-]+", re.ASCII)


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
        return required("messaging_product")
    if payload["messaging_product"] != "whatsapp":
        return Complaint(100, "Param messaging_product must be one of {WHATSAPP}.")
    if "status" in payload:
        return _about_status(payload)
    return _about_address(payload) or _about_extras(payload) or message_check.complaint(payload, known)


def _about_status(payload: Mapping[str, Any]) -> Complaint | None:
    if payload["status"] != "read":
        return Complaint(100, "Param status must be one of {READ}.")
    if not text_of(payload, "message_id"):
        return required("message_id")
    typing = payload.get("typing_indicator")
    if typing is not None and typing != {"type": "text"}:
        return Complaint(100, "Param typing_indicator['type'] must be one of {TEXT}.")
    return None


def _about_address(payload: Mapping[str, Any]) -> Complaint | None:
    if payload.get("to") is None and payload.get("recipient") is None:
        return required("to")
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
        return required("context['message_id']")
    return None
