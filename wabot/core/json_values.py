"""JSON from outside, of any shape, read into values that every store accepts.

Strings are valid UTF-8 without NUL, integers fit 64 bits, floats are finite.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from wabot.core import fast_json
from wabot.core.json_limits import Json, Reader, are_few

_PUNCTUATION = re.compile(r"[+\s().\-]")
_HALF = re.compile("[\ud800-\udfff]")
_STEP = 65_536
_LONGEST_INT = 18
_LATEST = 1e11
_NOTHING: Mapping[str, Any] = {}


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INT else text


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


# Numbers that no store can hold (NaN, 1e999, an integer of a thousand digits) stay text.
_READER = Reader(parse_int=_integer, parse_float=_number, parse_constant=str)
_OURS = Reader(parse_float=float, parse_constant=float)
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def loads(text: str) -> Any:
    """`text` as JSON. Raises ValueError (not JSON), TooManyValues or RecursionError (nested too deeply).

    Only an escape can contain what cannot be stored (a NUL, half of a surrogate pair), so other texts are not checked.
    """
    value = _READER.read(text)
    return _storable(value) if "\\u" in text else value


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def stored(text: str, otherwise: Any) -> Any:
    """Reads what we wrote with `compact` or json.dumps; `otherwise` if it was damaged since."""
    try:
        return _OURS.read(text)
    except (ValueError, RecursionError):
        return otherwise


def stored_text(text: str) -> Json:
    """The same, as JSON text; text that was damaged since becomes a JSON string."""
    try:
        _OURS.read(text)
    except (ValueError, RecursionError):
        return Json(_ENCODER.encode(text))
    return Json(text)


def compact(value: Any) -> str:
    """A value from `loads` as compact JSON text.

    Where Python's json writes it, many values are written in steps, so that others run meanwhile.
    """
    written = fast_json.dumps(value)
    if written is not None:
        return written
    return _ENCODER.encode(value) if are_few(value) else "".join(_ENCODER.iterencode(value))


def storable(text: str) -> str:
    """`text` with U+FFFD in place of NULs and lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # in short steps: one call for a long text of lone surrogates takes 0.2 s
        return "".join(_HALF.sub("\ufffd", text[start : start + _STEP]) for start in range(0, len(text), _STEP))
    return text


def text_of(value: Any) -> str:
    """A string or a number as text; "" for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def digits_of(value: Any) -> str:
    """A phone number as its digits ("+1 (555) 078-3881" → "15550783881"); "" for anything else."""
    text = text_of(value)
    if not text.isdecimal():
        text = _PUNCTUATION.sub("", text)
    return text if text.isdecimal() and text.isascii() else ""


def seconds_of(value: Any) -> float | None:
    """Unix seconds, given as a number or (as Meta does) as a string; None if missing, invalid or out of range."""
    if isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= _LATEST else None


def dict_of(value: Any) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def list_of(value: Any) -> list[Any]:
    """`value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def blanked(value: Any, words: str) -> Any:
    """A value in whose texts "…" stands for these words."""
    if isinstance(value, str):
        return value.replace(words, "…")
    if isinstance(value, list):
        return [blanked(item, words) for item in value]
    if isinstance(value, dict):
        return {key: blanked(item, words) for key, item in value.items()}
    return value
