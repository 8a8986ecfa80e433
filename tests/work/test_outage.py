"""Outages of Meta's that answer, in virtual time: the lane, the sender and a Meta that has trouble for a while."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from tests.fakes import MemoryQueue
from tests.virtual_time import START, clock, virtual_time
from wabot.core.after_failure import after_hold
from wabot.core.exceptions import DeliveryError, Scope, Unavailable, Unclear
from wabot.core.jobs import Halt, Kind, Policy, State, move
from wabot.core.meta_errors import Accepted, meaning
from wabot.core.outgoing import Origin, Outgoing
from wabot.core.pauses_and_probes import PROBE_SECONDS
from wabot.core.rate_limits import Bucket, PairLedger
from wabot.work.lane import Lane
from wabot.work.send import Limits, Sends

RATE = 20
OFFER = Outgoing({"type": "template", "template": {"name": "offer"}}, "[template offer]", Origin.BULK)
POLICY = Policy(attempts=8, backoff_base_seconds=1.0, backoff_max_seconds=300.0)
Trouble = Callable[[int, float], DeliveryError | None]
"""What becomes of a request to a person at a time (seconds after the start); None: Meta takes it."""


def code(number: int, status: int = 500) -> DeliveryError:
    return meaning({"code": number, "message": "It failed"}, status=status)


@dataclass
class TroubledMeta:
    trouble: Trouble
    requests: list[tuple[int, float]] = field(default_factory=list)
    accepted: dict[int, float] = field(default_factory=dict)

    async def send(self, request: Mapping[str, Any]) -> Accepted:
        person, began = int(request["to"][-5:]), clock() - START
        self.requests.append((person, began))
        await asyncio.sleep(0.1)
        error = self.trouble(person, began)
        if error is not None:
            raise error
        self.accepted[person] = clock() - START
        return Accepted(f"wamid.{len(self.requests)}", None, {})

    def times(self, person: int) -> list[float]:
        return [at for who, at in self.requests if who == person]

    def busiest_second(self) -> int:
        times = [at for _, at in self.requests]
        return max(bisect_left(times, at + 1) - index for index, at in enumerate(times))


@dataclass
class Works:
    queue: MemoryQueue
    meta: TroubledMeta
    sends: Sends
    lane: Lane

    def put(self, count: int = 1, *, priority: int = 0) -> list[int]:
        ids = [self.queue.put(clock(), outgoing=OFFER, priority=priority) for _ in range(count)]
        self.lane.wake()
        return ids

    def spent(self) -> list[int]:
        return [entry.job.spent for entry in self.queue.entries.values()]


@asynccontextmanager
async def at_work(trouble: Trouble, *, policy: Policy = POLICY, rate: float = RATE) -> AsyncIterator[Works]:
    queue, meta, noise = MemoryQueue(), TroubledMeta(trouble), Random(1).random
    limits = Limits(Bucket(rate, clock()), PairLedger(6.0, 45))
    sends = Sends(meta, limits=limits, policy=policy, clock=clock, noise=noise)
    lane = Lane(Kind.SEND, queue, sends, concurrency=8, clock=clock, noise=noise)
    run = asyncio.create_task(lane.run())
    yield Works(queue, meta, sends, lane)
    await lane.drain(3600)
    await run


def until(seconds: float, error: Callable[[], DeliveryError], begin: float = 0.0) -> Trouble:
    return lambda _person, at: error() if begin <= at < begin + seconds else None


KINDS: dict[str, Callable[[], DeliveryError]] = {
    "1": lambda: code(1, 400),
    "2": lambda: code(2, 503),
    "131000": lambda: code(131000),
    "131016": lambda: code(131016),
    "133004": lambda: code(133004),
    "an unknown code": lambda: code(999_999),
    "no connection": lambda: Unavailable("out of reach", code="connect", scope=Scope.NUMBER),
}


@pytest.mark.parametrize("seconds", [30.0, 180.0, 86_400.0])
@pytest.mark.parametrize("kind", KINDS)
@virtual_time
async def test_an_outage_loses_nothing_and_what_waited_leaves_at_the_full_rate(kind: str, seconds: float) -> None:
    async with at_work(until(seconds, KINDS[kind])) as works:
        works.put(50)
        await asyncio.sleep(seconds - 1)
        assert works.lane.state == "paused"
        assert works.sends.meta_works is False
        during = len(works.meta.requests)
        assert during <= 8 + seconds / 40 + 10, "a probe at a time, and ever more seldom"
        await asyncio.sleep(PROBE_SECONDS[Halt.OUTAGE] + 60)
        assert works.queue.states() == [State.DONE] * 50
        assert (works.lane.state, works.sends.meta_works) == ("running", True)
        first, last = min(works.meta.accepted.values()), max(works.meta.accepted.values())
        assert first - seconds <= PROBE_SECONDS[Halt.OUTAGE] + 1
        assert last - first <= 50 / (0.9 * RATE) + 1, "not one by one"
        assert works.meta.busiest_second() <= RATE
        assert set(works.spent()) == {1}, "the try that succeeded"


async def end_doubts(works: Works) -> None:
    """The timer that ends a hold without a receipt."""
    while True:
        await asyncio.sleep(1)
        for entry in works.queue.entries.values():
            if entry.state is State.IN_DOUBT and entry.due_at <= clock():
                outcome = after_hold(spent=entry.job.spent, policy=POLICY, now=clock())
                entry.state, entry.due_at = move(entry.state, outcome.event), outcome.due_at
        works.lane.wake()


@pytest.mark.parametrize("people", [1, 2, 5])
@virtual_time
async def test_an_outage_that_answers_and_cuts_connections_by_turns_loses_nothing(people: int) -> None:
    dice, begun = Random(1), 7200.0

    def trouble(_person: int, at: float) -> DeliveryError | None:
        cut = Unclear("the connection broke", code="cut")
        return None if at >= begun else cut if dice.random() < 0.5 else code(131000)

    async with at_work(trouble) as works:
        timer = asyncio.create_task(end_doubts(works))
        works.put(people)
        await asyncio.sleep(begun + POLICY.backoff_max_seconds + 60)
        timer.cancel()
        assert works.queue.states() == [State.DONE] * people
        assert max(works.spent()) < POLICY.attempts


@virtual_time
async def test_an_outage_in_the_midst_of_work_loses_nothing() -> None:
    async with at_work(until(120, lambda: code(131000), begin=5)) as works:
        for _ in range(60):
            works.put(10)
            await asyncio.sleep(1)
        await asyncio.sleep(200)
        assert set(works.queue.states()) == {State.DONE}
        assert works.meta.busiest_second() <= RATE


@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
@virtual_time
async def test_an_outage_that_only_a_few_meet_loses_nothing_either(kind: str, people: int) -> None:
    async with at_work(until(7200, KINDS[kind])) as works:
        works.put(people)
        await asyncio.sleep(7200 + POLICY.backoff_max_seconds + 10)
        assert works.queue.states() == [State.DONE] * people
        assert len(works.meta.requests) < 50 * people


@virtual_time
async def test_one_bad_message_among_good_ones_fails_after_its_tries_and_delays_nobody() -> None:
    async with at_work(lambda person, _: code(131000) if person == 5 else None) as works:
        begun = {}
        for _ in range(60):
            begun.update({person: clock() - START for person in works.put(4)})
            await asyncio.sleep(1)
        assert works.queue.entries[5].state is State.FAILED
        assert len(works.meta.times(5)) == 4, "its first failure proves nothing, three that follow do"
        others = [entry.state for person, entry in works.queue.entries.items() if person != 5]
        assert set(others) == {State.DONE}
        assert max(works.meta.accepted[person] - at for person, at in begun.items() if person != 5) < 1
        assert works.lane.state == "running"


@virtual_time
async def test_a_bad_message_that_is_alone_waits_until_others_show_whose_trouble_it_is() -> None:
    async with at_work(lambda person, _: code(131016) if person == 1 else None) as works:
        works.put()
        await asyncio.sleep(7200)
        assert works.queue.states() == [State.QUEUED]
        assert works.spent() == [0]
        for _ in range(20):
            works.put()
            await asyncio.sleep(POLICY.backoff_max_seconds)
        assert works.queue.states() == [State.FAILED] + [State.DONE] * 20


@virtual_time
async def test_after_an_outage_that_everybody_met_a_bad_message_fails_and_stops_nobody() -> None:
    def trouble(person: int, at: float) -> DeliveryError | None:
        return code(131000) if person == 3 or at < 60 else None

    async with at_work(trouble) as works:
        works.put(10)
        await asyncio.sleep(130)
        for _ in range(30):
            works.put()
            await asyncio.sleep(2)
        assert works.queue.entries.pop(3).state is State.FAILED
        assert set(works.queue.states()) == {State.DONE}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
@virtual_time
async def test_an_outage_that_lets_some_through_loses_nothing(share: float, seed: int) -> None:
    """Meta fails a part of all requests for three minutes, whoever they are for."""
    chance = Random(seed)

    def trouble(_person: int, at: float) -> DeliveryError | None:
        return code(131000) if at < 180 and chance.random() < share else None

    async with at_work(trouble) as works:
        works.put(50)
        await asyncio.sleep(180 + PROBE_SECONDS[Halt.OUTAGE] + POLICY.backoff_max_seconds)
        assert works.queue.states() == [State.DONE] * 50


@virtual_time
async def test_a_batch_of_bad_messages_ends_and_the_replies_between_are_sent() -> None:
    """Every message of a batch is one that Meta chokes on, and people go on writing to us."""
    async with at_work(lambda person, _: code(131000) if person <= 40 else None) as works:
        works.put(40, priority=1)
        waited = []
        for _ in range(240):
            (reply,), began = works.put(), clock() - START
            await asyncio.sleep(PROBE_SECONDS[Halt.OUTAGE] + 1)
            waited.append(works.meta.accepted[reply] - began)
        assert works.queue.states()[:40] == [State.FAILED] * 40
        assert max(waited) <= PROBE_SECONDS[Halt.OUTAGE]
