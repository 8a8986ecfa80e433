from __future__ import annotations

from wabot.core.log_throttle import REMEMBERED, Throttle


def test_the_first_is_worth_a_line_and_later_ones_every_minute_with_their_count() -> None:
    seldom = Throttle(60.0)
    assert [seldom.count("a", at) for at in (0, 1, 59, 60, 61, 200)] == [1, 0, 0, 3, 0, 2]
    assert seldom.count("b", 61) == 1


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    seldom = Throttle(60.0)
    assert [seldom.count("a", at) for at in (1000, 500, 501)] == [1, 1, 0]


def test_kinds_without_end_do_not_fill_the_memory() -> None:
    seldom = Throttle(60.0)
    assert all(seldom.count(str(kind), 0) == 1 for kind in range(3 * REMEMBERED))
    assert len(seldom._kinds) <= REMEMBERED
