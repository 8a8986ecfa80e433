"""Fills a template in with plain values, as a person or a table's columns give them.

https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/overview
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wabot.core.templates import Parameter, Template

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def field_of(parameter: Parameter) -> str:
    """What a value is called: "1" or its name in the body; "header", "header_2" and "button_0" elsewhere."""
    if parameter.component == "body":
        return str(parameter.place)
    if parameter.component == "header":
        return "header" if parameter.place in (None, 1) else f"header_{parameter.place}"
    return f"button_{parameter.index}"


def fields_of(template: Template) -> list[str]:
    """The values that a send of a template needs, in the order of the template."""
    return [field_of(parameter) for parameter in template.parameters]


def missing(template: Template, values: Mapping[str, str]) -> list[str]:
    """The values that are not given."""
    return [field for field in fields_of(template) if not values.get(field, "").strip()]


def components(template: Template, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """The `components` of a send, from all values by name. Media are links."""
    found: dict[tuple[str, int | None], dict[str, Any]] = {}
    for parameter in template.parameters:
        component = found.setdefault((parameter.component, parameter.index), _component(parameter))
        component["parameters"].append(_value(parameter, values[field_of(parameter)].strip()))
    return list(found.values())


def preview(template: Template, values: Mapping[str, str]) -> str:
    """The body as the recipient reads it; what is not given stays {{…}}."""
    return _VARIABLE.sub(lambda variable: values.get(variable[1], "").strip() or variable[0], template.body)


def choose(templates: Sequence[Template], name: str, language: str) -> Template | None:
    """The template of this name in this language."""
    return next((each for each in templates if (each.name, each.language) == (name, language)), None)


def _component(parameter: Parameter) -> dict[str, Any]:
    button = {} if parameter.index is None else {"sub_type": parameter.sub_type, "index": str(parameter.index)}
    return {"type": parameter.component, **button, "parameters": []}


def _value(parameter: Parameter, value: str) -> dict[str, Any]:
    if parameter.type == "text":
        named = {"parameter_name": parameter.place} if isinstance(parameter.place, str) else {}
        return {"type": "text", **named, "text": value}
    if parameter.type in ("image", "video", "document"):
        return {"type": parameter.type, parameter.type: {"link": value}}
    return {"type": parameter.type, parameter.type: value}
