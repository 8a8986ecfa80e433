"""Limits how often the same kind of event is logged."""

from __future__ import annotations

from dataclasses import dataclass, field

REMEMBERED = 1000


@dataclass(slots=True)
class Throttle:
    """Reports the first event of each kind at once, and later ones every `seconds`, with their number."""

    seconds: float = 60.0
    _kinds: dict[str, tuple[float, int]] = field(default_factory=dict)

    def count(self, kind: str, now: float) -> int:
        """Count an event; the number of events to report now, 0 if it is not time yet."""
        reported_at, unreported = self._kinds.get(kind, (float("-inf"), 0))
        if 0 <= now - reported_at < self.seconds:
            self._kinds[kind] = reported_at, unreported + 1
            return 0
        if len(self._kinds) >= REMEMBERED:
            self._kinds.clear()
        self._kinds[kind] = now, 0
        return unreported + 1
