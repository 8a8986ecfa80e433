"""The handler of send jobs: rate limits, checks, the request to Meta, and the outcome of its answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from wabot.core import may_send, meta_errors
from wabot.core.after_failure import after_failure
from wabot.core.exceptions import DeliveryError, Scope, Unavailable, Unclear
from wabot.core.jobs import Event, Halt, Job, Outcome, Policy
from wabot.core.may_send import BulkWaits, Wait, never
from wabot.core.messaging_limit import CODE, MessagingLimit
from wabot.core.outage_detection import Blame, Outages, concerns
from wabot.core.rate_limits import PAIR_LIMIT, Bucket, PairLedger
from wabot.core.sends_in_flight import MOST, SendsInFlight


class Graph(Protocol):
    """Sends a request to Meta. Raises DeliveryError."""

    async def send(self, request: Mapping[str, Any]) -> meta_errors.Accepted: ...


class Limits:
    """Meta's two rate limits, and the messaging limit. The throughput limit also counts inbound messages."""

    def __init__(self, bucket: Bucket, pairs: PairLedger) -> None:
        self.bucket, self.pairs, self.people = bucket, pairs, MessagingLimit()

    def seconds(self, count: int, *, now: float) -> float:
        """How long it takes to send so many messages to people who have been silent for a day."""
        rate = self.bucket.allowed
        return max(count / rate if rate else 0.0, self.people.seconds(count, now))

    def remember(self, sent: Iterable[tuple[int, float]], now: float) -> None:
        """Count what was sent before a restart: (contact id, time), oldest first."""
        for contact_id, at in sent:
            self.pairs.spend(contact_id, min(at, now))
            if now - at < 1:
                self.bucket.spend(1, now)


class Sends:
    """The handler of send jobs. `at_once`: the most requests in flight; the rate needs fewer, if Meta is fast."""

    def __init__(
        self,
        meta: Graph,
        *,
        limits: Limits,
        policy: Policy,
        clock: Callable[[], float],
        noise: Callable[[], float] = random.random,
        at_once: int = MOST,
        bulk_waits: BulkWaits = never,
    ) -> None:
        self._in_flight = SendsInFlight(at_once)
        self._meta, self._limits, self._policy = meta, limits, policy
        self._clock, self._noise, self._bulk_waits = clock, noise, bulk_waits
        self._outages = Outages()
        self.meta_works: bool | None = None

    def room(self, now: float) -> float:
        """How many messages may leave now, by the throughput limit and by those on their way."""
        return min(self._limits.bucket.room(now), self._in_flight.room(self._limits.bucket.rate))

    def room_in(self, now: float) -> float:
        """When the throughput limit allows one more; `inf` until one of those on their way has ended."""
        return self._limits.bucket.wait(now) if self._in_flight.room(self._limits.bucket.rate) >= 1 else float("inf")

    def started(self, count: int, now: float) -> None:
        """Claimed jobs count as sent; those that do not leave are given back."""
        self._limits.bucket.spend(count, now)
        self._in_flight.begin(count)

    async def handle(self, job: Job) -> Outcome:
        """Send one message to Meta; its answer decides the outcome."""
        try:
            return await self._send(job)
        finally:
            self._in_flight.end()

    async def _send(self, job: Job) -> Outcome:
        now = self._clock()
        outcome = may_send.check(job, now, attempts=self._policy.attempts, bulk_waits=self._bulk_waits)
        outcome = outcome or self._pair_wait(job, now) or self._place_wait(job, now)
        if outcome is not None or job.outgoing is None:
            self._outages.over(job.contact.id)
            self._limits.bucket.spend(-1, now)
            return outcome or self.gave_up(job, "there is no message to send")
        self._limits.pairs.spend(job.contact.id, now)
        person, people, first = job.contact.address, self._limits.people, _writes_first(job, now)
        before = people.spend(person, now) if first else None
        try:
            accepted = await self._meta.send(meta_errors.request(job.contact, job.outgoing.content, tag=job.tag))
        except DeliveryError as error:
            if first and not isinstance(error, Unclear):
                people.give_back(person, before)
            return self._after_failure(job, error)
        self._in_flight.answered(self._clock() - now)
        self._limits.pairs.calm(job.contact.id)
        self._outages.accepted(job.contact.id)
        self.meta_works = True
        return Outcome(Event.SUCCEED, wamid=accepted.wamid, wa_id=accepted.wa_id, answer=accepted.answer)

    def gave_up(self, job: Job, error: str) -> Outcome:
        """A bug: never retried automatically, since it might be sent twice; a receipt may still prove it."""
        return Outcome(Event.GIVE_UP, error=error, code="internal")

    def _pair_wait(self, job: Job, now: float) -> Outcome | None:
        free_at = self._limits.pairs.free_at(job.contact.id, now)
        if free_at <= now:
            return None
        return Outcome(Event.RETRY, due_at=free_at, spent=False, error="Waits for the pair limit", code=PAIR_LIMIT)

    def _place_wait(self, job: Job, now: float) -> Outcome | None:
        people = self._limits.people
        free_at = people.free_at(job.contact.address, now) if _writes_first(job, now) else now
        if free_at <= now:
            return None
        again = f"there is room again at {datetime.fromtimestamp(free_at, UTC):%Y-%m-%d %H:%M} UTC"
        return may_send.held(Wait(free_at, f"Meta allows {people.most:.0f} new people in 24 hours: {again}", CODE))

    def _after_failure(self, job: Job, error: DeliveryError) -> Outcome:
        now = self._clock()
        outcome = after_failure(
            error, spent=job.spent, attempt=job.attempt, policy=self._policy, now=now, noise=self._noise(),
            blame=self._blame(job, error, now),
        )  # fmt: skip
        # A number is Graph's own code, so Graph works, even if a person must act. Our own codes are transport errors.
        answers = isinstance(error.code, int) and not isinstance(error, Unclear)
        self.meta_works = answers and outcome.halt is not Halt.OUTAGE
        if outcome.event is Event.GIVE_UP:
            self._outages.over(job.contact.id)
        if not isinstance(error, Unavailable):
            return outcome
        self._limits.pairs.refund(job.contact.id)
        if error.scope is Scope.NUMBER and not concerns(error):
            self._limits.bucket.slow_down(now, error.wait or 0.0)
        elif error.scope is Scope.CONTACT and outcome.event is Event.RETRY:
            wait = self._limits.pairs.complain(job.contact.id, now)
            outcome = replace(outcome, due_at=max(outcome.due_at, now + wait))
        return outcome

    def _blame(self, job: Job, error: DeliveryError, now: float) -> Blame:
        if concerns(error):
            unclear = isinstance(error, Unclear)
            return self._outages.failed(job.contact.id, attempt=job.attempt, now=now, unclear=unclear)
        self._outages.over(job.contact.id)
        return Blame.MESSAGE


def _writes_first(job: Job, now: float) -> bool:
    """Whether Meta counts the message against the messaging limit: it goes to somebody who is silent for a day."""
    return not job.contact.window_is_open(now)
