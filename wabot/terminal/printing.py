"""How the commands print: JSON for programs, and words for people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any


def line(text: str) -> None:
    """A line on stdout."""
    print(text, flush=True)  # noqa: T201


def note(text: str) -> None:
    """A line beside the output, on stderr, so that programs do not read it."""
    print(f"wabot: {text}", file=sys.stderr, flush=True)  # noqa: T201


def as_json(answer: Any, *, indent: int | None = 2) -> None:
    """A value for programs."""
    line(json.dumps(answer, indent=indent, ensure_ascii=False))


def clock(seconds: float | str) -> str:
    """A time of this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(seconds)))


def one_line(text: str | None) -> str:
    """A text without line ends, and without what could move the cursor: strangers write it."""
    return " ".join("".join(char if char.isprintable() else " " for char in text or "").split())


def message(one: Mapping[str, Any]) -> str:
    """A message as a line: when, which way, what, and what became of it."""
    out = one.get("direction") == "out"
    became = f"  [{one['status']}{': ' + one['error'] if one.get('error') else ''}]" if out else ""
    return f"{clock(one['timestamp'])}  {'→' if out else '←'} {one_line(one['body'])}{one_line(became) and became}"
