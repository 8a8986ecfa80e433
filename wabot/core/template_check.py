"""What Meta would refuse about a template message: the template itself, or the parameters that are given.

It judges what Meta documents; components of other kinds (carousel, limited_time_offer …) are left to Meta.
https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
(132000, 132001, 132012, …)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wabot.core.exceptions import InvalidInput
from wabot.core.templates import APPROVED, Parameter, Template

Components = Sequence[Mapping[str, Any]]

MOST_NAMED = 100
"""How many wrong recipients of a request are named."""

_FALLBACKS = ("currency", "date_time")
"""Types of a text's parameter that bring a text for phones which cannot show them."""


class Reason(StrEnum):
    """Why a template message is refused."""

    UNKNOWN_TEMPLATE = "unknown_template"
    TEMPLATE_NOT_APPROVED = "template_not_approved"
    WRONG_PARAMETERS = "wrong_parameters"


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a message would be refused, in plain words. `index`: of the recipient whose own components are wrong.

    `expected`: the parameters that the template has; None if it is the template itself that is wrong.
    """

    reason: Reason
    message: str
    index: int | None = None
    expected: tuple[Parameter, ...] | None = None

    def shown(self) -> dict[str, Any]:
        """As an entry of an error's `details`."""
        at = "template.name" if self.expected is None else "template.components"
        named: dict[str, Any] = {"field": at if self.index is None else f"recipients.{self.index}.components"}
        if self.index is not None:
            named["index"] = self.index
        expected = {} if self.expected is None else {"expected": [each.shown() for each in self.expected]}
        return {**named, "reason": str(self.reason), "message": self.message, **expected}


class TemplateRefused(InvalidInput):
    """Meta would refuse these template messages."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        first = wrong[0]
        super().__init__(first.message if first.index is None else f"recipients.{first.index}: {first.message}")
        self.details = [each.shown() for each in wrong]


def of_template(versions: Sequence[Template], name: str, language: str) -> Template | Wrong:
    """The template that a message names, or why it cannot be sent. `versions`: those of this name in all languages."""
    found = next((each for each in versions if each.language == language), None)
    if found is None:
        others = ", ".join(sorted(each.language for each in versions)[:20])
        there_are = f"; it has it in {others}" if others else ""
        return Wrong(Reason.UNKNOWN_TEMPLATE, f"the account has no template {name} in {language}{there_are}")
    if found.status != APPROVED:
        status = found.status or "unknown"
        message = f"the template {name} in {language} is {status}; Meta sends none that is not {APPROVED}"
        return Wrong(Reason.TEMPLATE_NOT_APPROVED, message)
    return found


def of_components(template: Template, components: Components, index: int | None = None) -> Wrong | None:
    """Why the components of a message do not fit its template; None if they do."""
    complaint = next(_complaints(template, components), None)
    if complaint is None:
        return None
    return Wrong(Reason.WRONG_PARAMETERS, complaint, index, template.parameters)


def of_recipients(template: Template, each: Iterable[Components]) -> list[Wrong]:
    """Those of many recipients whose own components are wrong, at most MOST_NAMED."""
    wrong: list[Wrong] = []
    for index, components in enumerate(each):
        if (found := of_components(template, components, index)) is not None:
            wrong.append(found)
            if len(wrong) == MOST_NAMED:
                break
    return wrong


def _complaints(template: Template, components: Components) -> Iterator[str]:
    if not template.open_header:
        yield from _of_values("header", template, components)
    yield from _of_values("body", template, components)
    yield from _of_buttons(template, components)


def _of_values(component: str, template: Template, components: Components) -> Iterator[str]:
    """Too few or too many parameters of the header or the body, or one without its name or value."""
    expected = [each for each in template.parameters if each.component == component]
    given = [value for each in components if _type(each) == component for value in _parameters(each)]
    if len(given) != len(expected):
        yield f"{component}: {len(given)} parameters are given; the template has {_count(expected)}"
        return
    names = {each.place for each in expected if isinstance(each.place, str)}
    named = [value.get("parameter_name") for value in given]
    if names and (missing := names.difference(name for name in named if isinstance(name, str))):
        yield f"{component}: no parameter has the parameter_name {', '.join(sorted(missing))}"
        return
    for nth, value in enumerate(given, start=1):
        kind = expected[nth - 1].type
        if not _has_value(value, kind):
            yield f"{component}: parameter {nth} must be of type {kind}, with a value"


def _of_buttons(template: Template, components: Components) -> Iterator[str]:
    given = {str(each.get("index", "0")): each for each in components if _type(each) == "button"}
    for index in given:
        if index not in map(str, range(template.buttons)):
            yield f"button {index[:20]}: the template has {template.buttons} buttons, counted from 0"
            return
    for needed in template.parameters:
        if needed.component == "button" and not _parameters(given.get(str(needed.index), {})):
            yield f"button {needed.index}: it needs a parameter (sub_type {needed.sub_type}, type {needed.type})"


def _type(component: Mapping[str, Any]) -> str:
    return str(component.get("type")).lower()


def _parameters(component: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = component.get("parameters")
    return [each if isinstance(each, Mapping) else {} for each in found] if isinstance(found, list) else []


def _has_value(value: Mapping[str, Any], kind: str) -> bool:
    given = str(value.get("type", "")).lower()
    if kind != "text":
        return given == kind and isinstance(value.get(kind), Mapping) and bool(value[kind])
    if given in _FALLBACKS:
        return isinstance(value.get(given), Mapping)
    return given == "text" and isinstance(value.get("text"), str) and bool(value["text"])


def _count(expected: Sequence[Parameter]) -> str:
    if not expected:
        return "none"
    words = (str(each.place) if isinstance(each.place, str) else each.type for each in expected)
    return f"{len(expected)} ({', '.join(words)})"
