"""Reads what nearly all webhooks are, one text of a person or one receipt, in a third of the time of `webhook.parse`.

Whatever is odd in any way is left to that. Where both read a webhook they say the same: a property test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wabot.core import fast_json
from wabot.core.json_limits import SMALL
from wabot.core.json_values import digits_of, seconds_of
from wabot.core.message_text import says_something
from wabot.core.messages import Inbound, Person, Receipt, Webhook
from wabot.core.receipt_parsing import STATUSES, pricing_of

Object = Mapping[str, Any]

_NOT_BESIDE_A_TEXT = frozenset({"message_echoes", "statuses", "errors"})
_NOT_BESIDE_A_RECEIPT = frozenset({"messages", "message_echoes", "errors"})
_NOT_IN_A_RECEIPT = frozenset({"type", "errors", "recipient_type"})
_IN_PRICING = frozenset({str, bool})


def read(body: bytes) -> tuple[str, Webhook] | None:
    """The phone number id that a webhook is for, and what it says; None if `webhook.parse` must read it."""
    if len(body) > SMALL or b"\\u0000" in body:
        return None
    try:
        [entry] = fast_json.loads_texts(body)["entry"]
        [change] = entry["changes"]
        value, field = change["value"], change["field"]
        number = value["metadata"]["phone_number_id"]
        webhook = _receipt(value) if "statuses" in value else _text(value)
    except (KeyError, TypeError, ValueError, AttributeError):  # other JSON, of whatever shape
        return None
    return (number, webhook) if webhook is not None and type(number) is str and field == "messages" else None


def _text(value: Object) -> Webhook | None:
    """A text of the only person in `contacts[]`. It contains nothing but strings, so it is written as it was read."""
    [contact], [message] = value["contacts"], value["messages"]
    wa_id, wamid, sent, body = contact["wa_id"], message["id"], message["timestamp"], message["text"]["body"]
    name, user_id = contact["profile"]["name"], message.get("from_user_id", "")
    shown = value["metadata"]["display_phone_number"]
    business, at = digits_of(shown), seconds_of(sent)
    if (
        type(wa_id) is type(wamid) is type(sent) is type(body) is type(name) is type(user_id) is type(shown) is str
        and message["type"] == "text"
        and len(message["text"]) == 1
        and len(message) == 5 + ("from_user_id" in message)
        and message["from"] == wa_id != business
        and user_id == contact.get("user_id", "")
        and _is_number(wa_id)
        and wamid
        and body
        and at
        and value.keys().isdisjoint(_NOT_BESIDE_A_TEXT)
    ):
        person, raw = Person(wa_id, user_id or None, name), fast_json.dumps_texts(message)
        said = Inbound(wamid, person, at, "text", body, raw, business, answerable=says_something(body))
        return Webhook(count=1, messages=(said,))
    return None


def _receipt(value: Object) -> Webhook | None:
    """A receipt of a message to one person."""
    [status] = value["statuses"]
    wamid, known, sent = status["id"], STATUSES.get(status["status"]), status["timestamp"]
    at = seconds_of(sent)
    wa_id, user_id = status["recipient_id"], status.get("recipient_user_id", "")
    tag, pricing = status.get("biz_opaque_callback_data", ""), status.get("pricing", {})
    if (
        type(wamid) is type(wa_id) is type(sent) is type(user_id) is type(tag) is str
        and _IN_PRICING.issuperset(map(type, pricing.values()))
        and wamid
        and known
        and at
        and _is_number(wa_id)
        and status.keys().isdisjoint(_NOT_IN_A_RECEIPT)
        and value.keys().isdisjoint(_NOT_BESIDE_A_RECEIPT)
    ):
        person = Person(wa_id, user_id or None)
        return Webhook(receipts=(Receipt(wamid, known, at, tag or None, person, None, pricing_of(pricing)),))
    return None


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii()
