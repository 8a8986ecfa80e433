"""How a line of the log reads: words for a person, JSON for a machine, with priorities for systemd's journal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, MutableMapping
from textwrap import indent
from typing import Any, TypeAlias

Processor: TypeAlias = Callable[[Any, str, MutableMapping[str, Any]], str]
"""Makes a line of the fields of an event; structlog's."""

_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""The levels, with their priorities for systemd's journal (sd-daemon(3))."""
_encode = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode


def _clock(shape: str, convert: Callable[[float], time.struct_time]) -> Callable[[], str]:
    """A clock that returns `shape` with milliseconds; it formats only once a second, since formatting is expensive."""
    second, shown = 0, ""

    def read() -> str:
        nonlocal second, shown
        now = time.time()
        if int(now) != second:
            second = int(now)
            shown = time.strftime(shape, convert(second))
        return f"{shown}.{int(now * 1000) % 1000:03d}"

    return read


def to_json(value: object) -> str:
    """JSON without invisible characters."""
    line = _encode(value)
    return line if line.isprintable() else _visible(line, escape=json.dumps)


def _visible(text: str, *, escape: Callable[[str], str] = ascii, kept: str = "") -> str:
    """`text` with invisible characters escaped by `escape`, except those in `kept`."""
    return "".join(char if char.isprintable() or char in kept else escape(char)[1:-1] for char in text)


def for_journald(style: str) -> Processor:
    """Puts the priority before each line (sd-daemon(3)), and no time: journald adds it."""
    render = json_lines(timed=False) if style == "json" else console(colours=False, timed=False)

    def prefixed(logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
        text = str(render(logger, level, event))
        return "".join(f"<{PRIORITIES[level]}>{line}" for line in text.splitlines(keepends=True))

    return prefixed


def json_lines(*, timed: bool = True) -> Processor:
    """One JSON object a line, with the time in UTC."""
    read_clock = _clock("%Y-%m-%dT%H:%M:%S", time.gmtime)

    def render(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
        time_ = {"time": read_clock() + "Z"} if timed else {}
        line = {**time_, "level": level, "event": event.pop("event"), **event}
        return to_json(line) + "\n"

    return render


def console(*, colours: bool, timed: bool = True) -> Processor:
    """Words and `key=value`, with the local time."""
    read_clock = _clock("%Y-%m-%d %H:%M:%S", time.localtime)
    levels = {level: f"{level:<8}" for level in PRIORITIES}
    if colours:
        levels |= {level: f"{colour}{levels[level]}\x1b[0m" for level, colour in _COLOURS.items()}

    def render(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
        trace = event.pop("exception", None)
        stamp = f"{read_clock()} " if timed else ""
        line = f"{stamp}{levels[level]} {word(event.pop('event'))}{_words(event)}\n"
        return line if trace is None else line + indent(_visible(str(trace), kept="\n\t"), "    ") + "\n"

    return render


def _words(fields: Mapping[str, object]) -> str:
    """The fields as words, with a space before each."""
    plain = "".join([f" {key}={value!s}" for key, value in fields.items()])
    # Nearly all lines need neither quotes nor escapes, and one look at the whole line is cheaper than one at each word.
    if plain.isprintable() and plain.count(" ") == len(fields) and "= " not in f"{plain} ":
        return plain
    return "".join([f" {key}={word(value)}" for key, value in fields.items()])


def word(value: object) -> str:
    """`value` as one word: quoted if it has spaces, escaped if it has invisible characters."""
    text = str(value)
    if text.isprintable() and text and " " not in text:
        return text
    return text if isinstance(value, dict | list | tuple) and text.isprintable() else repr(text)
