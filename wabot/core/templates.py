"""Message templates as Graph lists them, and what a send of one must give.

https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/overview
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core.json_values import dict_of, list_of, text_of

APPROVED = "APPROVED"
"""The only status with which Meta sends a template."""

MARKETING, AUTHENTICATION = "MARKETING", "AUTHENTICATION"

FIELDS = "name,language,status,category,components,parameter_format"
"""What `of_node` reads of Graph's MessageTemplate."""

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_MEDIA = frozenset({"image", "video", "document", "location"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that every send of a template gives, in one of its `components`.

    `component`: header, body or button. `type`: that of the parameter (text, image, coupon_code, …). `place`: the
    position, from 1, or the name of a text. `index` and `sub_type`: of a button.
    """

    component: str
    type: str
    place: int | str | None = None
    index: int | None = None
    sub_type: str | None = None

    def shown(self) -> dict[str, Any]:
        """As JSON, without what it does not have."""
        place = {} if self.place is None else {"name" if isinstance(self.place, str) else "position": self.place}
        button = {} if self.index is None else {"sub_type": self.sub_type, "index": self.index}
        return {"component": self.component, **button, "type": self.type, **place}


@dataclass(frozen=True, slots=True)
class Template:
    """A template in one language. `status` and `category` are Meta's words; `buttons`: how many it has.

    `parameters`: what every send gives. `open_header`: its header is of a kind that we cannot judge.
    """

    name: str
    language: str
    status: str
    category: str
    body: str
    parameters: tuple[Parameter, ...] = ()
    buttons: int = 0
    open_header: bool = False

    def shown(self) -> dict[str, Any]:
        """As `GET /templates` has it."""
        return {
            "name": self.name, "language": self.language, "status": self.status, "category": self.category,
            "body": self.body, "parameters": [parameter.shown() for parameter in self.parameters],
        }  # fmt: skip


def of_node(node: Any) -> Template | None:
    """A MessageTemplate of Graph's; None if it has no name or no language."""
    fields = dict_of(node)
    name, language = text_of(fields.get("name")), text_of(fields.get("language"))
    if not name or not language:
        return None
    listed = map(dict_of, list_of(fields.get("components")))
    components = {text_of(each.get("type")).upper(): each for each in listed}
    category = text_of(fields.get("category")).upper()
    named = text_of(fields.get("parameter_format")).upper() == "NAMED"
    header = text_of(components.get("HEADER", {}).get("format")).lower()
    buttons = list_of(components.get("BUTTONS", {}).get("buttons"))
    return Template(
        name,
        language,
        text_of(fields.get("status")).upper(),
        category,
        text_of(components.get("BODY", {}).get("text")),
        (
            *_of_header(header, components.get("HEADER", {}), named=named),
            *_of_body(components.get("BODY", {}), category, named=named),
            *_of_buttons(buttons),
        ),
        buttons=len(buttons),
        open_header=header not in ("", "text", *_MEDIA),
    )


def _of_header(format_: str, header: Mapping[str, Any], *, named: bool) -> Iterator[Parameter]:
    if format_ in _MEDIA:
        yield Parameter("header", format_)
    elif format_ == "text":
        yield from _texts("header", header, named=named)


def _of_body(body: Mapping[str, Any], category: str, *, named: bool) -> Iterator[Parameter]:
    """Meta words authentication templates itself: their body always has one parameter, the code."""
    if category == AUTHENTICATION:
        yield Parameter("body", "text", 1)
    else:
        yield from _texts("body", body, named=named)


def _texts(component: str, fields: Mapping[str, Any], *, named: bool) -> Iterator[Parameter]:
    names = dict.fromkeys(_VARIABLE.findall(text_of(fields.get("text"))))
    for position, name in enumerate(names, start=1):
        yield Parameter(component, "text", name if named else position)


def _of_buttons(buttons: list[Any]) -> Iterator[Parameter]:
    """Buttons that need a value: an address with a variable, and codes. The others may have one."""
    for index, button in enumerate(map(dict_of, buttons)):
        kind = text_of(button.get("type")).upper()
        if kind == "COPY_CODE":
            yield Parameter("button", "coupon_code", index=index, sub_type="copy_code")
        elif kind == "OTP" or (kind == "URL" and _VARIABLE.search(text_of(button.get("url")))):
            yield Parameter("button", "text", index=index, sub_type="url")
