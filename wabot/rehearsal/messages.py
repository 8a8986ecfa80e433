"""What a contact says in a turn, as it stands in the file and as Meta delivers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wabot.rehearsal.tables import Table
from wabot.sandbox import payloads

APART_SECONDS = 0.5
"""Between two lines of one turn."""

KINDS = (
    "text", "image", "video", "document", "voice", "sticker", "location", "contacts", "order", "reaction", "edit",
    "delete", "tap", "again", "meta", "new_number",
)  # fmt: skip
"""A message is one of these."""
TAP = "[tap] "
_NAME_ANOTHER = ("delete", "again")
"""Those whose text is some words of the earlier message that they are about."""


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a contact. `kind`: one of KINDS, with its table; `of`, `quotes`: words of earlier messages.

    `ago`: seconds since it was written, when Meta delivers it; `apart`: seconds since the line before; `times`: how
    often it is delivered; `lost`: its file cannot be had.
    """

    kind: str
    said: payloads.Json
    words: str
    of: str = ""
    quotes: str = ""
    ago: float = 0.0
    apart: float = APART_SECONDS
    times: int = 1
    lost: bool = False

    def without_reference(self) -> Line | None:
        """The line where nothing is there to refer to: what was to be tapped is typed; None: nothing is said."""
        if self.kind == "tap":
            title = self.words.removeprefix(TAP)
            return replace(self, kind="text", said=payloads.text(title), words=title, quotes="")
        return replace(self, quotes="") if self.quotes else None


def read_lines(table: Table, key: str) -> tuple[Line, ...]:
    """The lines under `key`: a text, a table, or a list of these. Raises TalkError."""
    found = table.any(key)
    listed = found if isinstance(found, list) else [] if found is None else [found]
    return tuple(_line(one, f"{table.where}: {key}") for one in listed)


def _line(value: Any, where: str) -> Line:
    if isinstance(value, str):
        return Line("text", payloads.text(value), value)
    table = Table(value, where)
    kind = table.only_one(KINDS)
    if not kind:
        raise table.wrong(f"one of {', '.join(KINDS)} is needed")
    said = _MAKE[kind](table) if kind in _MAKE else {}
    advertisement = table.table("advertisement")
    if "advertisement" in table:
        said = {**said, "referral": _referral(advertisement)}
    of = table.text(kind) if kind in _NAME_ANOTHER else table.text("of")
    apart = table.seconds("apart")
    line = Line(
        kind, said, _words(kind, table, said), of, table.text("quotes"), table.seconds("ago") or 0.0,
        APART_SECONDS if apart is None else apart, table.count("times", 1), table.flag("lost") is True,
    )  # fmt: skip
    table.end()
    if kind in ("reaction", "edit") and not line.of:
        raise table.wrong(f"{kind} needs `of`, some words of the message that it is about")
    return line


def _words(kind: str, table: Table, said: Mapping[str, Any]) -> str:
    """How the transcript shows a message, and by which words later ones find it."""
    value = table.any(kind)
    if kind == "text":
        return str(value) * table.count("copies", 1)
    more = value if isinstance(value, str) else said.get("type", "") if kind == "meta" else ""
    caption = table.text("caption")
    return " ".join(filter(None, [f"[{kind}]", str(more), caption]))


def _referral(table: Table) -> payloads.Json:
    found = {
        "source_type": "ad", "source_id": "1", "source_url": table.text("url", "https://fb.me/example"),
        "headline": table.text("headline"), "body": table.text("body"), "media_type": "image",
    }  # fmt: skip
    table.end()
    return found


def _location(table: Table) -> payloads.Json:
    own = table.table("location")
    place = payloads.location(
        own.number("latitude"), own.number("longitude"), own.text("name") or None, own.text("address") or None
    )
    own.end()
    return place


def _contacts(table: Table) -> payloads.Json:
    cards = table.tables("contacts")
    found = payloads.contacts(*((card.text("name"), card.text("number")) for card in cards))
    for card in cards:
        card.end()
    return found


def _order(table: Table) -> payloads.Json:
    items = [
        {
            "product_retailer_id": item.text("product"), "quantity": item.count("quantity", 1),
            "item_price": item.number("price"), "currency": item.text("currency", "EUR"),
        }
        for item in table.tables("order")
    ]  # fmt: skip
    return payloads.said("order", catalog_id="1", product_items=items, text=table.text("note") or None)


def _meta(table: Table) -> payloads.Json:
    table.table("meta").text("type")
    return dict(table.any("meta"))


_MAKE: Mapping[str, Callable[[Table], payloads.Json]] = {
    "text": lambda table: payloads.text(table.text("text") * table.count("copies", 1)),
    "image": lambda table: payloads.image(table.text("image") or None),
    "video": lambda table: payloads.video(table.text("video") or None),
    "document": lambda table: payloads.document(table.text("document"), table.text("caption") or None),
    "voice": lambda table: payloads.audio(voice=table.flag("voice") is True),
    "sticker": lambda table: payloads.sticker(animated=table.flag("sticker") is not True),
    "location": _location,
    "contacts": _contacts,
    "order": _order,
    "meta": _meta,
    "new_number": lambda table: {"number": table.text("new_number")},
}
"""Those whose content is in the table alone; the others depend on what was said before."""
