"""An inbound message of any type → a text for readers and for the model.

Types and fields: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from wabot.core.json_values import compact, dict_of, list_of, loads, stored, text_of

REFERENCE_CHARACTERS = 300
"""The most characters of an advertisement or a quoted message: enough to identify it."""

_BLANK = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Categories of characters that show nothing. Not "Cn": emoji that are newer than this Python are unassigned."""
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\ufe0e\ufe0f\uffa0")
"""Letters, a sign and selectors that show nothing by themselves."""

Reader = Callable[[Any], str]
"""The part of a message under its type's name, of any shape → body, or "" if nothing in it can be read."""


def read(message: Mapping[str, Any]) -> tuple[str, bool]:
    """The body of a message, and whether it should be answered.

    Only messages of known types that a person sent to us are answered: no reactions, edits, unknown types or group
    messages, and nothing that Meta could not deliver ("unsupported").
    """
    kind = text_of(message.get("type")) or "unknown"
    part = message.get(kind)
    if kind == "interactive":
        kind = text_of(dict_of(part).get("type")) or "unknown"
        part = dict_of(part).get(kind)
    if reader := _SAID.get(kind):
        body = reader(part) if part else ""
        return body or f"[{kind}]", says_something(body) and not message.get("group_id")
    reader = _HAPPENED.get(kind)
    return (reader(part) if reader else "") or f"[{kind}]", False


def says_something(body: str) -> bool:
    """Whether there is anything to see: people also send "blank messages", of characters that show nothing."""
    return any(one not in _BLANK_LETTERS and unicodedata.category(one) not in _BLANK for one in body)


def is_aside(kind: str, raw: str) -> bool:
    """Whether a message of the journal is nothing that is said in this talk: a deletion, a note of WhatsApp's own, or
    something that was said in a group.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/groups
    """
    return kind in ("revoke", "system") or ('"group_id"' in raw and bool(dict_of(stored(raw, None)).get("group_id")))


def sent_text(content: Mapping[str, Any]) -> str:
    """The text for readers of a message that we send: that of the question, where it has buttons or a list."""
    interactive = dict_of(content.get("interactive"))
    asked = text_of(dict_of(interactive.get("body")).get("text"))
    return asked or read(content)[0]


def quoted(message: Mapping[str, Any]) -> str:
    """The wamid of the message that this one quotes, or ""."""
    return text_of(dict_of(message.get("context")).get("id"))


def about(message: Mapping[str, Any], quotation: str) -> str:
    """What a message refers to, one line in brackets each. `quotation`: the text of the quoted message, if known.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/text
    """
    product = dict_of(dict_of(message.get("context")).get("referred_product"))
    lines = (
        _referral(message.get("referral")),
        _reference("about the product", _short(text_of(product.get("product_retailer_id")))),
        _reference("the text below is the caption of:", _captioned(message)),
        _reference("answering:", quotation and f'"{_short(quotation)}"'),
    )
    return "\n".join(filter(None, lines))


def _captioned(message: Mapping[str, Any]) -> str:
    """What has a caption, and so no other text: "image", "video" or "document: its name"; "" if nothing."""
    kind = text_of(message.get("type"))
    part = dict_of(message.get(kind)) if kind in ("image", "video", "document") else {}
    name = _short(text_of(part.get("filename")))
    return (f"{kind}: {name}" if name else kind) if _caption(part) else ""


def _referral(referral: Any) -> str:
    """Like `[came from the advertisement "Summer sale: 20% off" https://fb.me/x]`."""
    place = "post" if text_of(dict_of(referral).get("source_type")) == "post" else "advertisement"
    says, url = _short(_joined(referral, ": ", "headline", "body")), _short(_joined(referral, "", "source_url"))
    return _reference(f"came from the {place}", " ".join(filter(None, (says and f'"{says}"', url))))


def _reference(label: str, what: str) -> str:
    return f"[{label} {what}]" if what else ""


def _short(text: str) -> str:
    """`text` on one line, cut to REFERENCE_CHARACTERS."""
    line = " ".join(text[: 2 * REFERENCE_CHARACTERS].split())
    return line if len(line) <= REFERENCE_CHARACTERS else line[: REFERENCE_CHARACTERS - 1] + "…"


def _field(name: str) -> Reader:
    return lambda part: text_of(dict_of(part).get(name))


def _caption(part: Any) -> str:
    """Of a medium; "" where there is nothing to see in it."""
    caption = text_of(dict_of(part).get("caption"))
    return caption if says_something(caption) else ""


def _media(kind: str) -> Reader:
    return lambda part: _caption(part) or f"[{kind}]"


def _document(document: Any) -> str:
    name = text_of(dict_of(document).get("filename"))
    return _media(f"document: {name}" if name else "document")(document)


def _audio(audio: Any) -> str:
    return "[voice message]" if dict_of(audio).get("voice") is True else "[audio]"


def _location(location: Any) -> str:
    """Like "Location: name, address (latitude, longitude)", with what is known."""
    place = _joined(location, ", ", "name", "address")
    point = _joined(location, ", ", "latitude", "longitude")
    return _sentence("Location", f"{place} ({point})" if place and point else place or point)


def _contacts(contacts: Any) -> str:
    """Like "Contact: Ann Smith (+15550001111), Bob Roe"."""
    return _sentence("Contact", ", ".join(filter(None, map(_contact, list_of(contacts)))))


def _contact(card: Any) -> str:
    name = dict_of(dict_of(card).get("name"))
    called = text_of(name.get("formatted_name")) or _joined(name, " ", "first_name", "last_name")
    phones = ", ".join(filter(None, map(_phone, list_of(dict_of(card).get("phones")))))
    return f"{called} ({phones})" if called and phones else called or phones


def _phone(phone: Any) -> str:
    wa_id = text_of(dict_of(phone).get("wa_id"))
    return text_of(dict_of(phone).get("phone")) or (f"+{wa_id}" if wa_id else "")


def _list_reply(row: Any) -> str:
    title, description = text_of(dict_of(row).get("title")), text_of(dict_of(row).get("description"))
    return f"{title} ({description})" if title and description else title or description


def _form(form: Any) -> str:
    """The answers of a Flow as "key: value, …", or else the text that WhatsApp shows for it."""
    try:
        answers = dict_of(loads(text_of(dict_of(form).get("response_json"))))
    except (ValueError, RecursionError):
        answers = {}
    listed = ", ".join(
        f"{text_of(key)}: {answer if isinstance(answer, str) else compact(answer)}"
        for key, answer in answers.items()
        if key != "flow_token"
    )
    return text_of(listed) or text_of(dict_of(form).get("body")) or text_of(dict_of(form).get("name"))


def _order(order: Any) -> str:
    """Like "Order: 2 × SKU at 10 USD, …", then the customer's note."""
    items = ", ".join(filter(None, map(_item, list_of(dict_of(order).get("product_items")))))
    note = text_of(dict_of(order).get("text"))
    return ". ".join(filter(None, (_sentence("Order", items), note)))


def _item(item: Any) -> str:
    product = text_of(dict_of(item).get("product_retailer_id"))
    count = text_of(dict_of(item).get("quantity"))
    price = _joined(item, " ", "item_price", "currency")
    return (f"{count} × " if count else "") + product + (f" at {price}" if price else "") if product else ""


def _reaction(reaction: Any) -> str:
    """The emoji; it is missing or empty when a reaction is removed."""
    return text_of(dict_of(reaction).get("emoji")) or "[reaction removed]"


def _edit(edit: Any) -> str:
    """The new text of an edited message. Only typed messages can be edited, so edits do not nest."""
    message = dict_of(dict_of(edit).get("message"))
    return read(message)[0] if text_of(message.get("type")) in _SAID else ""


def _permission(reply: Any) -> str:
    return f"[call permission: {text_of(dict_of(reply).get('response')) or 'unknown'}]"


def _unsupported(part: Any) -> str:
    kind = text_of(dict_of(part).get("type"))
    return f"[unsupported message: {kind}]" if kind else "[unsupported message]"


def _joined(part: Any, mark: str, *names: str) -> str:
    return mark.join(filter(None, (text_of(dict_of(part).get(name)) for name in names)))


def _sentence(label: str, said: str) -> str:
    return f"{label}: {said}" if said else ""


_SAID: Mapping[str, Reader] = {
    "text": _field("body"),
    "image": _media("image"),
    "video": _media("video"),
    "sticker": _media("sticker"),
    "document": _document,
    "audio": _audio,
    "location": _location,
    "contacts": _contacts,
    "button": lambda part: _field("text")(part) or _field("payload")(part),
    "button_reply": _field("title"),
    "list_reply": _list_reply,
    "nfm_reply": _form,
    "order": _order,
}
"""Types that a person sends to us. Replies to interactive messages are listed under their own subtypes."""

QUOTABLE = frozenset(_SAID) - {"button_reply", "list_reply", "nfm_reply"} | {"interactive"}
"""The message types that an answer may quote."""

_HAPPENED: Mapping[str, Reader] = {
    "reaction": _reaction,
    "call_permission_reply": _permission,
    "system": _field("body"),
    "edit": _edit,
    "revoke": lambda _: "[message deleted]",
    "request_welcome": lambda _: "[opened the chat]",
    "unsupported": _unsupported,
    "unknown": _unsupported,
}
"""Types that need no answer."""
