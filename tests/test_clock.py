from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.assembly.clock import CONFIRM_SECONDS, DRIFT_SECONDS, RIDDEN_OUT_SECONDS, SteadyClock

HOUR, DAY = 3600.0, 86400.0


class Machine:
    """The machine's two clocks, in a test's hands."""

    def __init__(self, wall: float = 1_700_000_000.0, monotonic: float = 100.0) -> None:
        self.wall, self.monotonic = wall, monotonic

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.monotonic)

    def wait(self, seconds: float, *, set_by: float = 0.0) -> None:
        """Time passes, and somebody sets the wall clock meanwhile."""
        self.monotonic += seconds
        self.wall += seconds + set_by


def after(machine: Machine, clock: SteadyClock, seconds: float) -> float:
    """The time when so many seconds have passed, somebody having asked for it every second as upkeep does."""
    for _ in range(int(seconds)):
        machine.wait(1)
        clock()
    return clock()


def test_it_is_the_time_of_the_machine() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock() == machine.wall
    machine.wait(10)
    assert clock() == machine.wall


def test_it_goes_on_when_the_machine_is_set_back_by_up_to_an_hour() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock()
    machine.wait(1, set_by=-HOUR)
    assert clock() == before + 1
    assert after(machine, clock, 300) == before + 301


@pytest.mark.parametrize("set_by", [-DAY, -2 * HOUR, 60.0, HOUR, 30 * DAY])
def test_a_jump_that_lasts_is_followed_after_a_minute(set_by: float) -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock()
    machine.wait(1, set_by=set_by)
    assert after(machine, clock, CONFIRM_SECONDS - 1) == before + CONFIRM_SECONDS
    assert after(machine, clock, 2) == machine.wall
    machine.wait(5)
    assert clock() == machine.wall


@pytest.mark.parametrize("set_by", [-DAY, -HOUR, 60.0, HOUR, 30 * DAY])
def test_a_jump_of_a_moment_changes_nothing(set_by: float) -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(10):  # and many of them do not add up
        machine.wait(1, set_by=set_by)
        assert clock() == machine.wall - set_by
        assert after(machine, clock, 20) == machine.wall - set_by
        machine.wait(1, set_by=-set_by)
        assert after(machine, clock, 20) == machine.wall


def test_a_jump_that_lasted_too_long_is_taken_back_when_the_machine_is_set_right() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wait(1, set_by=2 * DAY)
    assert after(machine, clock, 120) == machine.wall
    machine.wait(1, set_by=-2 * DAY)
    assert after(machine, clock, 120) == machine.wall


def test_a_clock_that_is_slewed_is_followed_forward_at_once() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(1000):
        machine.wait(1, set_by=0.1)
        assert clock() == pytest.approx(machine.wall, abs=1e-4)


def test_a_machine_that_is_set_right_in_the_end_is_followed_again() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wait(1, set_by=-60)
    clock()
    machine.wait(100, set_by=60)
    assert clock() == machine.wall


@given(steps=st.lists(st.tuples(st.floats(0, 1e4), st.floats(-RIDDEN_OUT_SECONDS, 1e5)), max_size=20))
def test_a_second_lasts_at_least_a_second_unless_the_clock_is_set_back_by_more_than_an_hour(
    steps: list[tuple[float, float]],
) -> None:
    machine = Machine()
    clock = machine.clock()
    before, latest = clock(), machine.wall
    for seconds, set_by in steps:
        machine.wait(seconds, set_by=max(set_by, latest - RIDDEN_OUT_SECONDS + 1e-3 - machine.wall))
        latest = max(latest + seconds, machine.wall)
        assert clock() - before >= seconds - 1e-4
        before = clock()


@given(steps=st.lists(st.tuples(st.floats(0, 1e4), st.floats(-1e6, 1e6)), max_size=20))
def test_however_the_machine_is_set_two_minutes_later_it_is_followed(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock = machine.clock()
    for seconds, set_by in steps:
        machine.wait(seconds, set_by=set_by)
        clock()
    now = after(machine, clock, 2 * CONFIRM_SECONDS)
    assert machine.wall - DRIFT_SECONDS <= now <= machine.wall + RIDDEN_OUT_SECONDS + 1e-3


def test_by_default_it_is_the_real_time() -> None:
    assert abs(SteadyClock()() - time.time()) < 1
