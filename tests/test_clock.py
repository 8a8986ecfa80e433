from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from wabot.clock import SteadyClock


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


def test_it_tells_the_time_of_the_machine() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock() == machine.wall
    machine.wait(10)
    assert clock() == machine.wall


def test_it_goes_on_when_the_machine_is_set_back() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock()
    machine.wait(1, set_by=-3600)
    assert clock() == before + 1
    machine.wait(10)
    assert clock() == before + 11


def test_it_follows_when_the_machine_is_set_forward() -> None:
    machine = Machine()
    clock = machine.clock()
    clock()
    machine.wait(1, set_by=3600)
    assert clock() == machine.wall
    machine.wait(5)
    assert clock() == machine.wall


def test_a_machine_that_is_set_right_in_the_end_is_followed_again() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wait(1, set_by=-60)
    clock()
    machine.wait(100, set_by=60)
    assert clock() == machine.wall


@given(steps=st.lists(st.tuples(st.floats(0, 1e4), st.floats(-1e5, 1e5)), max_size=20))
def test_however_the_machine_is_set_a_second_lasts_at_least_a_second(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock = machine.clock()
    told = clock()
    for seconds, set_by in steps:
        machine.wait(seconds, set_by=set_by)
        assert clock() - told >= seconds - 1e-4
        assert clock() >= machine.wall - 1e-4
        told = clock()


def test_by_default_it_is_the_real_time() -> None:
    assert abs(SteadyClock()() - time.time()) < 1
