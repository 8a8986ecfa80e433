"""The template of a command, and the components of a send of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wabot.core import template_values
from wabot.core.templates import Parameter, Template
from wabot.terminal.service_calls import Refused, ServiceCalls

DEFAULT_LANGUAGE = "en_US"


async def named(calls: ServiceCalls, name: str, language: str) -> Template | Unknown:
    """The template; `language` "": the only one that it has, else English. Unknown where Meta cannot be asked.

    Raises Refused if Meta does not have it.
    """
    try:
        listed = (await calls("GET", "/templates"))["templates"]
    except Refused as error:
        if error.status != 503:
            raise
        return Unknown(language or DEFAULT_LANGUAGE)
    found = [_template(one) for one in listed if one["name"] == name]
    languages = [one.language for one in found]
    wanted = language or (languages[0] if len(languages) == 1 else DEFAULT_LANGUAGE)
    chosen = template_values.choose(found, name, wanted)
    if chosen is None:
        others = ", ".join(sorted({one["name"] for one in listed})) or "none"
        lacking = f" in {wanted}; it is there in {', '.join(languages)}" if languages else f"; there are: {others}"
        raise Refused(f"there is no template {name}{lacking}", 422)
    return chosen


class Unknown:
    """A template of which only the name is known: its values are texts of the body."""

    def __init__(self, language: str) -> None:
        self.language = language


def components(template: Template | Unknown, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """The components of a send with these values. Raises Refused if one is missing."""
    if isinstance(template, Unknown):
        texts = [
            {"type": "text", **({} if name.isdigit() else {"parameter_name": name}), "text": value}
            for name, value in sorted(values.items(), key=lambda item: (not item[0].isdigit(), item[0].zfill(9)))
        ]
        return [{"type": "body", "parameters": texts}] if texts else []
    if missing := template_values.missing(template, values):
        needed = ", ".join(template_values.fields_of(template))
        raise Refused(f"there is no value for {', '.join(missing)}: the template needs {needed}", 422)
    return template_values.components(template, values)


def _template(shown: Mapping[str, Any]) -> Template:
    """A template as `GET /templates` shows it."""
    parameters = tuple(
        Parameter(
            one["component"], one["type"], one.get("name", one.get("position")), one.get("index"), one.get("sub_type")
        )
        for one in shown["parameters"]
    )
    name, language, status, category, body = (
        str(shown[key]) for key in ("name", "language", "status", "category", "body")
    )
    return Template(name, language, status, category, body, parameters)
