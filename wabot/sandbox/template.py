"""A message template: its components, the parameters that a send needs, and the text that the person reads.

https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/overview
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wabot.core.complaint import Complaint, part, parts, text_of

Json = dict[str, Any]

NAME = re.compile(r"[a-z0-9_]{1,512}")
CATEGORIES = ("MARKETING", "UTILITY", "AUTHENTICATION")
LONGEST_BODY = 1024

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_MEDIA_HEADERS = {"IMAGE": "image", "VIDEO": "video", "DOCUMENT": "document", "LOCATION": "location"}
_STOPPED = {"PAUSED": 132015, "DISABLED": 132016}
"""The error of a send, by the template's status; with any other status but APPROVED the template does not exist."""


@dataclass(slots=True)
class Template:
    """A template in one language. `status` and `category` are Meta's words; `components` are as they were created."""

    id: str
    name: str
    language: str
    category: str
    components: list[Json]
    status: str = "APPROVED"
    named: bool = False
    more: Json = field(default_factory=dict)

    def component(self, type_: str) -> Mapping[str, Any]:
        """The header, the body, the footer or the buttons; empty if there is none."""
        return next((c for c in self.components if str(c.get("type", "")).upper() == type_), {})

    def variables(self, type_: str = "BODY") -> list[str]:
        """The names (or numbers) in the text of a component, each once, in their order."""
        return list(dict.fromkeys(_VARIABLE.findall(str(self.component(type_).get("text", "")))))

    def node(self) -> Json:
        """The template as Graph shows it."""
        format_ = "NAMED" if self.named else "POSITIONAL"
        shown = {"id": self.id, "name": self.name, "language": self.language, "status": self.status}
        return {
            **shown, "category": self.category, "components": self.components, "parameter_format": format_,
            "quality_score": {"score": "UNKNOWN", "date": 0}, **self.more,
        }  # fmt: skip

    def complaint(self, sent: Mapping[str, Any]) -> Complaint | None:
        """What is wrong with a send of this template; `sent` is the `template` of the send."""
        if self.status != "APPROVED":
            code = _STOPPED.get(self.status, 132001)
            return Complaint(code, missing(self.name, self.language) if code == 132001 else "")
        return next(self._faults(sent), None)

    def _faults(self, sent: Mapping[str, Any]) -> Iterator[Complaint]:
        header = self.component("HEADER")
        media = _MEDIA_HEADERS.get(str(header.get("format", "")).upper())
        given = _parameters(sent, "header")
        if media is not None and [parameter.get("type") for parameter in given] != [media]:
            found = str(given[0].get("type")).upper() if given else "UNKNOWN"
            yield Complaint(132012, f"header: Format mismatch, expected {media.upper()}, received {found}")
        if media is None:
            yield from self._wrong_texts("HEADER", given)
        yield from self._wrong_texts("BODY", _parameters(sent, "body"))
        yield from self._wrong_buttons(sent)
        if len(self._filled("BODY", sent)) > LONGEST_BODY:
            yield Complaint(132005, "The filled-in body is too long.")

    def _wrong_texts(self, type_: str, given: list[Mapping[str, Any]]) -> Iterator[Complaint]:
        """Too few or too many parameters, or some without the name, or the text, that they need."""
        # What Meta writes of an authentication template is its own: one parameter, the code.
        expected = ["1"] if type_ == "BODY" and self.category == "AUTHENTICATION" else self.variables(type_)
        if len(given) != len(expected):
            yield Complaint(
                132000,
                f"{type_.lower()}: number of localizable_params ({len(given)}) does not match the expected number of "
                f"params ({len(expected)})",
            )
        for parameter in given:
            if self.named and parameter.get("parameter_name") not in expected:
                yield Complaint(132012, f"{type_.lower()}: Parameter name is missing or empty")
            if not _value(parameter):
                yield Complaint(131008, f"{type_.lower()}: a parameter has no value")

    def _wrong_buttons(self, sent: Mapping[str, Any]) -> Iterator[Complaint]:
        """Buttons whose address has a variable, or that copy a code, need their parameter."""
        given = {str(c.get("index")): c for c in parts(sent, "components") if str(c.get("type")).lower() == "button"}
        for index, button in enumerate(parts(self.component("BUTTONS"), "buttons")):
            kind = str(button.get("type", "")).upper()
            needs = kind in ("COPY_CODE", "OTP") or (kind == "URL" and bool(_VARIABLE.search(str(button.get("url")))))
            brought = parts(given.pop(str(index), {}), "parameters")
            if needs and not brought:
                yield Complaint(131008, f"Button at index {index} of type {kind.title()} requires a parameter")
        if given:
            yield Complaint(132018, f"There is no button at index {next(iter(given))}")

    def _filled(self, type_: str, sent: Mapping[str, Any]) -> str:
        given = _parameters(sent, type_.lower())
        values = {str(p.get("parameter_name") or nth): _value(p) for nth, p in enumerate(given, start=1)}
        return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), str(self.component(type_).get("text", "")))

    def text(self, sent: Mapping[str, Any]) -> str:
        """What the person reads: header, body and footer, with the parameters of the send in them."""
        if self.category == "AUTHENTICATION":
            code = next((_value(parameter) for parameter in _parameters(sent, "body")), "")
            lines = [f"{code} is your verification code."]
        else:
            lines = [self._filled("HEADER", sent) or _media_word(self), self._filled("BODY", sent)]
            lines.append(str(self.component("FOOTER").get("text", "")))
        return "\n".join(line for line in lines if line)

    def buttons(self, sent: Mapping[str, Any]) -> dict[str, str]:
        """The titles of the buttons, and what a tap on a quick reply brings back."""
        payloads = {
            str(component.get("index")): str(next((p.get("payload") for p in parts(component, "parameters")), "") or "")
            for component in parts(sent, "components")
            if str(component.get("type")).lower() == "button"
        }
        titles = [str(button.get("text", "")) for button in parts(self.component("BUTTONS"), "buttons")]
        return {title: payloads.get(str(index)) or title for index, title in enumerate(titles)}


def missing(name: str, language: str) -> str:
    """The details of 132001."""
    return f"template name ({name}) does not exist in {language}"


def _media_word(template: Template) -> str:
    media = _MEDIA_HEADERS.get(str(template.component("HEADER").get("format", "")).upper())
    return f"[{media}]" if media else ""


def _parameters(sent: Mapping[str, Any], type_: str) -> list[Mapping[str, Any]]:
    found = [c for c in parts(sent, "components") if str(c.get("type")).lower() == type_]
    return [parameter for component in found for parameter in parts(component, "parameters")]


def _value(parameter: Mapping[str, Any]) -> str:
    """What a parameter puts into the text: itself, or the fallback of an amount or a date."""
    kind = parameter.get("type")
    if kind in ("currency", "date_time"):
        return text_of(part(parameter, kind), "fallback_value")
    return text_of(parameter, "text")
