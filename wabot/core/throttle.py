"""What happens often is worth a line now and then."""

from __future__ import annotations

from dataclasses import dataclass, field

REMEMBERED = 1000


@dataclass(slots=True)
class Throttle:
    """Lets the first of each kind through at once, and later ones every `seconds`, with how many there were."""

    seconds: float = 60.0
    _kinds: dict[str, tuple[float, int]] = field(default_factory=dict)

    def count(self, kind: str, now: float) -> int:
        """One more of a kind: how many to speak of now; 0 = it is not time yet."""
        spoken_at, unspoken = self._kinds.get(kind, (float("-inf"), 0))
        if 0 <= now - spoken_at < self.seconds:
            self._kinds[kind] = spoken_at, unspoken + 1
            return 0
        if len(self._kinds) >= REMEMBERED:
            self._kinds.clear()
        self._kinds[kind] = now, 0
        return unspoken + 1
