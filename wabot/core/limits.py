"""Meta's limits kept as budgets, so that Meta never has to complain.

`Bucket`: messages per second of our number, both ways. https://developers.facebook.com/documentation/business-messaging/whatsapp/throughput
`PairLedger`: messages to one person. https://developers.facebook.com/documentation/business-messaging/whatsapp/about-the-platform
Both take the time as an argument, in seconds of any steady clock, and can be fed with what was already sent.
"""

from __future__ import annotations

RECOVERY_SECONDS = 60.0
"""How long the bucket takes to get back from half its rate to the whole one after Meta complained."""


class Bucket:
    """A token bucket of `rate` messages per second; rate 0 means no limit.

    It holds a twentieth of a second's worth and refills with the rest, so that no second ever sees more than `rate`.
    Meta counts what we send and what we receive together, so `spend` may overdraw: what came in has come in.
    """

    def __init__(self, rate: float, now: float) -> None:
        self._allowed = rate
        self._rate = rate
        self._at = now
        self._tokens = self._depth

    @property
    def rate(self) -> float:
        """Messages per second at present: the allowed rate, or less after Meta complained."""
        return self._rate

    def room(self, now: float) -> float:
        """How many messages may leave now; below 1 there is none."""
        if self._allowed == 0:
            return float("inf")
        self._refill(now)
        return self._tokens

    def wait(self, now: float) -> float:
        """Seconds until there is room for one."""
        room = self.room(now)
        return 0.0 if room >= 1 else (1 - room) / self._refill_rate

    def spend(self, count: int, now: float) -> None:
        """Count messages, sent or received; a negative count gives back what was not sent after all."""
        if self._allowed:
            self._refill(now)
            self._tokens = min(max(self._tokens - count, -self._allowed), self._depth)

    def slow_down(self, now: float) -> None:
        """Meta said 130429: empty the bucket and halve its rate; it recovers by and by."""
        if self._allowed:
            self._refill(now)
            self._tokens = min(self._tokens, 0.0)
            self._rate = max(self._rate / 2, self._allowed / 16)

    @property
    def _depth(self) -> float:
        return max(self._rate / 20, 1.0)

    @property
    def _refill_rate(self) -> float:
        return max(self._rate - self._depth, self._rate / 2)

    def _refill(self, now: float) -> None:
        elapsed = max(now - self._at, 0.0)
        self._at = now
        self._tokens = min(self._tokens + elapsed * self._refill_rate, self._depth)
        self._rate = min(self._rate + elapsed * self._allowed / 2 / RECOVERY_SECONDS, self._allowed)


class PairLedger:
    """One message per `interval` seconds to each person; bursts of up to `burst` are borrowed from the future.

    One number per person tells it all: the time until which their allowance is spent (a leaky bucket).
    """

    def __init__(self, interval: float, burst: int) -> None:
        self._interval = interval
        self._credit = interval * burst
        self._spent_until: dict[int, float] = {}
        self._strikes: dict[int, int] = {}

    def free_at(self, contact_id: int, now: float) -> float:
        """When the next message to this person may leave; `now` if it may leave at once."""
        return max(now, self._spent_until.get(contact_id, now) + self._interval - self._credit)

    def spend(self, contact_id: int, now: float) -> None:
        """Count a message to this person."""
        self._spent_until[contact_id] = max(self._spent_until.get(contact_id, now), now) + self._interval
        self._strikes.pop(contact_id, None)

    def complain(self, contact_id: int, now: float) -> float:
        """Meta said 131056: the seconds to wait, 4 to the power of the complaints in a row, as Meta advises."""
        strikes = self._strikes[contact_id] = self._strikes.get(contact_id, -1) + 1
        self._spent_until[contact_id] = max(self._spent_until.get(contact_id, now), now)
        return min(4.0**strikes, self._credit)

    def forget(self, now: float) -> None:
        """Drop the people whose allowance is whole again."""
        for contact_id in [key for key, until in self._spent_until.items() if until <= now]:
            del self._spent_until[contact_id]
            self._strikes.pop(contact_id, None)
