"""The chart of the last hour, as numbers that a template draws: no script is needed for sixty bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wabot.monitor.rates import Minute

WIDTH, HEIGHT = 600, 96
"""Of the drawing, in its own units."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A minute: where it stands, and how high sends and replies reach from the bottom."""

    x: float
    width: float
    sends: float
    replies: float
    minute: Minute


@dataclass(frozen=True, slots=True)
class Chart:
    """`top`: what the full height stands for. `sends`, `replies`: of the last full minute."""

    bars: Sequence[Bar]
    top: int
    sends: int
    replies: int
    width: int = WIDTH
    height: int = HEIGHT


def of(minutes: Sequence[Minute]) -> Chart:
    """The chart of these minutes, oldest first."""
    top = max(5, *(max(each.sends, each.replies) for each in minutes))
    step = WIDTH / len(minutes)
    bars = [
        Bar(place * step, step / 2 - 0.5, each.sends / top * HEIGHT, each.replies / top * HEIGHT, each)
        for place, each in enumerate(minutes)
    ]
    return Chart(bars, top, minutes[-2].sends, minutes[-2].replies)
