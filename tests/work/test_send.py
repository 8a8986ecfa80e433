from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.fakes import TEXT, MemoryQueue, ScriptedGraph
from tests.virtual_time import START, clock, virtual_time
from wabot.core.exceptions import Blocked, DeliveryError, Effect, Refused, Scope, Unavailable, Unclear
from wabot.core.jobs import Event, Job, Kind, Outcome, Policy, State, move
from wabot.core.messages import Contact, Stop
from wabot.core.meta_errors import Accepted
from wabot.core.outgoing import Origin, Outgoing
from wabot.core.rate_limits import Bucket, PairLedger
from wabot.core.sends_in_flight import MOST
from wabot.work.lane import Lane
from wabot.work.send import Limits, Sends

NOW = 1_700_000_000.0
CONTACT = Contact(7, wa_id="919216598210", last_inbound_at=NOW - 60)
JOB = Job(3, Kind.SEND, CONTACT, token=1, attempt=1, spent=0, created_at=NOW, tag="wabot:j-3:1", outgoing=TEXT)
TEMPLATE = Outgoing({"type": "template", "template": {"name": "offer"}}, "[template offer]", Origin.BULK)
POLICY = Policy(attempts=4, backoff_base_seconds=1.0, backoff_max_seconds=300.0, hold_seconds=90.0)


@dataclass
class Desk:
    """The handler with all that it touches; `now` is the time."""

    graph: ScriptedGraph
    limits: Limits
    sends: Sends
    now: float = NOW

    async def hand(self, job: Job = JOB) -> Outcome:
        """Claim a job and hand it over."""
        self.sends.started(1, self.now)
        outcome = await self.sends.handle(job)
        move(State.RUNNING, outcome.event)
        return outcome

    @property
    def room(self) -> float:
        return self.sends.room(self.now)


def desk(
    *errors: DeliveryError, rate: float = 100, interval: float = 6.0, burst: int = 45, at_once: int = MOST
) -> Desk:
    limits = Limits(Bucket(rate, NOW), PairLedger(interval, burst))
    graph = ScriptedGraph(*errors)
    sends = Sends(graph, limits=limits, policy=POLICY, clock=lambda: made.now, noise=lambda: 0.5, at_once=at_once)
    made = Desk(graph, limits, sends)
    return made


# How many at once.


@pytest.mark.parametrize(("rate", "latency"), [(1000, 0.1), (1000, 0.2), (80, 0.3)])
@virtual_time
async def test_the_rate_is_kept_whatever_meta_takes_for_an_answer(rate: float, latency: float) -> None:
    class Slow(ScriptedGraph):
        async def send(self, request: Mapping[str, Any]) -> Accepted:
            sent.append(clock())
            await asyncio.sleep(latency)
            return await super().send(request)

    sent: list[float] = []
    queue, limits = MemoryQueue(), Limits(Bucket(rate, clock()), PairLedger(6, 45))
    for _ in range(int(rate * 4)):
        queue.put(clock())
    sends = Sends(Slow(), limits=limits, policy=POLICY, clock=clock)
    lane = Lane(Kind.SEND, queue, sends, concurrency=MOST, clock=clock)
    run = asyncio.create_task(lane.run())
    await asyncio.sleep(3)
    await lane.drain(60)
    await run
    counts = [sum(start <= at < start + 1 for at in sent) for start in (START, START + 0.5, START + 1, START + 1.5)]
    assert min(counts) >= rate * 0.9
    assert max(counts) <= rate


async def test_while_meta_does_not_answer_no_more_than_the_bound_are_on_their_way() -> None:
    at = desk(rate=0, at_once=3)
    assert (at.room, at.sends.room_in(NOW)) == (3, 0)
    at.sends.started(3, NOW)
    assert (at.room, at.sends.room_in(NOW)) == (0, float("inf"))
    await at.sends.handle(JOB)
    assert (at.room, at.sends.room_in(NOW)) == (1, 0)


# Handing over.


async def test_a_message_that_meta_takes_is_done_with_its_id_and_metas_own_answer() -> None:
    at = desk()
    assert await at.hand() == Outcome(
        Event.SUCCEED, wamid="wamid.1", wa_id="919216598210", answer={"messages": [{"id": "wamid.1"}]}
    )
    (request,) = at.graph.requests
    assert request["to"] == "+919216598210"
    assert request["text"] == TEXT.content["text"]
    assert request["biz_opaque_callback_data"] == "wabot:j-3:1"
    assert at.sends.meta_works is True


async def test_nobody_knows_whether_meta_works_before_the_first_answer() -> None:
    assert desk().sends.meta_works is None


@pytest.mark.parametrize(
    ("error", "event", "due_in", "spent", "works"),
    [
        (Unavailable("overload", code=131016), Event.RETRY, 0.75, True, True),
        (Unavailable("out of reach", code="connect", scope=Scope.NUMBER), Event.RETRY, 0.75, False, False),
        (Unavailable("too fast", code=130429, scope=Scope.NUMBER), Event.RETRY, 0.75, False, True),
        (Unavailable("too fast", code=4, scope=Scope.NUMBER, wait=60.0), Event.RETRY, 60.0, False, True),
        (Unavailable("too fast for them", code=131056, scope=Scope.CONTACT), Event.RETRY, 1.0, False, True),
        (
            Unavailable("marketing limit", code=131049, scope=Scope.CONTACT, wait=86400.0, tries=3),
            Event.HOLD, 86400.0, True, True,
        ),
        (Blocked("token", code=190, scope=Scope.NUMBER), Event.RETRY, 0.0, False, True),
        (Blocked("template rests", code=132015, scope=Scope.TEMPLATE, wait=10800.0), Event.HOLD, 10800.0, False, True),
        (Refused("undeliverable", code=131026, effect=Effect.SUPPRESS), Event.GIVE_UP, None, True, True),
        (Unclear("no answer", code="timeout"), Event.LOSE_TRACK, 90.0, True, False),
        (Unclear("gateway", code=502), Event.LOSE_TRACK, 90.0, True, False),
    ],
)  # fmt: skip
async def test_what_meta_answers_decides_the_outcome(
    error: DeliveryError, event: Event, due_in: float | None, spent: bool, works: bool
) -> None:
    at = desk(error)
    outcome = await at.hand()
    assert (outcome.event, outcome.spent) == (event, spent)
    assert outcome.due_at == (0.0 if due_in is None else NOW + due_in)
    assert (outcome.error, outcome.code) == (error.reason, error.code)
    assert at.sends.meta_works is works
    assert outcome.wamid is None


async def test_a_dead_token_pauses_and_a_person_who_cannot_be_reached_is_remembered() -> None:
    assert (await desk(Blocked("token", code=190, scope=Scope.NUMBER)).hand()).halt
    outcome = await desk(Refused("undeliverable", code=131026, effect=Effect.SUPPRESS)).hand()
    assert (outcome.effect, outcome.halt) == (Effect.SUPPRESS, None)


async def test_an_outage_of_any_length_ends_no_send() -> None:
    errors = [Unavailable("out of reach", code="connect", scope=Scope.NUMBER) for _ in range(500)]
    at, job = desk(*errors), replace(JOB, outgoing=TEMPLATE)
    for _ in range(500):
        outcome = await at.hand(job)
        assert outcome.event is Event.RETRY
        job = replace(job, attempt=job.attempt + 1, spent=job.spent + outcome.spent)
        at.now = outcome.due_at
    assert at.now - NOW > 24 * 3600
    assert (await at.hand(job)).event is Event.SUCCEED


def test_a_bug_on_the_way_is_final_lest_it_be_said_twice() -> None:
    outcome = desk().sends.gave_up(JOB, "internal error")
    assert (outcome.event, outcome.error, outcome.code, outcome.says) == (
        Event.GIVE_UP,
        "internal error",
        "internal",
        (),
    )


# The door.


@pytest.mark.parametrize(
    ("job", "event", "code"),
    [
        (replace(JOB, outgoing=None), Event.GIVE_UP, "no_message"),
        (replace(JOB, expires_at=NOW), Event.EXPIRE, "expired"),
        (replace(JOB, contact=replace(CONTACT, stopped=Stop.ALL)), Event.GIVE_UP, "opted_out"),
        (replace(JOB, contact=replace(CONTACT, last_inbound_at=None)), Event.EXPIRE, "window_closed"),
        (replace(JOB, spent=4), Event.GIVE_UP, "attempts"),
    ],
)
async def test_what_may_not_leave_does_not_and_costs_nothing(job: Job, event: Event, code: str) -> None:
    at = desk()
    room = at.room
    outcome = await at.hand(job)
    assert (outcome.event, outcome.code, outcome.spent) == (event, code, False)
    assert at.graph.requests == []
    assert at.room == room, "what it would have cost is given back"
    assert at.limits.pairs.free_at(7, NOW) == NOW


async def test_a_confirmation_reaches_who_opted_out() -> None:
    job = replace(JOB, contact=replace(CONTACT, stopped=Stop.ALL), outgoing=replace(TEXT, origin=Origin.CONFIRMATION))
    assert (await desk().hand(job)).event is Event.SUCCEED


# The limits.


async def test_what_was_claimed_counts_as_sent() -> None:
    at = desk(rate=100)
    room = at.room
    await at.hand()
    assert at.room == room - 1
    assert at.sends.room_in(NOW) == 0.0


async def test_where_there_is_no_room_it_says_when_there_will_be() -> None:
    at = desk(rate=100)
    at.sends.started(10, NOW)
    assert at.room < 1
    at.now += at.sends.room_in(NOW)
    assert at.room == pytest.approx(1, abs=1e-3)


async def test_too_many_to_one_person_wait_without_a_request() -> None:
    at = desk(burst=2)
    for _ in range(2):
        assert (await at.hand()).event is Event.SUCCEED
    room = at.room
    assert await at.hand() == Outcome(
        Event.RETRY, due_at=NOW + 12, spent=False, error="Waits for the pair limit", code="pair_limit"
    )
    assert len(at.graph.requests) == 2
    assert at.room == room
    other = replace(JOB, contact=replace(CONTACT, id=8))
    assert (await at.hand(other)).event is Event.SUCCEED, "nobody else waits for them"
    at.now += 12
    assert (await at.hand()).event is Event.SUCCEED


async def test_complaints_about_one_person_wait_four_times_as_long_each_until_one_gets_through() -> None:
    at = desk(*[Unavailable("pair", code=131056, scope=Scope.CONTACT) for _ in range(4)])
    waits = []
    for _ in range(4):
        outcome = await at.hand()
        waits.append(outcome.due_at - at.now)
        at.now = outcome.due_at
    assert waits == [1, 4, 16, 64]
    assert (await at.hand()).event is Event.SUCCEED
    at.graph.errors.append(Unavailable("pair", code=131056, scope=Scope.CONTACT))
    assert (await at.hand()).due_at == at.now + 1


async def test_a_complaint_about_one_person_slows_nobody_else() -> None:
    at = desk(Unavailable("pair", code=131056, scope=Scope.CONTACT))
    await at.hand()
    assert at.limits.bucket.rate == 100


async def test_a_complaint_about_the_number_slows_all() -> None:
    at = desk(Unavailable("too fast", code=130429, scope=Scope.NUMBER))
    await at.hand()
    assert at.limits.bucket.rate == 50
    assert at.room < 1


async def test_a_pause_that_meta_asks_for_is_kept_by_all() -> None:
    at = desk(Unavailable("too fast", code=429, scope=Scope.NUMBER, wait=30.0))
    await at.hand()
    assert at.sends.room_in(NOW) == 30.0
    assert at.sends.room(NOW + 29) == 0


@pytest.mark.parametrize("code", [131016, 131000])
async def test_one_messages_trouble_slows_nobody(code: int) -> None:
    at = desk(Unavailable("trouble", code=code))
    await at.hand()
    assert at.limits.bucket.rate == 100


async def test_what_did_not_leave_borrows_nothing_from_a_persons_future() -> None:
    at = desk(*[Unavailable("out of reach", code="connect", scope=Scope.NUMBER) for _ in range(50)], rate=0)
    for _ in range(50):
        assert (await at.hand()).code == "connect"
    assert (await at.hand()).event is Event.SUCCEED


async def test_what_may_have_left_does() -> None:
    at = desk(Unclear("cut", code="disconnect"), burst=1)
    await at.hand()
    assert (await at.hand()).code == "pair_limit"


# After a restart.


def test_what_was_sent_before_a_restart_counts_after_it() -> None:
    limits = Limits(Bucket(100, NOW), PairLedger(6.0, 3))
    limits.remember([(1, NOW - 100), (2, NOW - 9), (2, NOW - 8), (2, NOW - 7), *[(3, NOW - 0.5)] * 3], NOW)
    assert limits.pairs.free_at(1, NOW) == NOW
    assert limits.pairs.free_at(2, NOW) == NOW - 9 + 18
    assert limits.pairs.free_at(3, NOW) == NOW - 0.5 + 18
    assert limits.bucket.room(NOW) == Bucket(100, NOW).room(NOW) - 3, "only the last second is Meta's throughput"


def test_what_the_clock_says_was_sent_in_the_future_was_sent_now() -> None:
    limits = Limits(Bucket(100, NOW), PairLedger(6.0, 1))
    limits.remember([(1, NOW + 3600)], NOW)
    assert limits.pairs.free_at(1, NOW) == NOW + 6
