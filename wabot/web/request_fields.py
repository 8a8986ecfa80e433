"""The types of the fields of requests: numbers, times, limits, the components of messages."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

MAX_COMPONENTS = 32
MAX_CONTENT = 131_072
"""The most characters in the components of one message, or in a message; Meta accepts far fewer."""
_MONTH = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
CODE_LENGTH = 18
"""The most characters of an error code; that many digits fit into an SQLite integer."""


def _digits(value: object) -> object:
    """A phone number may be a JSON integer, but no float: its ".0" would become part of the number."""
    return str(value) if type(value) is int else value


def _count(value: object) -> object:
    """A number of something; true and false are none, although Python takes them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _parameters(component: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(component.get("parameters", []), list):
        raise ValueError("parameters must be a list")
    return component


def _bounded(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if _size(components) > MAX_CONTENT:
        raise ValueError(f"the components of one message have more than {MAX_CONTENT} characters")
    return components


def _bounded_message(message: dict[str, Any]) -> dict[str, Any]:
    if _size(message) > MAX_CONTENT:
        raise ValueError(f"a message has at most {MAX_CONTENT} characters")
    return message


def _size(value: Any) -> int:
    """About how many characters a value has as JSON."""
    if isinstance(value, dict):
        return sum(len(key) + 4 + _size(item) for key, item in value.items()) + 2
    if isinstance(value, list):
        return sum(map(_size, value)) + len(value) + 2
    return len(value) + 2 if isinstance(value, str) else len(str(value))


def _code(value: object) -> object:
    """Meta's codes are numbers, but may also come as text (from the command line, say)."""
    if isinstance(value, str) and 0 < len(value) <= CODE_LENGTH:
        return int(value) if value.isascii() and value.isdigit() else value
    if type(value) is int and abs(value) < 10**CODE_LENGTH:
        return value
    raise ValueError(f"must be one of Meta's numbers or of our words, of {CODE_LENGTH} characters at most")


def _month(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_MONTH, value):
        raise ValueError("must be a month such as 2026-10")
    return value


def instant(value: object) -> float | None:
    """Unix seconds of an ISO 8601 time, which must have an offset: without one, nobody knows which noon is meant."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.timestamp()
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be an ISO 8601 time with an offset, such as 2027-03-01T09:00:00+05:30")


ErrorCode = Annotated[
    int | str,
    BeforeValidator(
        _code,
        json_schema_input_type=Annotated[int, Field(gt=-(10**CODE_LENGTH), lt=10**CODE_LENGTH)]
        | Annotated[str, Field(min_length=1, max_length=CODE_LENGTH)],
    ),
]
Number = Annotated[
    str,
    Field(max_length=200),
    BeforeValidator(_digits, json_schema_input_type=Annotated[str, Field(max_length=200)] | int),
    Field(description="A phone number, with `+`, spaces, dashes and brackets or without; or a BSUID"),
]
Instant = Annotated[
    float | None,
    BeforeValidator(
        instant, json_schema_input_type=Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None
    ),
]
Limit = Annotated[int, Field(ge=0, le=1_000_000_000, description="0: all"), BeforeValidator(_count)]
Hours = Annotated[float, Field(gt=0, le=24 * 366), BeforeValidator(_count)]
Cursor = Annotated[str, Field(max_length=100, description="The `next_cursor` of the page before")]
Component = Annotated[dict[str, Any], AfterValidator(_parameters)]
Components = Annotated[
    list[Component],
    Field(max_length=MAX_COMPONENTS, description="As Meta has them: the parameters of header, body and buttons"),
    AfterValidator(_bounded),
]
Message = Annotated[dict[str, Any], AfterValidator(_bounded_message)]
Month = Annotated[str, BeforeValidator(_month, json_schema_input_type=Annotated[str, Field(pattern=_MONTH)])]
