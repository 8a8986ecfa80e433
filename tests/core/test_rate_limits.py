"""Meta's limits, in simulated time: nothing here waits."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wabot.core.rate_limits import PAUSE_MAX_SECONDS, RECOVERY_SECONDS, Bucket, Pace, PairLedger

START = 1_700_000_000.0
TICK = 1e-6
"""A clock of Unix seconds has steps; whoever wakes up is never earlier than that."""


def backlog(bucket: Bucket, begin: float, seconds: float, *, at_once: int = 32) -> list[float]:
    """When messages leave in `seconds` if there are always more, `at_once` of them in the hands of a lane."""
    now, left = begin, []
    while now < begin + seconds:
        count = int(min(max(bucket.room(now), 0), at_once))
        bucket.spend(count, now)
        left += [now] * count
        now += max(bucket.wait(now), TICK)
    return left


def busiest_second(times: list[float]) -> int:
    """The most that any second [t, t + 1) saw."""
    return max(bisect_left(times, at + 1) - index for index, at in enumerate(times))


@settings(max_examples=40, deadline=None)
@given(rate=st.integers(1, 1000), at_once=st.integers(1, 64))
@example(rate=80, at_once=32)
@example(rate=1000, at_once=32)
@example(rate=1, at_once=1)
@example(rate=21, at_once=8)
def test_no_second_sees_more_than_the_rate_and_nine_tenths_of_it_are_used(rate: int, at_once: int) -> None:
    seconds = 5 if rate > 10 else 60
    left = backlog(Bucket(rate, START), START, seconds, at_once=at_once)
    assert busiest_second(left) <= rate
    assert len(left) >= 0.9 * rate * seconds


@settings(max_examples=25, deadline=None)
@given(
    rate=st.integers(2, 200),
    pauses=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=6),
)
def test_no_second_sees_more_than_the_rate_though_the_backlog_comes_and_goes(
    rate: int, pauses: list[tuple[float, float]]
) -> None:
    bucket, now, left = Bucket(rate, START), START, list[float]()
    for idle, busy in pauses:
        left += backlog(bucket, now + idle, busy)
        now += idle + busy
    assert not left or busiest_second(left) <= rate


def test_what_came_in_counts_as_meta_counts_it() -> None:
    bucket = Bucket(100, START)
    bucket.spend(50, START)
    assert bucket.room(START) < 1
    assert bucket.wait(START) == pytest.approx(0.5, abs=0.05)
    assert 40 <= len(backlog(bucket, START, 1)) <= 55


def test_a_flood_from_outside_does_not_silence_us_for_longer_than_about_a_second() -> None:
    bucket = Bucket(100, START)
    bucket.spend(100_000, START)
    assert 1 <= bucket.wait(START) < 1.2


def test_what_was_not_sent_after_all_is_given_back() -> None:
    bucket = Bucket(100, START)
    before = bucket.room(START)
    bucket.spend(3, START)
    bucket.spend(-3, START)
    assert bucket.room(START) == before
    bucket.spend(-100, START)
    assert bucket.room(START) == before, "never more than it holds"


def test_a_rate_of_zero_is_no_limit_until_meta_names_a_pause() -> None:
    bucket = Bucket(0, START)
    bucket.spend(10_000, START)
    bucket.slow_down(START)
    assert (bucket.room(START), bucket.wait(START)) == (float("inf"), 0.0)
    bucket.slow_down(START, 10)
    assert (bucket.room(START + 9), bucket.wait(START + 9)) == (0.0, 1.0)
    assert bucket.room(START + 10) == float("inf")


def test_a_complaint_halves_the_rate_and_empties_the_bucket() -> None:
    bucket = Bucket(80, START)
    bucket.slow_down(START)
    assert (bucket.rate, bucket.room(START)) == (40, 0)
    left = backlog(bucket, START, 1)
    assert 36 <= len(left) <= 42


def test_what_is_in_flight_complains_together_and_counts_once() -> None:
    bucket = Bucket(80, START)
    for flight in range(32):
        bucket.slow_down(START + flight / 100)
    assert 40 <= bucket.rate < 42


def test_the_rate_never_falls_below_a_sixteenth_and_something_always_leaves() -> None:
    bucket = Bucket(80, START)
    for second in range(60):
        bucket.slow_down(START + second)
    assert 5 <= bucket.rate <= 6
    assert backlog(bucket, START + 60, 2)


def test_after_a_complaint_the_whole_rate_comes_back_by_and_by() -> None:
    bucket = Bucket(80, START)
    bucket.slow_down(START)
    bucket.room(START + RECOVERY_SECONDS / 2)
    assert bucket.rate == pytest.approx(60)
    bucket.room(START + RECOVERY_SECONDS)
    assert bucket.rate == pytest.approx(80)
    left = backlog(bucket, START + RECOVERY_SECONDS, 5)
    assert busiest_second(left) <= 80
    assert len(left) >= 0.9 * 80 * 5


def test_a_pause_that_meta_asks_for_is_kept_by_all_but_not_for_hours() -> None:
    bucket = Bucket(80, START)
    bucket.slow_down(START, 60)
    assert bucket.room(START + 59.9) == 0
    assert bucket.wait(START + 50) == pytest.approx(10)
    assert bucket.room(START + 60) >= 1
    bucket.slow_down(START + 100, 86400)
    assert bucket.wait(START + 100) == PAUSE_MAX_SECONDS


@settings(max_examples=40, deadline=None)
@given(
    rate=st.integers(2, 1000),
    late=st.lists(st.floats(0, 60), min_size=1, max_size=20),
    count=st.integers(0, 3),
    slow=st.booleans(),
)
@example(rate=1000, late=[0.004], count=0, slow=False)
@example(rate=80, late=[30.0], count=1, slow=False)
def test_late_news_refill_nothing(rate: int, late: list[float], count: int, slow: bool) -> None:
    """Webhooks and answers come in between, each with the time at which it began."""
    bucket, now, left, turn = Bucket(rate, START), START, list[float](), 0
    while now < START + 3:
        leaving = int(min(max(bucket.room(now), 0), 32))
        bucket.spend(leaving, now)
        left += [now] * leaving
        turn += 1
        bucket.spend(count, now - late[turn % len(late)])
        if slow and turn == 5:
            bucket.slow_down(now)
        now += max(min(bucket.wait(now), 1 / rate), TICK)
    assert not left or busiest_second(left) <= rate


def test_what_comes_in_is_taken_off_the_rate_though_it_is_counted_late() -> None:
    bucket, now, left = Bucket(100, START), START, list[float]()
    while now < START + 10:
        leaving = int(max(bucket.room(now), 0))
        bucket.spend(leaving, now)
        left += [now] * leaving
        bucket.spend(1, now - 0.2)  # 50 a second
        now += 0.02
    assert 350 <= len(left) <= 500


@pytest.mark.parametrize("back", [11.0, 60.0, 3600.0, 1e9])
def test_a_clock_that_is_set_back_stops_nothing(back: float) -> None:
    bucket = Bucket(80, START)
    backlog(bucket, START, 1)
    bucket.spend(1, START + 1 - back)
    assert len(backlog(bucket, START + 1 - back, 2)) >= 70


def test_a_pause_is_as_long_as_meta_asked_though_the_clock_is_set_back() -> None:
    for rate in (80, 0):
        bucket = Bucket(rate, START)
        bucket.slow_down(START, 60)
        assert bucket.wait(START - 3600) == pytest.approx(60)
        assert bucket.room(START - 3600 + 60) >= 1


def test_a_complaint_after_the_clock_was_set_back_is_heard() -> None:
    bucket = Bucket(80, START)
    bucket.slow_down(START)
    bucket.room(START - 3600)
    bucket.slow_down(START - 3600 + 1)
    assert bucket.rate < 25


# One person.


def leaving(pairs: PairLedger, count: int, begin: float = START) -> list[float]:
    """When `count` messages to one person leave, each as early as it may; seconds after `begin`."""
    now, left = begin, []
    for _ in range(count):
        now = pairs.free_at(1, now)
        pairs.spend(1, now)
        left.append(now - begin)
    return left


def test_a_burst_leaves_at_once_and_is_paid_with_silence() -> None:
    assert leaving(PairLedger(6.0, 45), 91) == [0.0] * 45 + [270.0] * 45 + [540.0]


def test_twenty_at_once_cost_two_minutes() -> None:
    pairs = PairLedger(6.0, 45)
    leaving(pairs, 20)
    assert pairs.free_at(1, START + 6) == START + 120


def test_in_the_long_run_one_leaves_every_interval_and_none_is_wasted() -> None:
    left = leaving(PairLedger(6.0, 45), 1000)
    assert left[-1] <= 1000 * 6.0
    assert 1000 * 6.0 - left[-1] <= 45 * 6.0


def test_without_bursts_it_is_one_for_each_interval() -> None:
    assert leaving(PairLedger(6.0, 1), 4) == [0.0, 6.0, 12.0, 18.0]


@given(gaps=st.lists(st.floats(0, 400), max_size=80), interval=st.floats(0.1, 60), burst=st.integers(1, 45))
def test_whenever_they_are_wanted_no_more_leave_than_meta_allows(
    gaps: list[float], interval: float, burst: int
) -> None:
    pairs, now, left = PairLedger(interval, burst), 0.0, list[float]()
    for gap in gaps:
        now = pairs.free_at(1, now + gap)
        pairs.spend(1, now)
        left.append(now)
    while left:
        began = left[0]
        together = [at for at in left if at < began + interval]
        assert len(together) <= burst
        left = left[len(together) :]
        assert not left or left[0] >= began + interval * len(together), "first what was borrowed is paid back"


@pytest.mark.parametrize("back", [11.0, 3600.0, 1e9])
def test_a_clock_that_is_set_back_keeps_nobody_waiting_longer_than_the_burst_costs(back: float) -> None:
    pairs = PairLedger(6.0, 45)
    leaving(pairs, 45)
    assert pairs.free_at(1, START - back) == START - back + 270
    assert pairs.free_at(1, START - back + 270) == START - back + 270


def test_people_do_not_wait_for_each_other() -> None:
    pairs = PairLedger(6.0, 1)
    pairs.spend(1, START)
    assert pairs.free_at(1, START) == START + 6
    assert pairs.free_at(2, START) == START


def test_complaints_in_a_row_wait_four_times_as_long_each() -> None:
    pairs = PairLedger(6.0, 45)
    waits = []
    for _ in range(7):
        pairs.spend(1, START)
        pairs.refund(1)
        waits.append(pairs.complain(1, START))
        pairs.forget(START + waits[-1])
    assert waits == [1, 4, 16, 64, 256, 270, 270]
    assert pairs.complain(2, START) == 1


def test_a_message_that_meta_took_ends_the_complaints() -> None:
    pairs = PairLedger(6.0, 45)
    pairs.complain(1, START)
    pairs.complain(1, START)
    pairs.calm(1)
    assert pairs.complain(1, START) == 1


def test_complaints_of_long_ago_do_not_count() -> None:
    pairs = PairLedger(6.0, 45)
    pairs.complain(1, START)
    pairs.complain(1, START)
    pairs.forget(START + 3600)
    assert pairs.complain(1, START + 3600) == 1


def test_complaints_without_end_do_not_overflow() -> None:
    pairs = PairLedger(6.0, 45)
    assert {pairs.complain(1, START) for _ in range(5000)} == {1, 4, 16, 64, 256, 270}


def test_what_never_left_is_not_counted() -> None:
    pairs = PairLedger(6.0, 2)
    pairs.spend(1, START)
    pairs.refund(1)
    pairs.refund(1)
    assert leaving(pairs, 3) == [0.0, 0.0, 12.0]


@given(gaps=st.lists(st.floats(0, 100), max_size=150), after=st.floats(0, 300), burst=st.integers(1, 45))
def test_rebuilt_from_what_was_sent_lately_it_gives_the_same_answers(
    gaps: list[float], after: float, burst: int
) -> None:
    before, now, sent = PairLedger(6.0, burst), 0.0, list[float]()
    for gap in gaps:
        now = before.free_at(1, now + gap)
        before.spend(1, now)
        sent.append(now)
    rebuilt = PairLedger(6.0, burst)
    for at in sent:
        if at >= now + after - 6.0 * burst:
            rebuilt.spend(1, at)
    assert rebuilt.free_at(1, now + after) == before.free_at(1, now + after)


def test_whoever_owes_no_silence_is_forgotten() -> None:
    pairs = PairLedger(6.0, 45)
    leaving(pairs, 10)
    pairs.spend(2, START)
    pairs.complain(2, START)
    pairs.forget(START + 30)
    assert list(pairs._bursts) == [1]
    pairs.forget(START + 600)
    assert pairs._bursts == pairs._strikes == {}


def test_a_pace_allows_some_turns_at_once_and_then_one_each_interval() -> None:
    pace = Pace(10.0, 3)
    begun = []
    now = 0.0
    for _ in range(6):
        now = pace.free_at(1, now)
        begun.append(now)
        pace.spend(1, now)
    assert begun == [0.0, 0.0, 0.0, 10.0, 20.0, 30.0]
    assert pace.free_at(2, now) == now, "of each person alone"
    assert pace.free_at(1, 100.0) == 100.0


def test_a_pace_of_no_interval_bounds_nothing() -> None:
    pace = Pace(0.0, 4)
    for _ in range(100):
        assert pace.free_at(1, 5.0) == 5.0
        pace.spend(1, 5.0)


def test_a_clock_set_back_keeps_nobody_waiting_for_long() -> None:
    pace = Pace(10.0, 3)
    for _ in range(3):
        pace.spend(1, 1e9)
    assert pace.free_at(1, 1000.0) == 1010.0


def test_a_pace_lets_go_of_those_who_are_quiet() -> None:
    pace = Pace(10.0, 3)
    for contact in range(1000):
        pace.spend(contact, float(contact))
    assert len(pace._paid_at) <= 11


def test_an_upgraded_number_sends_at_the_whole_rate_again_up_to_what_was_set() -> None:
    bucket = Bucket(80.0, START)
    bucket.slow_down(START, 0.0)
    assert bucket.rate < 80
    bucket.allow(1000.0)
    assert bucket.rate == 80
    fast = Bucket(2000.0, START)
    fast.allow(1000.0)
    assert fast.rate == 1000
    boundless = Bucket(0.0, START)
    boundless.allow(1000.0)
    assert boundless.room(START) == float("inf")
