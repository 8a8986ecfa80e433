"""Meta's rate limits as budgets, so that we stay below them.

`Bucket`: messages per second of our number, in and out. https://developers.facebook.com/documentation/business-messaging/whatsapp/throughput
`PairLedger`: messages to one person. https://developers.facebook.com/documentation/business-messaging/whatsapp/about-the-platform
Both take the time as an argument, in seconds of any steady clock, and can be given what was sent before.
"""

from __future__ import annotations

RECOVERY_SECONDS = 60.0
"""How long the bucket takes to recover from half its rate to the full rate after a rate-limit error."""

PAUSE_MAX_SECONDS = 3600.0
"""The longest pause, however long Meta asks us to wait: an app's calls are counted by the hour.
https://developers.facebook.com/docs/graph-api/overview/rate-limiting"""

PAIR_LIMIT, PAIR_LIMIT_HIT = "pair_limit", 131056
"""The codes of a send that waits for the limit of its person: as we keep it, and as Meta names it.
https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes"""

LATE_SECONDS = 10.0
"""If a time is earlier than the latest one seen by up to this, it is a late report; by more, the clock was set back."""


class Bucket:
    """A token bucket of `rate` messages per second; rate 0 means no limit.

    It holds messages for a twentieth of a second, at least one, and refills at 0.95 of the rate, so that no second
    [t, t + 1) sees more than `rate` messages. A time earlier than the latest one refills nothing. Meta counts sent and
    received messages together, so `spend` may overdraw: received messages cannot be held back.
    """

    def __init__(self, rate: float, now: float) -> None:
        self._setting = self._allowed = self._rate = rate
        self._at = now
        self._tokens = self._depth
        self._slowed_at = self._closed_until = float("-inf")

    @property
    def rate(self) -> float:
        """Messages per second at present: the allowed rate, or less after a rate-limit error."""
        return self._rate

    @property
    def allowed(self) -> float:
        """Messages per second as configured, or fewer if Meta allows fewer; 0: no limit."""
        return self._allowed

    def room(self, now: float) -> float:
        """How many messages may leave now; below 1: none. `now` is the present."""
        self._refill(self._present(now))
        if now < self._closed_until:
            return 0.0
        return self._tokens if self._allowed else float("inf")

    def wait(self, now: float) -> float:
        """Seconds until one message may leave. `now` is the present."""
        room = self.room(now)
        if now < self._closed_until:
            return self._closed_until - now
        return 0.0 if room >= 1 else self._at - now + (1 - room) / self._refill_rate

    def spend(self, count: int, now: float) -> None:
        """Count messages, sent or received; a negative count gives back messages that were not sent after all.

        `now` may be in the past, such as when a webhook came whose commit was slow.
        """
        if self._allowed:
            self._refill(now)
            self._tokens = min(max(self._tokens - count, -self._allowed), self._depth)

    def allow(self, rate: float) -> None:
        """Meta accepts `rate` messages per second from now on: use that rate at once, up to the configured one."""
        self._allowed = self._rate = min(self._setting, rate)

    def slow_down(self, now: float, pause: float = 0.0) -> None:
        """Rate-limit error: nothing leaves for `pause` seconds, the bucket is emptied and its rate halved.

        The rate recovers slowly. All requests in flight may fail together, so errors within a second count once.
        """
        self._present(now)
        self._closed_until = max(self._closed_until, now + min(pause, PAUSE_MAX_SECONDS))
        if self._allowed and now >= self._slowed_at + 1:
            self._refill(now)
            self._slowed_at = now
            self._tokens = min(self._tokens, 0.0)
            self._rate = max(self._rate / 2, self._allowed / 16)

    @property
    def _depth(self) -> float:
        return max(self._rate / 20, 1.0)

    @property
    def _refill_rate(self) -> float:
        return self._rate * 0.95

    def _present(self, now: float) -> float:
        """The present. If the clock was set back, the stored times move with it, so that nothing refills or freezes."""
        back = self._at - now
        if back > LATE_SECONDS:
            self._at, self._slowed_at, self._closed_until = now, self._slowed_at - back, self._closed_until - back
        return now

    def _refill(self, now: float) -> None:
        elapsed = max(now - self._at, 0.0)
        self._at += elapsed
        self._tokens = min(self._tokens + elapsed * self._refill_rate, self._depth)
        self._rate = min(self._rate + elapsed * self._allowed / 2 / RECOVERY_SECONDS, self._allowed)


class PairLedger:
    """One message per `interval` seconds to each person, with bursts that are paid for afterwards.

    A person whose allowance is whole may get up to `burst` messages within one interval, and then none for as long as
    these would have taken one by one: 20 messages at 6 s take two minutes.
    """

    def __init__(self, interval: float, burst: int) -> None:
        self._interval, self._burst = interval, burst
        self._bursts: dict[int, tuple[float, int]] = {}
        self._strikes: dict[int, tuple[int, float]] = {}

    def free_at(self, contact_id: int, now: float) -> float:
        """When the next message to this person may leave; `now` if it may leave at once."""
        began, count = self._burst_of(contact_id, now)
        paid_at = began + count * self._interval
        in_burst = count < self._burst and now < began + self._interval
        return now if in_burst or paid_at <= now else paid_at

    def spend(self, contact_id: int, now: float) -> None:
        """Count a message to this person."""
        began, count = self._burst_of(contact_id, now)
        if began + count * self._interval <= now:
            began, count = now, 0
        self._bursts[contact_id] = began, count + 1

    def _burst_of(self, contact_id: int, now: float) -> tuple[float, int]:
        """When the current burst began, and its number of messages; it begins anew if the clock was set back."""
        began, count = self._bursts.get(contact_id, (now, 0))
        if began - now > LATE_SECONDS:
            began = now
            self._bursts[contact_id] = began, count
        return began, count

    def refund(self, contact_id: int) -> None:
        """Give back the message counted last: it never left."""
        began, count = self._bursts.get(contact_id, (0.0, 0))
        if count > 1:
            self._bursts[contact_id] = began, count - 1
        else:
            self._bursts.pop(contact_id, None)

    def complain(self, contact_id: int, now: float) -> float:
        """Meta answered 131056 (pair limit): seconds to wait, 4 to the power of such errors in a row, as Meta says."""
        strikes, _ = self._strikes.get(contact_id, (0, now))
        longest = self._interval * self._burst
        wait = min(4.0 ** min(strikes, 16), longest)
        self._strikes[contact_id] = strikes + 1, now + wait + longest
        return wait

    def calm(self, contact_id: int) -> None:
        """Meta accepted a message to this person: end the series of errors."""
        self._strikes.pop(contact_id, None)

    def forget(self, now: float) -> None:
        """Drop the people whose allowance is whole again, and old error series."""
        self._bursts = {key: burst for key, burst in self._bursts.items() if burst[0] + burst[1] * self._interval > now}
        self._strikes = {key: strike for key, strike in self._strikes.items() if strike[1] > now}


class Pace:
    """`burst` turns at once for each person, then one per `interval` seconds. An interval of 0 means no limit."""

    def __init__(self, interval: float, burst: int) -> None:
        self._interval, self._ahead = interval, interval * (burst - 1)
        self._paid_at: dict[int, float] = {}

    def free_at(self, contact_id: int, now: float) -> float:
        """When this person may have the next turn; `now` if at once. A clock that was set back makes nobody wait."""
        paid_at = min(self._paid_at.get(contact_id, now), now + self._ahead + self._interval)
        return max(now, paid_at - self._ahead)

    def spend(self, contact_id: int, now: float) -> None:
        """Count a turn, and drop people whose allowance is whole again; the cost is amortised over the turns."""
        if self._interval:
            paid_at = max(self._paid_at.pop(contact_id, now), now) + self._interval
            self._paid_at[contact_id] = paid_at
            while (oldest := next(iter(self._paid_at))) != contact_id and self._paid_at[oldest] <= now:
                del self._paid_at[oldest]
