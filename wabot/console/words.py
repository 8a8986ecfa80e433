"""How values are shown: times, durations, numbers of bytes, addresses. Filters of the templates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def iso(at: float | str | None) -> str:
    """Unix seconds as ISO 8601, for <time>; the browser shows it in its own zone."""
    return "" if at is None else datetime.fromtimestamp(float(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_time(at: float | str | None) -> str:
    """Unix seconds as a time of day in UTC, where there is no script."""
    return "" if at is None else datetime.fromtimestamp(float(at), UTC).strftime("%H:%M")


def duration(seconds: float | None) -> str:
    """A duration in its largest unit: "4 min"."""
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def initials(name: str) -> str:
    """The letters in a contact's circle."""
    letters = [word[0] for word in name.split() if word[0].isalnum()]
    return "".join(letters[:2]).upper() or "#"


def address(path: str, asked: Mapping[str, Any]) -> str:
    """A path with a query of what is not empty."""
    query = "&".join(f"{name}={quote(str(value))}" for name, value in asked.items() if value not in (None, ""))
    return f"{path}?{query}" if query else path


FILTERS: Mapping[str, Callable[..., str]] = {
    "iso": iso, "clock_time": clock_time, "duration": duration, "megabytes": megabytes, "pretty": pretty,
    "initials": initials, "quoted": lambda text: quote(str(text), safe=""),
}  # fmt: skip
