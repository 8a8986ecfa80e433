"""Hours in which nobody is written to unasked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from wabot.core.may_send import Wait

_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end` by the clocks of `zone`, over midnight if `end` is not later. Both None: never."""

    start: time | None = None
    end: time | None = None
    zone: tzinfo = UTC

    @classmethod
    def of(cls, text: str, zone: tzinfo) -> QuietHours:
        """From a text such as "21:00-08:00"; "" is never. Raises ValueError."""
        if not text:
            return cls()
        match = _SPAN.fullmatch(text.strip())
        if match is None:
            raise ValueError('must be like "21:00-08:00"')
        hours = list(map(int, match.groups()))
        start, end = time(hours[0], hours[1]), time(hours[2], hours[3])
        if start == end:
            raise ValueError("must end at another time than it begins")
        return cls(start, end, zone)

    def end_at(self, now: float) -> float | None:
        """When the quiet hours end in which the time `now` is (Unix seconds); None if it is in none."""
        if self.start is None or self.end is None:
            return None
        local = datetime.fromtimestamp(now, self.zone)
        clock, over_midnight = local.time(), self.end <= self.start
        if over_midnight and (clock >= self.start or clock < self.end):
            day = local.date() + timedelta(days=clock >= self.start)
        elif not over_midnight and self.start <= clock < self.end:
            day = local.date()
        else:
            return None
        # Where clocks were set back within the hour, the end of the same name may be past: the second one is meant.
        ends = (datetime.combine(day, self.end, self.zone).replace(fold=fold).timestamp() for fold in (0, 1))
        return next((at for at in ends if at > now), None)

    def wait(self, now: float) -> Wait | None:
        """Until when a bulk message waits; None if it may leave."""
        ends = self.end_at(now)
        if ends is None:
            return None
        until = datetime.fromtimestamp(ends, self.zone)
        return Wait(ends, f"Quiet hours until {until:%H:%M}", "quiet_hours")
