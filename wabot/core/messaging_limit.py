"""Meta's messaging limit: to how many people a business may write first within 24 hours.

It counts each person who is written to outside of the 24-hour window once, over a moving day, for all numbers of a
business portfolio together. Meta names it for the number (`whatsapp_business_manager_messaging_limit`) and reports each
change (`max_daily_conversations_per_business`).
https://developers.facebook.com/documentation/business-messaging/whatsapp/messaging-limits
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from wabot.core.rate_limits import LATE_SECONDS

DAY = 86400.0
CODE = "messaging_limit"
"""The code of what waits for it."""


class MessagingLimit:
    """The people to whom a portfolio wrote first in the last day, and a place for each who does not fit.

    `most`: Meta's limit; `inf` where there is none or it is not known. Times are Unix seconds.
    """

    def __init__(self) -> None:
        self.most = math.inf
        self._written: dict[str, float] = {}  # oldest first
        self._places: deque[float] | None = None

    def used(self, now: float) -> int:
        """How many people count at present."""
        self._let_go(now)
        return len(self._written)

    def allow(self, most: float) -> None:
        """Meta names a limit."""
        if most != self.most:
            self.most, self._places = most, None

    def free_at(self, person: str, now: float) -> float:
        """When a message may leave to a person who has not written for a day; `now` if at once.

        Each who waits is given another place, in the order in which places become free, so that they come back one by
        one. Nobody waits longer than a day: then they ask again.
        """
        self._let_go(now)
        if person in self._written or len(self._written) < self.most:
            return now
        return min(self._next_place(now), now + DAY)

    def spend(self, person: str, now: float) -> float | None:
        """Count a message that leaves. Returns what `give_back` takes if Meta refuses it."""
        if self.most == math.inf:
            return None  # where nothing is limited nothing is remembered: `recount` comes when Meta names a limit
        before = self._written.pop(person, None)
        self._written[person] = now
        return before

    def give_back(self, person: str, before: float | None) -> None:
        """Meta refused the message: whether it counts is as before."""
        self._written.pop(person, None)
        if before is not None:
            self._written[person] = before

    def recount(self, written: Iterable[tuple[str, float]], *, known_from: float) -> None:
        """Replace what is known by what journals say: (person, when they were written to), in any order.

        `known_from`: what was counted since stays, for it may not be in a journal yet.
        """
        known = [(person, at) for person, at in self._written.items() if at >= known_from]
        self._written = {}
        for person, at in sorted([*written, *known], key=lambda one: one[1]):
            self._written.pop(person, None)
            self._written[person] = at
        self._places = None

    def room(self, now: float) -> float:
        """To how many more people the portfolio may write now."""
        return max(self.most - self.used(now), 0)

    def seconds(self, people: int, now: float) -> float:
        """How long it takes at the most until so many more people are written to."""
        beyond = people - self.room(now)
        return math.ceil(beyond / self.most) * DAY if beyond > 0 else 0.0

    def _let_go(self, now: float) -> None:
        """Forget those of more than a day ago. If the clock was set back, all times move with it."""
        if self._written and (back := next(reversed(self._written.values())) - now) > LATE_SECONDS:
            self._written = {person: at - back for person, at in self._written.items()}
            self._places = None
        while self._written and (oldest := next(iter(self._written.items())))[1] <= now - DAY:
            del self._written[oldest[0]]

    def _next_place(self, now: float) -> float:
        if self._places is None:  # a place is free a day after who had it, and again a day after who got it then
            self._places = deque([at + DAY for at in self._written.values()][-int(self.most) :])
        while True:
            place = self._places.popleft()
            self._places.append(max(place, now) + DAY)
            if place > now:
                return place
