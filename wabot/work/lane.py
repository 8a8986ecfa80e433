"""A lane: claim what is due, handle it, settle it. It sleeps until something is due, and it never dies of one job."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from wabot.core.errors import JournalDown
from wabot.core.jobs import Event, Halt, Job, Kind, Outcome, State
from wabot.core.pausing import LanePause, Pausing
from wabot.log import get_logger

IDLE_SECONDS = 30.0
"""How long a lane sleeps at the most: a safety net under the wake-ups, not a way of working."""

GATHER_SECONDS = 0.02
"""What falls due one by one is taken together: a claim costs a commit."""

JOURNAL_RETRY_SECONDS = 1.0

_SETTLED = {Kind.REPLY: "reply.settled", Kind.SEND: "send.settled"}

log = get_logger()


class Source(Protocol):
    """The journal, as a lane needs it."""

    async def claim(self, kind: Kind, *, limit: int, now: float) -> list[Job]: ...
    async def settle(self, job: Job, outcome: Outcome, now: float) -> State | None: ...
    async def next_due(self, kind: Kind) -> float | None: ...


class Handler(Protocol):
    """What one kind of job takes."""

    def room(self, now: float) -> float:
        """How many more jobs may start now."""

    def room_in(self, now: float) -> float:
        """Seconds until there is room for one."""

    def started(self, count: int, now: float) -> None:
        """So many were claimed."""

    async def handle(self, job: Job) -> Outcome:
        """Do the job; what became of it. JournalDown: nothing was done yet. Whatever else it raises is a bug."""

    def gave_up(self, job: Job, error: str) -> Outcome:
        """What becomes of a job that cannot be handled."""


Settled = Callable[[Job, Outcome, State | None], None]


class Lane:
    """Works off one kind of job, `concurrency` at a time.

    When nobody gets through (`Outcome.halt`), it pauses: one job at a time goes as a probe, at growing intervals up to
    PROBE_SECONDS, until one succeeds. Where a receipt said so, Meta had accepted the message all the same: then a probe
    that succeeds is on trial until no such receipt has followed for a while.
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
        self._on_change = on_change
        self._sleep, self._noise = sleep, noise
        self._running: set[asyncio.Task[None]] = set()
        self._awake = asyncio.Event()
        self._alarm = 0.0
        self._alive = self._stopping = self._waiting = False
        self._over = asyncio.Event()
        self._over.set()

    @property
    def paused(self) -> LanePause | None:
        """Why nobody gets through; None while it runs."""
        return self._pausing.pause

    @property
    def state(self) -> str:
        """running, paused, or stopped."""
        if self._stopping or not self._alive:
            return "stopped"
        return "running" if self.paused is None else "paused"

    @property
    def in_flight(self) -> int:
        """Jobs in our hands."""
        return len(self._running)

    def wake(self, due: float = 0.0) -> None:
        """Something is due at a time (0: now): look then, unless we look earlier anyway."""
        if due < self._alarm or self._clock() >= self._alarm:  # the machine's clock may have been set forward
            self._alarm = min(due, self._alarm)
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
        """Claim no more, and wait up to `timeout` seconds for what is in flight; how many did not end in time."""
        self._stopping = True
        self.wake()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._over.wait()  # a claim that is on its way still brings jobs
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
        """Nobody gets through, for a `reason` with Meta's `code` or our word: probe from now on.

        `by_receipt`: Meta said so of a message that it had accepted, so that accepting the next one proves nothing.
        """
        begins = self.paused is None
        pause = LanePause(reason, code, halt)
        if self._pausing.add(pause, self._clock(), noise=self._noise(), by_receipt=by_receipt):
            if begins:
                log.info("lane.paused", lane=str(self.kind), reason=reason)
            self._on_change(self)

    def resume(self) -> None:
        """It works again: go on at once."""
        if self.paused is not None:
            log.info("lane.resumed", lane=str(self.kind))
            self._pausing.end()
            self._on_change(self)
            self.wake()

    def probe(self) -> None:
        """Try now, if it is paused: a person may know that it works again."""
        if self.paused is not None:
            self._pausing.probe_at_once(self._clock())
            self.wake()

    @property
    def next_probe(self) -> float | None:
        """When one job is tried again, in Unix seconds; None where nothing is paused."""
        return self._pausing.next_probe

    async def _turn(self) -> None:
        self._alarm = math.inf
        try:
            if not await self._claim():
                await self._rest()
            self._waiting = False
        except JournalDown as error:
            if not self._waiting:
                log.warning("lane.waiting", lane=str(self.kind), reason=str(error))
            self._waiting = True
            await self._sleep(JOURNAL_RETRY_SECONDS)
        except Exception:  # a bug in what is claimed: whatever else is owed must not wait for it
            log.exception("lane.broken", lane=str(self.kind))
            await self._sleep(IDLE_SECONDS)

    async def _claim(self) -> int:
        now = self._clock()
        limit = int(min(self._concurrency - len(self._running), self._handler.room(now)))
        if self._pausing.stands_trial(now) and not self._running:
            self.resume()
        if self.paused is not None:
            limit = min(limit, 1) if self._probe_in(now) <= 0 else 0
        if limit < 1:
            return 0
        jobs = await self._source.claim(self.kind, limit=limit, now=now)
        self._handler.started(len(jobs), now)
        for job in jobs:
            task = asyncio.create_task(self._work(job), name=f"{self.kind} {job.id}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        return len(jobs)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.wake()

    async def _rest(self) -> None:
        """Sleep until woken, or until the next job is due and may start."""
        now = self._clock()
        wait = IDLE_SECONDS
        if len(self._running) < self._concurrency and self._alarm > now:
            due = await self._source.next_due(self.kind)
            if due is not None:
                present = self._clock()  # asking the journal took its time
                room_in, probe_in = self._handler.room_in(present), self._probe_in(present)
                wait = min(wait, max(due - now, room_in, probe_in, GATHER_SECONDS))
        if self._pausing.on_trial:
            wait = min(wait, max(self._probe_in(now), GATHER_SECONDS))
        self._alarm = min(self._alarm, now + wait)
        while (wait := self._alarm - self._clock()) > 0:
            self._awake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait, IDLE_SECONDS)):  # however far the clock was set back
                    await self._awake.wait()
                    continue
            break

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
        except Exception:  # a bug, or a poisoned job: it fails alone
            log.exception("job.broken", **describe(job))
            outcome = self._handler.gave_up(job, "internal error")
            state = await self._settle(job, outcome)
        self._on_settled(job, outcome, state)

    async def _handle(self, job: Job) -> Outcome:
        """What the handler says; a journal that it cannot use is no fault of the job's, which goes back as it was."""
        try:
            return await self._handler.handle(job)
        except JournalDown as error:
            wait = min(JOURNAL_RETRY_SECONDS * job.attempt, IDLE_SECONDS)
            return Outcome(Event.RETRY, due_at=self._clock() + wait, spent=False, error=str(error), code="journal")

    async def _settle(self, job: Job, outcome: Outcome) -> State | None:
        """Write it down, however long the journal takes: what became of it is known only here."""
        while True:
            try:
                state = await self._source.settle(job, outcome, self._clock())
            except JournalDown:
                await self._sleep(JOURNAL_RETRY_SECONDS)
                continue
            log.info(_SETTLED[self.kind], state=str(state or "settled before"), **describe(job), **reason(outcome))
            return state


def describe(job: Job) -> dict[str, object]:
    """A job as every log line tells it."""
    body = {"body": job.outgoing.body} if job.outgoing is not None else {}
    return {"job": job.id, "contact": job.contact.address, "attempt": job.attempt, **body}


def reason(outcome: Outcome) -> dict[str, object]:
    """Why it did not simply succeed, if it did not."""
    return {} if outcome.error is None else {"error": outcome.error, "code": outcome.code}
