"""The trace of a run: what happened, line by line, and a hash of all of it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

KEPT = 20_000
"""The latest lines that are kept for people."""


class Trace:
    """Call it with what happened. `now`: the seconds since the beginning."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._hash = now, hashlib.sha256()
        self.lines: deque[str] = deque(maxlen=KEPT)
        self.count = 0

    def __call__(self, event: str, **fields: object) -> None:
        words = [f"{name}={value}" for name, value in fields.items()]
        line = f"{_when(self._now())} {' '.join((event, *words))}"
        self._hash.update(line.encode() + b"\n")
        self.lines.append(line)
        self.count += 1

    @property
    def digest(self) -> str:
        """The hash of all lines so far."""
        return self._hash.hexdigest()


def _when(seconds: float) -> str:
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    return f"{days:.0f}d {hours:02.0f}:{minutes:02.0f}:{seconds:06.3f}"
