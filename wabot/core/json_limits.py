"""What is large: JSON of any size and shape, read so that nobody else has to wait for it, and what an answer may hold.

Python reads JSON in one call into C, and while that runs no other thread does: 4 MiB of `[],[],…` would hold up the
whole process for 0.2 s, 16 MiB of `{}` for seconds. So what is large is counted first. Few values are read in one
go, more of them step by step (a tenth of the speed, but others run meanwhile), and absurdly many are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from json import scanner
from typing import Any

from wabot.core.errors import InvalidInput

SMALL = 65_536
"""Characters up to which nothing takes long, whatever they are."""
AT_ONCE = 100_000
"""Values that are read in one go: 50 ms at the most."""
MOST = 1_000_000
"""Values of a body: 10 000 recipients with sixteen parameters each have fewer."""

_MARKS = "[{,:.eE"
"""Each stands for a value or key, or makes one slow (a fraction)."""
_STRETCH = 1 << 18

Hook = Callable[[str], Any]


class Json(str):
    """Text that is JSON: an answer takes it as it is, and nobody has to keep thousands of objects meanwhile.

    Python's collector looks at all objects that are alive, again and again, and everybody waits for it.
    """

    __slots__ = ()


class TooManyValues(ValueError):
    """It is JSON perhaps, but of more values than anybody means to say at once."""


class TooLong(InvalidInput):
    """More was said than one answer can hold."""


@dataclass(slots=True)
class Room:
    """What an answer can still hold: messages, and characters of what they say."""

    messages: int = 100_000
    size: int = 64 << 20

    def take(self, messages: int, size: int) -> None:
        """Something more is in it. Raises TooLong."""
        self.messages -= messages
        self.size -= size
        if min(self.messages, self.size) < 0:
            raise TooLong("this is more than one answer can hold (100 000 messages, 64 MiB): give a smaller limit")


class Reader:
    """Reads JSON; the hooks are those of json.JSONDecoder, and get the number's text."""

    def __init__(self, *, parse_int: Hook | None = None, parse_float: Hook, parse_constant: Hook) -> None:
        def decoder() -> json.JSONDecoder:
            return json.JSONDecoder(parse_int=parse_int, parse_float=parse_float, parse_constant=parse_constant)

        self._at_once, self._in_steps = decoder(), decoder()
        # The scanner that json has for a Python without its C part.
        self._in_steps.scan_once = scanner.py_make_scanner(self._in_steps)  # type: ignore[attr-defined]

    def read(self, text: str) -> Any:
        """`text` as JSON. Raises ValueError (not JSON), TooManyValues, RecursionError (nested too deeply)."""
        if len(text) <= SMALL:
            return self._at_once.decode(text)
        count = values_in(text)
        if count > MOST:
            raise TooManyValues(f"more than {MOST} values")
        return (self._at_once if count <= AT_ONCE else self._in_steps).decode(text)


def are_few(value: Any) -> bool:
    """Whether a value has so few others in it that it is written at once."""
    left, waiting = AT_ONCE, [value]
    while waiting and left >= 0:
        one = waiting.pop()
        inside = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        left -= len(inside)
        if left >= 0:
            waiting.extend(each for each in inside if isinstance(each, dict | list))
    return left >= 0


def values_in(text: str) -> int:
    """About how many values and keys JSON text has, whatever stands inside of its strings; in short steps."""
    plain = text.replace("\\\\", "").replace('\\"', "")
    count, inside = 0, 0
    for start in range(0, len(plain), _STRETCH):
        pieces = plain[start : start + _STRETCH].split('"')
        outside = "".join(pieces[inside::2])
        count += sum(outside.count(mark) for mark in _MARKS)
        inside = (inside + len(pieces) - 1) % 2
    return count
