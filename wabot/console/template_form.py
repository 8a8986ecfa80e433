"""The choice of a template in a form, with a field for each value that a send of it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wabot.accounts import Account
from wabot.core import template_values
from wabot.core.templates import APPROVED, Template
from wabot.template_list import CannotAsk
from wabot.web.answers import Refusal

VALUE = "value_"
"""How the fields begin that have a value of the template."""


async def approved(account: Account) -> Sequence[Template]:
    """The templates that Meta would send; none if it cannot be asked."""
    try:
        found = await account.service.templates.all()
    except CannotAsk:
        return ()
    return [each for each in found if each.status == APPROVED]


def key(template: Template) -> str:
    """What a form calls a template."""
    return f"{template.name}/{template.language}"


def chosen(templates: Sequence[Template], asked: str) -> tuple[Template | None, Sequence[str]]:
    """The template that is asked for, else the first, and the values that it needs."""
    found = next((each for each in templates if key(each) == asked), templates[0] if templates else None)
    return found, template_values.fields_of(found) if found else ()


async def named(account: Account, chosen: str) -> Template:
    """The template of a form's choice. Raises Refusal."""
    name, _, language = chosen.rpartition("/")
    found = template_values.choose(await approved(account), name, language)
    if found is None:
        raise Refusal(422, f"There is no approved template {name} in {language}.")
    return found


async def read(account: Account, form: Mapping[str, Any]) -> dict[str, Any]:
    """The template of a form as `{name, language, components}`. Raises Refusal if a value is missing."""
    template = await named(account, str(form.get("template", "")))
    values = {field: str(form.get(f"{VALUE}{field}", "")) for field in template_values.fields_of(template)}
    if absent := template_values.missing(template, values):
        raise Refusal(422, f"These values of {template.name} are missing: {', '.join(absent)}")
    return {
        "name": template.name,
        "language": template.language,
        "components": template_values.components(template, values),
    }
