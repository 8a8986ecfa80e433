"""A lane: claims due jobs, handles and settles them. It sleeps until a job is due, and no job can stop it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from wabot.core.claim_gathering import GATHER_SECONDS, Gathering
from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Event, Halt, Job, Kind, Outcome, State
from wabot.core.pauses_and_probes import LanePause, Pausing
from wabot.log import get_logger

IDLE_SECONDS, QUIET_SECONDS = 60.0, 600.0
"""The longest sleep of a lane: with jobs, in case the clock is set; without any, in case a wake-up is missed."""

JOURNAL_RETRY_SECONDS = 1.0

_SETTLED = {Kind.REPLY: "reply.settled", Kind.SEND: "send.settled", Kind.EVENT: "event.settled"}

log = get_logger()


class Source(Protocol):
    """The journal, as a lane needs it."""

    async def claim(self, kind: Kind, *, limit: int, now: float) -> list[Job]: ...
    async def settle(self, job: Job, outcome: Outcome, now: float) -> State | None: ...
    async def next_due(self, kind: Kind) -> float | None: ...


class Handler(Protocol):
    """Handles the jobs of one kind."""

    def room(self, now: float) -> float:
        """How many more jobs may start now."""

    def room_in(self, now: float) -> float:
        """Seconds until one more job may start."""

    def started(self, count: int, now: float) -> None:
        """`count` jobs were claimed."""

    async def handle(self, job: Job) -> Outcome:
        """Do the job; its outcome. Raises JournalDown if nothing was done yet; any other exception is a bug."""

    def gave_up(self, job: Job, error: str) -> Outcome:
        """The outcome of a job that cannot be handled."""


Settled = Callable[[Job, Outcome, State | None], None]


class Lane:
    """Works off one kind of job, `concurrency` at a time.

    When no job gets through (`Outcome.halt`), it pauses and sends one job at a time as a probe, at growing intervals up
    to PROBE_SECONDS, until one succeeds. If a receipt caused the pause, Meta had accepted that message, so a successful
    probe is on trial until no such receipt has followed for a while.
    """

    def __init__(
        self,
        kind: Kind,
        source: Source,
        handler: Handler,
        *,
        concurrency: int,
        clock: Callable[[], float],
        on_settled: Settled = lambda _job, _outcome, _state: None,
        on_change: Callable[[Lane], None] = lambda _lane: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        noise: Callable[[], float] = random.random,
    ) -> None:
        self.kind = kind
        self._pausing = Pausing()
        self._source, self._handler = source, handler
        self._concurrency, self._clock, self._on_settled = concurrency, clock, on_settled
        self._gathering = Gathering(concurrency)
        self._on_change = on_change
        self._sleep, self._noise = sleep, noise
        self._running: set[asyncio.Task[None]] = set()
        self._awake = asyncio.Event()
        self._alarm = 0.0
        self._alive = self._stopping = self._waiting = self._more = self._idle = self._expects = False
        self._over = asyncio.Event()
        self._over.set()

    @property
    def paused(self) -> LanePause | None:
        """Why the lane is paused; None while it is not."""
        return self._pausing.pause

    @property
    def state(self) -> str:
        """running, paused, or stopped."""
        if self._stopping or not self._alive:
            return "stopped"
        return "running" if self.paused is None else "paused"

    @property
    def in_flight(self) -> int:
        """Number of jobs being handled."""
        return len(self._running)

    def wake(self, due: float = 0.0) -> None:
        """A job is due at `due` (0: now): look for it then, unless the lane looks earlier anyway."""
        now = self._clock()
        due, clock_was_set_forward = max(due, self._gathered_at(now)), now >= self._alarm
        if due < self._alarm or clock_was_set_forward:
            self._alarm, self._expects = min(due, self._alarm), True
            self._awake.set()

    async def run(self) -> None:
        """Work until `drain` is called."""
        self._alive = True
        self._over.clear()
        try:
            while not self._stopping:
                await self._turn()
        finally:
            self._alive = False
            self._over.set()

    async def drain(self, timeout: float) -> int:
        """Claim no more, and wait up to `timeout` seconds for jobs in flight; how many did not end in time."""
        self._stopping, self._alarm = True, 0.0
        self._awake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._over.wait()  # a claim in progress still returns jobs
                while self._running:
                    await asyncio.wait(self._running)
        late = set(self._running)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)

    def pause(
        self, reason: str, code: int | str | None = None, halt: Halt = Halt.BLOCKED, *, by_receipt: bool = False
    ) -> None:
        """Pause for `reason`, with Meta's `code` or our own: send only probes from now on.

        `by_receipt`: Meta had accepted the message and failed it by receipt, so an accepted probe alone proves nothing.
        """
        begins = self.paused is None
        pause = LanePause(reason, code, halt)
        if self._pausing.add(pause, self._clock(), noise=self._noise(), by_receipt=by_receipt):
            if begins:
                log.info("lane.paused", lane=str(self.kind), reason=reason)
            self._on_change(self)

    def resume(self) -> None:
        """End the pause at once."""
        if self.paused is not None:
            log.info("lane.resumed", lane=str(self.kind))
            self._pausing.end()
            self._on_change(self)
            self.wake()

    def probe(self) -> None:
        """Send a probe now, if the lane is paused."""
        if self.paused is not None:
            self._pausing.probe_at_once(self._clock())
            self.wake()

    @property
    def next_probe(self) -> float | None:
        """When the next probe is sent, in Unix seconds; None if the lane is not paused."""
        return self._pausing.next_probe

    async def _turn(self) -> None:
        self._alarm = math.inf
        try:
            # Where nothing was due a claim would find nothing, and cost a commit: look first.
            if self._idle or not await self._claim():
                self._idle = await self._rest()
            self._waiting = False
        except JournalDown as error:
            if not self._waiting:
                log.warning("lane.waiting", lane=str(self.kind), reason=str(error))
            self._waiting = True
            await self._sleep(JOURNAL_RETRY_SECONDS)
        except Exception:  # a bug in a claimed job must not stop the other jobs
            log.exception("lane.broken", lane=str(self.kind))
            await self._sleep(IDLE_SECONDS)

    async def _claim(self) -> bool:
        """Claim and begin jobs; whether there may be more that are due."""
        now = self._clock()
        limit = self._room(now)
        if self._pausing.stands_trial(now) and not self._running:
            self.resume()
        if self.paused is not None:
            limit = min(limit, 1) if self._probe_in(now) <= 0 else 0
        if limit < 1 or self._gathered_at(now) > now:
            return False
        self._gathering.claimed(now)
        jobs = await self._source.claim(self.kind, limit=limit, now=now)
        self._handler.started(len(jobs), now)
        for job in jobs:
            task = asyncio.create_task(self._work(job), name=f"{self.kind} {job.id}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        self._more = len(jobs) == limit
        return self._more

    def _room(self, now: float) -> int:
        """How many more jobs may start now."""
        return int(min(self._concurrency - len(self._running), self._handler.room(now)))

    def _gathered_at(self, now: float) -> float:
        return self._gathering.until(now, len(self._running), self._room(now))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.wake()

    async def _rest(self) -> bool:
        """Sleep until the next job is due and may start, or until `wake` names an earlier time. True: none is due."""
        next_turn = await self._next_turn()  # may take a while, in which `wake` is called
        self._alarm = min(self._alarm, next_turn)
        while (wait := self._alarm - self._clock()) > 0:
            self._awake.clear()
            if not await self._woken_within(min(wait, IDLE_SECONDS if self._expects else QUIET_SECONDS)):
                return not self._expects and not self._awake.is_set()
        return False

    async def _woken_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._awake.wait()
        return False

    async def _next_turn(self) -> float:
        """When the next job is due and may start, as far as we know: in QUIET_SECONDS at the latest."""
        now = self._clock()
        self._expects = self.paused is not None or bool(self._running)
        wait = IDLE_SECONDS if self._expects else QUIET_SECONDS
        if len(self._running) < self._concurrency and self._alarm > now:
            due = now if self._more else await self._source.next_due(self.kind)
            if due is not None:
                self._expects = True
                present = self._clock()  # the query took time
                room_in = max(self._handler.room_in(present), self._probe_in(present))
                wait = min(IDLE_SECONDS, max(due - now, room_in, GATHER_SECONDS))
        if self._pausing.on_trial:
            wait = min(wait, max(self._probe_in(now), GATHER_SECONDS))
        return now + wait

    def _probe_in(self, now: float) -> float:
        wait = self._pausing.probe_in(now)
        return IDLE_SECONDS if self.paused is not None and self._running else wait

    async def _work(self, job: Job) -> None:
        seen = self._pausing.count
        try:
            outcome = await self._handle(job)
            if outcome.halt is not None:
                self.pause(outcome.error or "", outcome.code, outcome.halt)
            elif outcome.event is Event.SUCCEED and self._pausing.succeeded(seen, self._clock()):
                self.resume()
            state = await self._settle(job, outcome)
        except Exception:  # a bug, or a job that cannot be handled: only this job fails
            log.exception("job.broken", **describe(job))
            outcome = self._handler.gave_up(job, "internal error")
            state = await self._settle(job, outcome)
        self._on_settled(job, outcome, state)

    async def _handle(self, job: Job) -> Outcome:
        """The handler's outcome. If it could not use the journal, the job returns to the queue and uses up no try."""
        try:
            return await self._handler.handle(job)
        except JournalDown as error:
            wait = min(JOURNAL_RETRY_SECONDS * job.attempt, IDLE_SECONDS)
            return Outcome(Event.RETRY, due_at=self._clock() + wait, spent=False, error=str(error), code="journal")

    async def _settle(self, job: Job, outcome: Outcome) -> State | None:
        """Store the outcome, and retry until the journal accepts it: nothing else knows the outcome."""
        while True:
            try:
                state = await self._source.settle(job, outcome, self._clock())
            except JournalDown:
                await self._sleep(JOURNAL_RETRY_SECONDS)
                continue
            log.info(_SETTLED[self.kind], state=str(state or "already_settled"), **describe(job, outcome))
            return state


def describe(job: Job, outcome: Outcome | None = None) -> dict[str, object]:
    """The fields of a job for its log lines; with the error of its outcome, if there is one."""
    body = {"body": job.outgoing.body} if job.outgoing is not None else {}
    failed = {"error": outcome.error, "code": outcome.code} if outcome is not None and outcome.error is not None else {}
    return {"job": job.id, "contact": job.contact.address, "attempt": job.attempt, **body, **failed}
