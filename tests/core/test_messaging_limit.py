"""Meta's messaging limit: people who are written to first, over a moving day."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.account_news import most_people
from wabot.core.messaging_limit import DAY, MessagingLimit

NOW = 1_800_000_000.0


def limit_of(most: float) -> MessagingLimit:
    limit = MessagingLimit()
    limit.allow(most)
    return limit


@pytest.mark.parametrize(
    ("value", "most"),
    [
        (2000, 2000), ("250", 250), ("TIER_50", 50), ("TIER_1K", 1000), ("TIER_2K", 2000), ("TIER_100K", 100_000),
        ("TIER_UNLIMITED", math.inf), (-1, math.inf), ("TIER_NOT_SET", None), (None, None), ("", None), (0, None),
        ({}, None), ("a lot", None),
    ],
)  # fmt: skip
def test_a_limit_is_read_in_all_the_forms_in_which_meta_names_it(value: object, most: float | None) -> None:
    assert most_people(value) == most


def test_each_person_counts_once_and_again_after_a_day() -> None:
    limit = limit_of(2)
    for person in ("a", "b", "a", "b"):
        assert limit.free_at(person, NOW) == NOW
        limit.spend(person, NOW)
    assert limit.free_at("c", NOW + 1) == NOW + DAY
    assert limit.free_at("c", NOW + DAY) == NOW + DAY


def test_each_who_waits_gets_a_place_of_their_own() -> None:
    limit = limit_of(3)
    for number in range(3):
        limit.spend(f"a{number}", NOW + number)
    places = [limit.free_at(f"b{number}", NOW + 10) for number in range(4)]
    assert places == [NOW + DAY, NOW + DAY + 1, NOW + DAY + 2, NOW + 10 + DAY]


def test_who_was_refused_does_not_count_unless_they_counted_before() -> None:
    limit = limit_of(1)
    limit.give_back("a", limit.spend("a", NOW))
    assert limit.used(NOW) == 0
    limit.spend("a", NOW)
    limit.give_back("a", limit.spend("a", NOW + 60))
    assert limit.free_at("b", NOW + DAY - 1) == NOW + DAY
    assert limit.free_at("b", NOW + DAY) == NOW + DAY


def test_a_limit_that_falls_lets_go_only_when_enough_days_are_over() -> None:
    limit = limit_of(4)
    for number in range(4):
        limit.spend(f"a{number}", NOW + number)
    limit.allow(2)
    assert limit.free_at("b", NOW + 10) == NOW + 2 + DAY


def test_a_count_of_the_journals_replaces_what_was_known_but_for_what_left_just_now() -> None:
    limit = limit_of(10)
    limit.spend("failed since", NOW)
    limit.spend("just now", NOW + 100)
    limit.recount([("of another account", NOW + 50)], known_from=NOW + 60)
    assert limit.used(NOW + 100) == 2
    assert limit.free_at("failed since", NOW + 100) == NOW + 100


def test_a_clock_that_is_set_back_keeps_nobody_for_longer_than_a_day() -> None:
    limit = limit_of(1)
    limit.spend("a", NOW + 40 * DAY)
    assert limit.free_at("b", NOW) == NOW + DAY
    assert limit.free_at("b", NOW + DAY) == NOW + DAY


def test_how_long_it_takes_is_said_in_days() -> None:
    limit = limit_of(250)
    limit.spend("a", NOW)
    assert [limit.seconds(count, NOW) for count in (0, 249, 250, 499, 500)] == [0, 0, DAY, DAY, 2 * DAY]
    assert limit_of(math.inf).seconds(10**6, NOW) == 0


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, DAY / 2), st.integers(0, 12), st.booleans()), max_size=60),
)
def test_in_no_day_more_people_are_written_to_than_the_limit(most: int, asked: list[tuple[float, int, bool]]) -> None:
    limit, now, left, due = limit_of(most), NOW, list[tuple[float, int]](), list[tuple[float, int]]()
    for pause, person, refused in asked:
        now += pause
        due.append((now, person))
        for at, each in [one for one in due if one[0] <= now]:
            due.remove((at, each))
            if (free_at := limit.free_at(str(each), now)) > now:
                assert free_at <= now + DAY
                due.append((free_at, each))
            elif refused:
                limit.give_back(str(each), limit.spend(str(each), now))
            else:
                limit.spend(str(each), now)
                left.append((now, each))
    for at, _ in left:
        assert len({person for other, person in left if at - DAY < other <= at}) <= most
