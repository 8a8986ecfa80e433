"""Hours in which nobody is written to unasked."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

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
        """When the quiet hours end in which the time `now` is (Unix seconds); None if it is in none.

        Where clocks are set back, they begin when the clock shows `start` for the first time, and end when it shows
        `end` for the last time. Where clocks are set forward and skip one of these, it is at that moment.
        """
        end = self._end_of_one_day(now)
        while end is not None and (later := self._end_of_one_day(end)):
            end = later
        return end

    def _end_of_one_day(self, now: float) -> float | None:
        """The same for the quiet hours of one day; those of the next may begin at once, where a day is skipped."""
        if self.start is None or self.end is None:
            return None
        today, nights = datetime.fromtimestamp(now, self.zone).date(), timedelta(days=self.end <= self.start)
        for day in (today + timedelta(days=days) for days in (-1, 0, 1)):
            end = self._moment(day + nights, self.end, fold=1)
            if now < end and now >= self._moment(day, self.start, fold=0):
                return end
        return None

    def _moment(self, day: date, clock: time, fold: int) -> float:
        """When the zone's clock shows this for the first (`fold` 0) or the last time (1), or skips it."""
        shown = datetime.combine(day, clock, self.zone)
        first, last = (int(shown.replace(fold=each).timestamp()) for each in (0, 1))
        if first <= last:
            return (first, last)[fold]
        # It is skipped: `first` is by the offset of before, which is later, and `last` by that of afterwards.
        return last + bisect_right(range(last, first), self._offset(last), key=self._offset)

    def _offset(self, at: float) -> timedelta:
        return datetime.fromtimestamp(at, self.zone).utcoffset() or timedelta()

    def wait(self, now: float) -> Wait | None:
        """Until when a bulk message waits; None if it may leave."""
        ends = self.end_at(now)
        if ends is None:
            return None
        until = datetime.fromtimestamp(ends, self.zone)
        return Wait(ends, f"Quiet hours until {until:%H:%M}", "quiet_hours")
