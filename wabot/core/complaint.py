"""Readers for untrusted JSON, which treat a value of the wrong type as missing; and the type of a complaint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Complaint:
    """Meta's code and details for a body that it refuses; details "": those of the code."""

    code: int
    details: str


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """The field, "" where it is missing or not a text."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def part(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object in the field, empty where there is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def parts(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in the list in the field."""
    value = fields.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
