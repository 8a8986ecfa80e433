"""The JSON of Meta's webhooks: inbound messages of every kind, receipts, the envelope.

A *said* is the part of a message that its type decides: `{"type": "text", "text": {...}}`. `inbound` puts the sender,
the id and the time around it, `value` and `envelope` the rest. Keys whose value is None are left out, as Meta does.
https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wabot.sandbox import errors

Json = dict[str, Any]

FREE_ENTRY = "referral_conversion"
"""The pricing category of free messages to people who came by an advertisement."""


def text(body: str) -> Json:
    """A line of text."""
    return said("text", body=body)


def image(caption: str | None = None, **more: Any) -> Json:
    """A picture; Meta gives an id to fetch it with, never the bytes."""
    return _media("image", "image/jpeg", caption=caption, **more)


def video(caption: str | None = None, **more: Any) -> Json:
    """A film."""
    return _media("video", "video/mp4", caption=caption, **more)


def document(filename: str = "invoice.pdf", caption: str | None = None, **more: Any) -> Json:
    """A file."""
    return _media("document", "application/pdf", filename=filename, caption=caption, **more)


def sticker(*, animated: bool = False, **more: Any) -> Json:
    """A sticker."""
    return _media("sticker", "image/webp", animated=animated, **more)


def audio(*, voice: bool = True, **more: Any) -> Json:
    """A recording; `voice`: a voice note, spoken into the phone."""
    return _media("audio", "audio/ogg; codecs=opus", voice=voice, **more)


def location(latitude: float, longitude: float, name: str | None = None, address: str | None = None) -> Json:
    """A place."""
    return said("location", latitude=latitude, longitude=longitude, name=name, address=address)


def contacts(*people: tuple[str, str]) -> Json:
    """Address-book cards: (name, number with country code)."""
    cards = [
        {
            "name": {"formatted_name": name, "first_name": name},
            "phones": [{"phone": f"+{n}", "wa_id": n, "type": "CELL"}],
        }
        for name, n in people
    ]
    return {"type": "contacts", "contacts": cards}


def button(title: str, payload: str | None = None) -> Json:
    """A tap on a quick-reply button of a template."""
    return said("button", text=title, payload=payload or title)


def button_reply(id_: str, title: str) -> Json:
    """A tap on a button of an interactive message."""
    return said("interactive", type="button_reply", button_reply={"id": id_, "title": title})


def list_reply(id_: str, title: str, description: str | None = None) -> Json:
    """A choice from a list."""
    return said(
        "interactive", type="list_reply", list_reply=_known({"id": id_, "title": title, "description": description})
    )


def flow_reply(answers: Mapping[str, Any]) -> Json:
    """A filled-in form (Flow); its answers travel as JSON in a string."""
    return said(
        "interactive", type="nfm_reply", nfm_reply={"name": "flow", "body": "Sent", "response_json": _dumps(answers)}
    )


def reaction(wamid: str, emoji: str | None = "👍") -> Json:
    """A reaction to the message `wamid`; None removes it."""
    return said("reaction", message_id=wamid, emoji=emoji)


def changed_number(old: str, new: str, user_id: str | None = None) -> Json:
    """WhatsApp's own note that a person has a new number, and with it perhaps a new BSUID."""
    note = said("system", body=f"User A changed from {old} to {new}", wa_id=new, type="user_changed_number",
                user_id=user_id)  # fmt: skip
    return note | {"from": old}


def changed_user_id(old: str, new: str, wa_id: str | None = None) -> Json:
    """WhatsApp's own note that a person has a new BSUID; such a message has no sender."""
    note = said("system", body=f"User A changed from {old} to {new}", type="user_changed_user_id", user_id=new,
                previous_user_id=old, wa_id=wa_id)  # fmt: skip
    return note | {"from": None, "from_user_id": None}


def template_status(id_: str, name: str, language: str, event: str, reason: str | None = None) -> Json:
    """What `message_template_status_update` says: a template is APPROVED, REJECTED, PAUSED, DISABLED, …"""
    news = {"event": event, "message_template_id": int(id_), "message_template_name": name}
    return news | {"message_template_language": language, "reason": reason or "NONE"}


def template_category(id_: str, name: str, language: str, previous: str, new: str) -> Json:
    """What `template_category_update` says: Meta finds that a template is of another category."""
    news = {"message_template_id": int(id_), "message_template_name": name, "message_template_language": language}
    return news | {"previous_category": previous, "new_category": new}


def revoke(wamid: str) -> Json:
    """The person deleted their message `wamid` for everyone."""
    return said("revoke", original_message_id=wamid)


def unsupported(kind: str = "poll_creation") -> Json:
    """A message of a type that the Cloud API does not support."""
    return said("unsupported", type=kind) | {"errors": [errors.in_receipt(131051)]}


def said(type_: str, **content: Any) -> Json:
    """A message of any type: `{"type": type_, type_: content}`."""
    return {"type": type_, type_: _known(content)}


def _media(type_: str, usual: str, **content: Any) -> Json:
    digest = base64.b64encode(secrets.token_bytes(32)).decode()
    return said(type_, **({"id": str(secrets.randbits(50)), "mime_type": usual, "sha256": digest} | content))


def inbound(said: Mapping[str, Any], wamid: str, timestamp: float, *, from_: str | None, user_id: str | None) -> Json:
    """An entry of `messages[]`: `said` by somebody at `timestamp` (Unix seconds)."""
    sender = {"from": from_, "from_user_id": user_id}
    return _known(sender | {"id": wamid, "timestamp": str(int(timestamp))} | dict(said))


def contact(from_: str | None, user_id: str | None, name: str | None = None, username: str | None = None) -> Json:
    """An entry of `contacts[]`; that of a receipt has no profile."""
    profile = _known({"name": name, "username": username})
    return _known({"profile": profile or None, "wa_id": from_, "user_id": user_id})


def receipt(
    wamid: str, status: str, timestamp: float, *, wa_id: str | None, user_id: str | None, tag: str | None,
    category: str = "service", code: int | None = None, details: str | None = None,
    free_until: float | None = None,
) -> Json:  # fmt: skip
    """An entry of `statuses[]` of v26: `pricing` with sent and delivered, `errors` with failed.

    Since 1 October 2026 service messages and utility templates within the window are charged as all others are. Free is
    only what follows an advertisement, until `free_until`, and nothing else has a `conversation` any more.
    https://developers.facebook.com/documentation/business-messaging/whatsapp/pricing
    """
    priced = status in ("sent", "delivered")
    pricing = _pricing(category, free=free_until is not None) if priced else None
    conversation = _free_conversation(wa_id or user_id or "", free_until) if priced and free_until else None
    trouble = [errors.in_receipt(code or 131000, details)] if status == "failed" else None
    return _known({
        "id": wamid, "status": status, "timestamp": str(int(timestamp)), "recipient_id": wa_id,
        "recipient_user_id": user_id, "biz_opaque_callback_data": tag, "conversation": conversation,
        "pricing": pricing, "errors": trouble,
    })  # fmt: skip


def _pricing(category: str, *, free: bool) -> Json:
    if free:
        return {"billable": False, "pricing_model": "PMP", "type": "free_entry_point", "category": FREE_ENTRY}
    return {"billable": True, "pricing_model": "PMP", "type": "regular", "category": category}


def _free_conversation(person: str, until: float) -> Json:
    id_ = hashlib.sha256(f"{person} {until}".encode()).hexdigest()[:32]
    return {"id": id_, "expiration_timestamp": str(int(until)), "origin": {"type": FREE_ENTRY}}


def value(number: str, phone_number_id: str, **lists: Iterable[Mapping[str, Any]]) -> Json:
    """A `value`: what happened at one business number; `lists`: messages, statuses, contacts, errors."""
    metadata = {"display_phone_number": number, "phone_number_id": phone_number_id}
    told = {name: list(entries) for name, entries in lists.items()}
    return {"messaging_product": "whatsapp", "metadata": metadata} | {name: told[name] for name in told if told[name]}


def envelope(
    *values: Mapping[str, Any], account: str = "200000000000002", field: str = "messages", time: float | None = None
) -> Json:
    """The whole webhook: one change per value. `time`: when it happened, in Unix seconds, for news of the account."""
    changes = [{"value": value, "field": field} for value in values]
    stamp = {"time": int(time)} if time is not None else {}
    return {"object": "whatsapp_business_account", "entry": [{"id": account, **stamp, "changes": changes}]}


def new_wamid(person: str, *, inbound: bool = False, draw: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A message id as Meta's look: a long opaque word. `draw`: as many random bytes as asked."""
    core = b"\x1c\x18" + bytes([len(person)]) + person.encode() + b"\x15\x02\x00" + (b"\x12" if inbound else b"\x11")
    return "wamid." + base64.b64encode(core + b"\x18\x14" + draw(10).hex().upper().encode() + b"\x00").decode()


def encode(payload: Mapping[str, Any]) -> bytes:
    """JSON bytes as Meta writes them: everything beyond ASCII escaped, and slashes too."""
    return _dumps(payload).replace("/", "\\/").encode()


def sign(body: bytes, app_secret: str) -> str:
    """The `X-Hub-Signature-256` of these very bytes."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def _dumps(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _known(fields: Mapping[str, Any]) -> Json:
    return {key: value for key, value in fields.items() if value is not None}
