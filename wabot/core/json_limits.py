"""Large JSON: reading it without blocking the event loop.

Python reads JSON in one call into C, during which no other thread runs: 4 MiB of `[],[],…` would block the whole
process for 0.2 s, 16 MiB of `{}` for seconds. So the values of large JSON are counted first. Few values are read in
one call, more of them step by step (a tenth of the speed, but other threads run meanwhile), and too many are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json import scanner
from typing import Any

from wabot.core import fast_json

SMALL = 65_536
"""Characters: JSON up to this length is always read fast."""
AT_ONCE = 100_000
"""The most values that are read in one call: 50 ms."""
MOST = 1_000_000
"""The most values in a body; 10 000 recipients with sixteen parameters each have fewer."""

_MARKS = "[{,:.eE"
"""Each of these characters marks a value or a key, or a number that is slow to read (a fraction)."""
_STRETCH = 1 << 18

Hook = Callable[[str], Any]


class Json(str):
    """Text that is JSON already: answers contain it as it is, without turning it into objects.

    Python's garbage collector visits all live objects again and again, and blocks the process meanwhile.
    """

    __slots__ = ()


class TooManyValues(ValueError):
    """The text may be JSON, but has more than MOST values."""


class Reader:
    """Reads JSON. The hooks are those of json.JSONDecoder: each gets the text of a number."""

    def __init__(self, *, parse_int: Hook | None = None, parse_float: Hook, parse_constant: Hook) -> None:
        def decoder() -> json.JSONDecoder:
            return json.JSONDecoder(parse_int=parse_int, parse_float=parse_float, parse_constant=parse_constant)

        self._at_once, self._in_steps = decoder(), decoder()
        # json's scanner in pure Python.
        self._in_steps.scan_once = scanner.py_make_scanner(self._in_steps)  # type: ignore[attr-defined]

    def read(self, text: str) -> Any:
        """`text` as JSON. Raises ValueError (not JSON), TooManyValues, RecursionError (nested too deeply)."""
        if len(text) <= SMALL:
            try:
                return fast_json.loads(text)
            except ValueError:
                return self._at_once.decode(text)
        count = values_in(text)
        if count > MOST:
            raise TooManyValues(f"more than {MOST} values")
        return (self._at_once if count <= AT_ONCE else self._in_steps).decode(text)


def are_few(value: Any) -> bool:
    """Whether a value contains at most AT_ONCE values, so that it can be written in one call."""
    left, waiting = AT_ONCE, [value]
    while waiting and left >= 0:
        one = waiting.pop()
        inside = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        left -= len(inside)
        if left >= 0:
            waiting.extend(each for each in inside if isinstance(each, dict | list))
    return left >= 0


def values_in(text: str) -> int:
    """About how many values and keys a JSON text has, ignoring the contents of its strings; works in short steps."""
    plain = text.replace("\\\\", "").replace('\\"', "")
    count, inside = 0, 0
    for start in range(0, len(plain), _STRETCH):
        pieces = plain[start : start + _STRETCH].split('"')
        outside = "".join(pieces[inside::2])
        count += sum(outside.count(mark) for mark in _MARKS)
        inside = (inside + len(pieces) - 1) % 2
    return count
