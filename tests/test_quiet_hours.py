"""Hours in which nobody is written to unasked."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from wabot.quiet_hours import QuietHours

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    """The Unix time of what a clock shows."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("text", "now", "end"),
    [
        ("21:00-08:00", "2026-11-26T20:59:59", None),
        ("21:00-08:00", "2026-11-26T21:00", "2026-11-27T08:00"),
        ("21:00-08:00", "2026-11-26T23:59", "2026-11-27T08:00"),
        ("21:00-08:00", "2026-11-27T00:00", "2026-11-27T08:00"),
        ("21:00-08:00", "2026-11-27T08:00", None),
        ("12:30 - 14:00", "2026-11-26T13:00", "2026-11-26T14:00"),
        ("12:30-14:00", "2026-11-26T14:00", None),
        ("21:00-08:00", "2026-10-24T22:00", "2026-10-25T08:00"),  # the clocks are set back in this night
        ("21:00-08:00", "2026-03-28T22:00", "2026-03-29T08:00"),  # and forward in this one
    ],
)
def test_quiet_hours_end_by_the_clocks_of_the_zone(text: str, now: str, end: str | None) -> None:
    assert QuietHours.of(text, BERLIN).end_at(at(now)) == (end and at(end))


def test_an_hour_that_comes_twice_ends_the_second_time() -> None:
    quiet = QuietHours.of("21:00-02:30", BERLIN)
    assert quiet.end_at(at("2026-10-25T02:10", fold=1)) == at("2026-10-25T02:30", fold=1)


def test_the_same_hours_are_others_elsewhere() -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
    assert QuietHours.of("21:00-08:00", ZoneInfo("Pacific/Auckland")).end_at(noon) is not None
    assert QuietHours.of("21:00-08:00", ZoneInfo("Asia/Kolkata")).end_at(noon) is None
    assert QuietHours().end_at(noon) is None


@pytest.mark.parametrize("text", ["21-8", "21:00", "24:00-08:00", "21:00-08:60", "night", "08:00-08:00", "٢١:٠٠-٠٨:٠٠"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        QuietHours.of(text, UTC)
