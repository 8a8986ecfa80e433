from __future__ import annotations

import pytest

from wabot.core.sends_in_flight import LEAST, MOST, SendsInFlight


def seen(latency: float, most: int = MOST) -> SendsInFlight:
    """After many answers that took so many seconds."""
    sends = SendsInFlight(most)
    for _ in range(200):
        sends.answered(latency)
    return sends


@pytest.mark.parametrize(
    ("rate", "latency", "room"),
    [(1000, 0.1, 200), (1000, 0.2, 400), (1000, 5.0, MOST), (80, 0.1, LEAST), (80, 0.4, 64), (0, 0.1, MOST)],
)
def test_so_many_may_be_in_flight_as_twice_the_rate_needs(rate: float, latency: float, room: int) -> None:
    assert seen(latency).room(rate) == pytest.approx(room, rel=0.01)


@pytest.mark.parametrize("rate", [0, 20, 1000])
def test_the_bound_of_the_settings_is_never_passed(rate: float) -> None:
    assert seen(0.1, most=4).room(rate) == seen(30, most=4).room(rate) == 4


def test_the_rate_is_reached_before_meta_has_answered_anything() -> None:
    assert SendsInFlight().room(1000) >= 1000 * 0.1


def test_what_is_on_its_way_takes_room_until_it_ends() -> None:
    sends = seen(0.1)
    sends.begin(150)
    assert sends.room(1000) == pytest.approx(50, abs=1)
    sends.end()
    assert sends.room(1000) == pytest.approx(51, abs=1)


def test_a_meta_that_stops_answering_gets_no_more_than_before() -> None:
    sends = seen(0.1)
    sends.begin(200)
    assert sends.room(1000) < 1


def test_a_meta_that_becomes_slower_gets_more_as_its_answers_come() -> None:
    sends, room = seen(0.1), 0.0
    for _ in range(50):
        sends.answered(0.3)
        assert room <= (room := sends.room(1000))
    assert room >= 300
