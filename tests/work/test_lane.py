"""Lanes, in virtual time: nothing here waits, however long a pause lasts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.fakes import MemoryQueue
from tests.virtual_time import START, clock, virtual_time
from wabot.assembly.clock import SteadyClock
from wabot.core.claim_gathering import GATHER_SECONDS
from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Event, Halt, Job, Kind, Outcome, State
from wabot.core.pauses_and_probes import TRIAL_SECONDS, LanePause
from wabot.log import configure
from wabot.settings.sections import Log
from wabot.work.lane import IDLE_SECONDS, JOURNAL_RETRY_SECONDS, QUIET_SECONDS, Lane

DONE = Outcome(Event.SUCCEED, wamid="wamid.1")
BLOCKED = Outcome(Event.RETRY, spent=False, error="The token has expired", code=190, halt=Halt.BLOCKED)

Work = Callable[[Job], Awaitable[Outcome]]


@pytest.fixture(autouse=True)
def _log_as_by_default() -> None:
    configure(Log())


@dataclass
class Hands:
    """A handler: `work` does a job; `started_at` tells when which job began, `most` how many were done at once."""

    work: Work
    room_left: float = float("inf")
    begun: list[tuple[int, float]] = field(default_factory=list)
    now: int = 0
    most: int = 0

    def room(self, _now: float) -> float:
        return self.room_left

    def room_in(self, _now: float) -> float:
        return 0.0

    def started(self, count: int, _now: float) -> None:
        self.room_left -= count

    async def handle(self, job: Job) -> Outcome:
        self.begun.append((job.id, clock() - START))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.work(job)
        finally:
            self.now -= 1

    def gave_up(self, _job: Job, error: str) -> Outcome:
        return Outcome(Event.GIVE_UP, error=error, code="internal")

    def times(self, job_id: int) -> list[float]:
        """When a job was begun, in whole seconds after the start."""
        return [round(at) for job, at in self.begun if job == job_id]


@dataclass
class Works:
    """A lane at work on a queue in memory."""

    queue: MemoryQueue
    hands: Hands
    lane: Lane
    settled: list[tuple[int, State | None]]

    def put(self, count: int = 1, *, after: float = 0.0) -> list[int]:
        """Queue jobs, due in `after` seconds, and say so."""
        ids = [self.queue.put(clock() + after) for _ in range(count)]
        self.lane.wake(clock() + after)
        return ids


@asynccontextmanager
async def at_work(work: Work, *, concurrency: int = 4, now: Callable[[], float] = clock) -> AsyncIterator[Works]:
    queue, hands = MemoryQueue(), Hands(work)
    settled: list[tuple[int, State | None]] = []
    lane = Lane(
        Kind.SEND,
        queue,
        hands,
        concurrency=concurrency,
        clock=now,
        on_settled=lambda job, _outcome, state: settled.append((job.id, state)),
        noise=lambda: 0.0,
    )
    run = asyncio.create_task(lane.run())
    yield Works(queue, hands, lane, settled)
    await lane.drain(3600)
    await run


def taking(seconds: float, outcome: Outcome = DONE) -> Work:
    """Every job takes so long and ends so."""

    async def work(_job: Job) -> Outcome:
        await asyncio.sleep(seconds)
        return outcome

    return work


def lines(text: str, event: str) -> list[str]:
    """The lines of the log that tell of an event."""
    return [line for line in text.split("\n") if f" {event} " in f"{line} "]


# Claiming.


@virtual_time
async def test_so_many_are_done_at_once_and_no_more() -> None:
    async with at_work(taking(10), concurrency=3) as works:
        works.put(9)
        await asyncio.sleep(35)
        assert works.queue.states() == [State.DONE] * 9
        assert works.hands.most == 3
        assert [round(at, -1) for _, at in works.hands.begun] == [0.0] * 3 + [10.0] * 3 + [20.0] * 3


@virtual_time
async def test_as_soon_as_one_ends_the_next_begins() -> None:
    async def work(job: Job) -> Outcome:
        await asyncio.sleep(100 if job.id == 1 else 1)
        return DONE

    async with at_work(work, concurrency=2) as works:
        works.put(6)
        await asyncio.sleep(6)
        assert works.queue.states() == [State.RUNNING] + [State.DONE] * 5


@virtual_time
async def test_jobs_whose_places_become_free_one_by_one_are_claimed_together() -> None:
    async def work(job: Job) -> Outcome:
        await asyncio.sleep(0.1 + job.id % 40 / 1000)
        return DONE

    async with at_work(work, concurrency=100) as works:
        works.put(1000)
        await asyncio.sleep(1)
        begun, claims = len(works.hands.begun), works.queue.claims
        assert begun > 700, "places are hardly ever free"
        assert claims <= 1 / GATHER_SECONDS + 1


@virtual_time
async def test_a_lane_that_is_limited_by_a_rate_claims_what_a_moment_allows_together() -> None:
    async with at_work(taking(0.1), concurrency=400) as works:
        works.put(1000)
        works.hands.room_left = 0
        for _ in range(500):
            works.hands.room_left += 1
            works.lane.wake()
            await asyncio.sleep(0.001)
        assert len(works.hands.begun) > 470
        assert works.queue.claims <= 0.5 / GATHER_SECONDS + 1


@virtual_time
async def test_a_lane_with_places_begins_each_job_at_once() -> None:
    async with at_work(taking(0.1), concurrency=8) as works:
        await asyncio.sleep(1)
        for _ in range(6):
            works.put()
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        works.put()
        await asyncio.sleep(0.2)
        assert [at for _, at in works.hands.begun] == pytest.approx([1, 1.001, 1.002, 1.003, 1.004, 1.005, 2.006])


@virtual_time
async def test_a_lane_sleeps_until_a_job_is_due() -> None:
    async with at_work(taking(0)) as works:
        works.put(after=1000)
        works.put(after=500)
        await asyncio.sleep(2000)
        assert [(job, at // 1) for job, at in works.hands.begun] == [(2, 500.0), (1, 1000.0)]
        assert all(at % 1 <= GATHER_SECONDS for _, at in works.hands.begun)
        assert works.queue.claims < 2000 / IDLE_SECONDS + 10, "it sleeps, it does not poll"


@virtual_time
async def test_what_is_due_earlier_than_expected_is_begun_earlier() -> None:
    async with at_work(taking(0)) as works:
        works.put(after=20)
        await asyncio.sleep(1)
        works.put()
        await asyncio.sleep(GATHER_SECONDS)
        assert works.hands.times(2) == [1]
        assert works.hands.times(1) == []


@virtual_time
async def test_what_is_queued_while_the_lane_asks_what_is_due_next_is_begun_at_once() -> None:
    async with at_work(taking(5)) as works:
        await asyncio.sleep(1)
        next_due = works.queue.next_due

        async def slow(kind: Kind) -> float | None:
            due = await next_due(kind)
            works.queue.next_due = next_due  # type: ignore[method-assign]
            works.put()
            return due

        works.queue.next_due = slow  # type: ignore[method-assign]
        works.put(after=1)
        await asyncio.sleep(1.1)
        assert works.hands.times(1) == works.hands.times(2) == [2]


@virtual_time
async def test_what_nobody_told_is_found_all_the_same() -> None:
    async with at_work(taking(0)) as works:
        await asyncio.sleep(1)
        works.queue.put(clock())
        await asyncio.sleep(QUIET_SECONDS)
        assert works.queue.states() == [State.DONE]


@virtual_time
async def test_a_lane_without_jobs_asks_the_journal_six_times_an_hour() -> None:
    async with at_work(taking(0)) as works:
        await asyncio.sleep(3600)
        assert works.queue.looks <= 3600 / QUIET_SECONDS + 1
        assert works.queue.claims == 1


@virtual_time
async def test_no_more_begin_than_the_handler_has_room_for() -> None:
    async with at_work(taking(0), concurrency=10) as works:
        works.hands.room_left = 3
        works.put(5)
        await asyncio.sleep(10)
        assert works.queue.states().count(State.DONE) == 3
        works.hands.room_left = 9
        await asyncio.sleep(1)
        assert works.queue.states().count(State.DONE) == 5
        assert works.hands.room_left == 7


@virtual_time
async def test_a_job_that_is_to_be_tried_again_is_when_its_time_comes() -> None:
    async def work(job: Job) -> Outcome:
        return DONE if job.attempt == 3 else Outcome(Event.RETRY, due_at=clock() + 60, error="later")

    async with at_work(work) as works:
        works.put()
        await asyncio.sleep(200)
        assert works.hands.times(1) == [0, 60, 120]
        assert works.queue.entries[1].job.spent == 3


@virtual_time
async def test_a_lane_minds_its_own_kind() -> None:
    async with at_work(taking(0)) as works:
        works.queue.put(clock(), kind=Kind.REPLY)
        works.lane.wake()
        await asyncio.sleep(100)
        assert works.queue.states() == [State.QUEUED]


@virtual_time
async def test_a_clock_that_is_set_back_an_hour_delays_nothing() -> None:
    loop = asyncio.get_running_loop()
    set_back = SteadyClock(lambda: clock() - (3600 if loop.time() > 5 else 0), loop.time)
    async with at_work(taking(0), now=set_back) as works:
        works.put(after=10)
        works.put(after=100)
        await asyncio.sleep(200)
        assert works.hands.times(1) == [10]
        assert works.hands.times(2) == [100]


@virtual_time
async def test_a_lane_whose_clock_is_set_back_a_day_finds_what_is_due() -> None:
    loop = asyncio.get_running_loop()
    back: Callable[[], float] = lambda: clock() - (86400 if loop.time() > 100 else 0)  # noqa: E731
    async with at_work(taking(0), now=back) as works:
        works.put(after=110)
        await asyncio.sleep(101)
        works.queue.put(back() + 5)  # as upkeep pulls it up, which tells nobody here
        await asyncio.sleep(5 + IDLE_SECONDS)
        assert works.queue.states() == [State.QUEUED, State.DONE]


@virtual_time
async def test_a_pause_goes_on_probing_though_the_clock_is_set_back_a_day() -> None:
    loop = asyncio.get_running_loop()
    back: Callable[[], float] = lambda: clock() - (86400 if loop.time() > 60 else 0)  # noqa: E731
    async with at_work(taking(0.1, BLOCKED), now=back) as works:
        works.queue.put(clock() - 100_000)
        await asyncio.sleep(61)
        works.queue.entries[1].due_at = back()  # as upkeep pulls it up
        works.hands.work = taking(0.1)
        await asyncio.sleep(300)
        assert works.queue.states() == [State.DONE]


# One job's trouble.


@virtual_time
async def test_a_poisoned_job_fails_alone_with_one_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(job: Job) -> Outcome:
        await asyncio.sleep(job.id)
        if job.id == 2:
            raise ZeroDivisionError("poison")
        return DONE

    async with at_work(work) as works:
        works.put(3)
        await asyncio.sleep(10)
        assert works.queue.states() == [State.DONE, State.FAILED, State.DONE]
        assert works.settled == [(1, State.DONE), (2, State.FAILED), (3, State.DONE)]
        assert works.lane.state == "running"
    logged = capsys.readouterr().out
    assert logged.count("Traceback (most recent call last)") == 1
    assert logged.count("ZeroDivisionError: poison") == 1
    assert len(lines(logged, "job.broken")) == 1
    assert len(lines(logged, "send.settled")) == 3


@virtual_time
async def test_an_outcome_that_cannot_be_written_fails_alone_too(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(job: Job) -> Outcome:
        return Outcome(Event.SUCCEED, wamid="\ud800") if job.id == 1 else DONE

    async with at_work(work) as works:
        works.put(2)
        await asyncio.sleep(1)
        assert works.queue.states() == [State.FAILED, State.DONE]
    assert capsys.readouterr().out.count("Traceback (most recent call last)") == 1


@virtual_time
async def test_a_claim_that_breaks_stops_the_lane_for_a_while_only(capsys: pytest.CaptureFixture[str]) -> None:
    async with at_work(taking(0)) as works:
        works.queue.broken = KeyError("a column that is not there")
        works.put(2)
        await asyncio.sleep(1)
        assert works.lane.state == "running"
        works.queue.broken = None
        await asyncio.sleep(IDLE_SECONDS)
        assert works.queue.states() == [State.DONE, State.DONE]
    logged = capsys.readouterr().out
    assert len(lines(logged, "lane.broken")) == 1
    assert logged.count("KeyError") == 1


@virtual_time
async def test_what_a_receipt_settled_first_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    async with at_work(taking(5)) as works:
        works.put()
        await asyncio.sleep(1)
        works.queue.entries[1].state = State.DONE
        await asyncio.sleep(10)
        assert works.settled == [(1, None)]
    (line,) = lines(capsys.readouterr().out, "send.settled")
    assert "state=already_settled" in line


# A journal that is down.


@virtual_time
async def test_a_journal_that_is_down_while_claiming_is_waited_for() -> None:
    async with at_work(taking(0)) as works:
        works.queue.down = True
        works.put(3)
        await asyncio.sleep(600)
        assert works.lane.state == "running"
        works.queue.down = False
        await asyncio.sleep(JOURNAL_RETRY_SECONDS + GATHER_SECONDS)
        assert works.queue.states() == [State.DONE] * 3


@virtual_time
async def test_what_became_of_a_job_is_kept_until_the_journal_takes_it() -> None:
    async with at_work(taking(5)) as works:
        works.put(3)
        await asyncio.sleep(1)
        works.queue.down = True
        await asyncio.sleep(3600)
        assert works.settled == []
        assert works.lane.in_flight == 3
        works.queue.down = False
        await asyncio.sleep(JOURNAL_RETRY_SECONDS)
        assert works.queue.states() == [State.DONE] * 3
        assert len(works.hands.begun) == 3, "nothing was done twice"
        assert [len(entry.outcomes) for entry in works.queue.entries.values()] == [1, 1, 1]


@virtual_time
async def test_a_journal_that_comes_and_goes_loses_nothing() -> None:
    async with at_work(taking(0.3)) as works:
        works.put(50)
        for second in range(60):
            works.queue.down = second % 3 != 0
            await asyncio.sleep(1)
        works.queue.down = False
        await asyncio.sleep(30)
        assert works.queue.states() == [State.DONE] * 50
        assert sorted(job for job, _ in works.hands.begun) == list(range(1, 51))
        assert len(works.settled) == 50


@virtual_time
async def test_a_journal_that_a_handler_cannot_read_is_waited_for_and_uses_up_no_try() -> None:
    async def work(_job: Job) -> Outcome:
        if clock() < START + 300:
            raise JournalDown("the journal cannot be read: disk I/O error")
        return DONE

    async with at_work(work) as works:
        works.put(2)
        await asyncio.sleep(310)
        works.put(1)
        await asyncio.sleep(30)
        assert works.queue.states() == [State.DONE] * 3
        assert [entry.job.spent for entry in works.queue.entries.values()] == [1, 1, 1], "that of the success"
        assert len(works.hands.times(1)) < 40, "at growing intervals"


# Pauses.


def blocked_until(seconds: float, *, takes: float = 0.1) -> Work:
    """Nobody gets through until then."""

    async def work(_job: Job) -> Outcome:
        await asyncio.sleep(takes)
        return DONE if clock() >= START + seconds else BLOCKED

    return work


@virtual_time
async def test_where_nobody_gets_through_one_at_a_time_asks_at_growing_intervals() -> None:
    async with at_work(blocked_until(10_000), concurrency=8) as works:
        works.put(100)
        await asyncio.sleep(1500)
        begun = [at for _, at in works.hands.begun]
        assert len([at for at in begun if at < 1]) == 8, "those that were under way"
        probes = [at for at in begun if at > 1]
        gaps = [later - earlier for earlier, later in zip([0.1, *probes], probes, strict=False)]
        assert [round(gap) for gap in gaps] == [5, 10, 20, 40, 80, 160, 300, 300, 300]
        assert works.lane.state == "paused"
        assert works.lane.paused == LanePause("The token has expired", 190, Halt.BLOCKED)
        assert all(entry.job.spent == 0 for entry in works.queue.entries.values())
        assert set(works.queue.states()) == {State.QUEUED}


@virtual_time
async def test_a_probe_that_gets_through_ends_the_pause(capsys: pytest.CaptureFixture[str]) -> None:
    async with at_work(blocked_until(30), concurrency=8) as works:
        works.put(100)
        await asyncio.sleep(40)
        assert works.lane.state == "running"
        assert works.lane.paused is None
        assert works.queue.states() == [State.DONE] * 100
        assert works.hands.most == 8
    logged = capsys.readouterr().out
    assert len(lines(logged, "lane.paused")) == 1
    assert "The token has expired" in lines(logged, "lane.paused")[0]
    assert len(lines(logged, "lane.resumed")) == 1


@asynccontextmanager
async def failed_by_receipt(*, until: float, after: float, concurrency: int = 8) -> AsyncIterator[Works]:
    """Every job is accepted after a tenth of a second, and until then its receipt says `after` it that it failed."""

    async def work(_job: Job) -> Outcome:
        if clock() < START + until:
            receipts.append(asyncio.get_running_loop().call_later(0.1 + after, tell))
        await asyncio.sleep(0.1)
        return DONE

    def tell() -> None:
        works.lane.pause("The payment failed", by_receipt=True)

    receipts: list[asyncio.TimerHandle] = []
    async with at_work(work, concurrency=concurrency) as works:
        yield works


@virtual_time
@pytest.mark.parametrize("after", [-0.05, 0.05, 1.0])
async def test_what_is_accepted_and_then_failed_by_receipt_does_not_end_the_pause(
    after: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """However the receipt and the answer come; those that were under way do not end it either."""
    async with failed_by_receipt(until=10_000, after=after) as works:
        works.put(100)
        await asyncio.sleep(1500)
        assert works.lane.state == "paused"
        assert works.lane.paused == LanePause("The payment failed", None, Halt.BLOCKED)
        begun = [at for _, at in works.hands.begun]
        paused_at = 0.1 + after
        probes = [at for at in begun if at > paused_at + 1]
        gaps = [later - earlier for earlier, later in zip([paused_at, *probes], probes, strict=False)]
        assert [round(gap / 5) for gap in gaps][:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert lines(capsys.readouterr().out, "lane.resumed") == []


@virtual_time
async def test_what_is_accepted_and_not_failed_by_receipt_ends_the_pause_after_a_trial() -> None:
    async with failed_by_receipt(until=1, after=0.05) as works:
        works.put(100)
        await asyncio.sleep(7)
        started = len(works.hands.begun)
        assert works.lane.state == "paused", "the probe left after five seconds"
        await asyncio.sleep(3)
        assert len(works.hands.begun) == started, "nothing leaves while it is on trial"
        await asyncio.sleep(2)
        assert (works.lane.state, works.lane.paused) == ("running", None)
        await asyncio.sleep(10)
        assert works.queue.states() == [State.DONE] * 100
        assert works.hands.most == 8


@virtual_time
async def test_the_trial_of_the_last_job_ends_the_pause_too() -> None:
    async with failed_by_receipt(until=1, after=0.05, concurrency=1) as works:
        works.put()
        await asyncio.sleep(1)
        works.put()
        await asyncio.sleep(9)
        assert works.lane.state == "paused"
        await asyncio.sleep(1)
        assert works.lane.state == "running"


@virtual_time
async def test_a_person_who_asks_for_a_probe_during_a_trial_gets_one_and_not_the_end_of_the_pause() -> None:
    async with failed_by_receipt(until=10, after=0.05) as works:
        works.put(100)
        await asyncio.sleep(14)
        works.lane.probe()
        await asyncio.sleep(3)
        started = len(works.hands.begun)
        works.lane.probe()
        await asyncio.sleep(0.05)
        assert (len(works.hands.begun), works.lane.state) == (started + 1, "paused")


@virtual_time
async def test_after_a_long_pause_a_trial_lasts_half_a_minute_and_later_answers_count_at_once() -> None:
    async with failed_by_receipt(until=300, after=0.05) as works:
        works.put(100)
        await asyncio.sleep(317)  # the probe at about 316
        assert works.lane.state == "paused"
        await asyncio.sleep(TRIAL_SECONDS)
        assert works.lane.state == "running"
        works.lane.pause("The token has expired")
        await asyncio.sleep(6)
        works.put()
        await asyncio.sleep(1)
        assert works.lane.state == "running"


@virtual_time
async def test_those_that_were_under_way_do_not_put_the_probe_off() -> None:
    async def work(job: Job) -> Outcome:
        await asyncio.sleep(0.5 * job.id)
        return BLOCKED

    async with at_work(work, concurrency=8) as works:
        works.put(8)
        await asyncio.sleep(6)
        assert [round(at, 1) for _, at in works.hands.begun][8:] == [5.5]


@virtual_time
async def test_while_a_probe_is_under_way_nothing_else_leaves() -> None:
    async with at_work(blocked_until(10_000, takes=50), concurrency=8) as works:
        works.put(20)
        await asyncio.sleep(60)
        assert works.lane.state == "paused"
        works.hands.most = works.hands.now
        await asyncio.sleep(500)
        assert works.hands.most == 1


@virtual_time
async def test_a_later_pause_begins_with_short_intervals_again() -> None:
    async def work(_job: Job) -> Outcome:
        at = clock() - START
        return BLOCKED if at < 100 or 1000 <= at < 1010 else DONE

    async with at_work(work, concurrency=1) as works:
        works.put()
        await asyncio.sleep(990)
        works.put(after=20)
        await asyncio.sleep(0)
        works.put(after=10)
        await asyncio.sleep(60)
        assert works.hands.times(3) == [1000, 1005, 1015]


@virtual_time
async def test_a_job_that_arrives_during_a_pause_waits_for_the_probe() -> None:
    async with at_work(blocked_until(10_000)) as works:
        works.put()
        await asyncio.sleep(20)  # the next probe is at 35
        before = len(works.hands.begun)
        for _ in range(10):
            works.put()
            await asyncio.sleep(1)
        assert len(works.hands.begun) == before


@virtual_time
async def test_a_pause_without_jobs_costs_nothing_and_the_next_job_is_the_probe() -> None:
    async with at_work(blocked_until(1)) as works:
        works.put()
        await asyncio.sleep(0.5)
        works.queue.entries[1].state = State.CANCELLED
        await asyncio.sleep(1000)
        assert works.lane.state == "paused"
        assert works.queue.claims < 100
        works.put(3)
        await asyncio.sleep(1)
        assert works.lane.state == "running"
        assert works.queue.states()[1:] == [State.DONE] * 3


# The end.


@virtual_time
async def test_a_lane_is_stopped_before_it_runs_and_after() -> None:
    lane = Lane(Kind.SEND, MemoryQueue(), Hands(taking(0)), concurrency=1, clock=clock)
    assert lane.state == "stopped"
    assert await lane.drain(10) == 0
    async with at_work(taking(0)) as works:
        await asyncio.sleep(1)
        assert works.lane.state == "running"
    assert works.lane.state == "stopped"


@virtual_time
async def test_a_lane_that_drains_ends_what_it_has_and_begins_nothing() -> None:
    async with at_work(taking(5), concurrency=2) as works:
        works.put(6)
        await asyncio.sleep(1)
        assert await works.lane.drain(10) == 0
        assert clock() == pytest.approx(START + 5, abs=0.1)
        assert works.queue.states() == [State.DONE] * 2 + [State.QUEUED] * 4
        assert works.lane.in_flight == 0


@virtual_time
async def test_what_does_not_end_in_time_is_let_go_and_stays_running_in_the_journal() -> None:
    async def work(job: Job) -> Outcome:
        await asyncio.sleep(1000 if job.id == 2 else 1)
        return DONE

    async with at_work(work) as works:
        works.put(3)
        await asyncio.sleep(0.5)
        assert await works.lane.drain(10) == 1
        assert clock() == pytest.approx(START + 10.5)
        assert works.queue.states() == [State.DONE, State.RUNNING, State.DONE]


@virtual_time
async def test_what_is_being_claimed_when_the_end_comes_is_waited_for_too() -> None:
    class Slow(MemoryQueue):
        async def claim(self, kind: Kind, *, limit: int, now: float) -> list[Job]:
            jobs = await super().claim(kind, limit=limit, now=now)
            await asyncio.sleep(2)
            return jobs

    queue = Slow()
    queue.put(clock())
    lane = Lane(Kind.SEND, queue, Hands(taking(3)), concurrency=1, clock=clock)
    run = asyncio.create_task(lane.run())
    await asyncio.sleep(1)
    assert await lane.drain(10) == 0
    assert queue.states() == [State.DONE]
    await run


@virtual_time
async def test_the_end_does_not_wait_for_a_journal_that_is_down() -> None:
    async with at_work(taking(1)) as works:
        works.put()
        await asyncio.sleep(0.5)
        works.queue.down = True
        assert await works.lane.drain(8) == 1
        works.queue.down = False
        assert works.queue.states() == [State.RUNNING]


# The log.


@virtual_time
async def test_a_settled_job_is_one_line_that_tells_neither_numbers_nor_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcomes = [DONE, Outcome(Event.GIVE_UP, error="Undeliverable", code=131026)]

    async def work(job: Job) -> Outcome:
        return outcomes[job.id - 1]

    async with at_work(work, concurrency=1) as works:
        works.put(2)
        await asyncio.sleep(1)
    logged = capsys.readouterr().out.strip().split("\n")
    assert [re.sub(r"^\S+ \S+ ", "", line).split() for line in logged] == [
        ["info", "send.settled", "state=done", "job=1", "contact=91…01", "attempt=1"],
        ["info", "send.settled", "state=failed", "job=2", "contact=91…02", "attempt=1", "error=Undeliverable",
         "code=131026"],
    ]  # fmt: skip


@virtual_time
async def test_a_journal_that_is_down_is_said_once_at_warning_and_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with at_work(taking(0)) as works:
        works.queue.down = True
        works.put()
        await asyncio.sleep(3600)
        works.queue.down = False
    logged = capsys.readouterr().out
    assert len(lines(logged, "lane.waiting")) == 1
    assert " error " not in logged
    assert "Traceback" not in logged
