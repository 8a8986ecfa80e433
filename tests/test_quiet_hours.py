"""Hours in which nobody is written to unasked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.batch_building import Asked
from wabot.batch_building import Bulk as Batch
from wabot.quiet_hours import QuietHours
from wabot.rehearsal.models import Script
from wabot.rehearsal.stage import Stage, settings_for
from wabot.rehearsal.talk import Talk
from wabot.rehearsal.transcript import Transcript
from wabot.rehearsal.virtual_time import VirtualTime
from wabot.settings.bulk import Bulk
from wabot.settings.loading import Settings

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


@pytest.mark.parametrize("now", ["2026-10-24T22:00", "2026-10-25T02:10", "2026-10-25T02:40"])
@pytest.mark.parametrize("fold", [0, 1])
def test_an_end_that_comes_twice_counts_the_second_time(now: str, fold: int) -> None:
    quiet, over = QuietHours.of("21:00-02:30", BERLIN), now == "2026-10-25T02:40" and fold == 1
    assert quiet.end_at(at(now, fold=fold)) == (None if over else at("2026-10-25T02:30", fold=1))


def test_a_start_that_comes_twice_counts_the_first_time() -> None:
    quiet = QuietHours.of("02:30-08:00", BERLIN)
    assert quiet.end_at(at("2026-10-25T02:29")) is None
    for now in (at("2026-10-25T02:30"), at("2026-10-25T02:10", fold=1)):
        assert quiet.end_at(now) == at("2026-10-25T08:00")


def test_an_end_that_the_clocks_skip_is_when_they_do() -> None:
    quiet, skipped = QuietHours.of("21:00-02:30", BERLIN), at("2026-03-29T03:00")
    for now in (at("2026-03-28T21:00"), at("2026-03-29T01:59:59"), skipped - 0.001):
        assert quiet.end_at(now) == skipped
    assert quiet.end_at(skipped) is None


def test_a_start_that_the_clocks_skip_is_when_they_do() -> None:
    quiet, skipped = QuietHours.of("02:30-08:00", BERLIN), at("2026-03-29T03:00")
    assert quiet.end_at(skipped - 0.001) is None
    assert quiet.end_at(skipped) == at("2026-03-29T08:00")


def test_a_day_that_is_skipped_joins_the_quiet_hours_of_two() -> None:
    samoa = ZoneInfo("Pacific/Apia")  # had no 30 December 2011
    quiet = QuietHours.of("21:00-08:00", samoa)
    assert quiet.end_at(at("2011-12-29T22:00", samoa)) == at("2011-12-31T08:00", samoa)


CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00"), ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"), ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"), ("Australia/Lord_Howe", "2026-10-03T15:30"),  # by half an hour
    ("America/Havana", "2026-03-08T05:00"), ("America/Havana", "2026-11-01T05:00"),  # at midnight
    ("America/St_Johns", "2010-11-07T02:31"),  # a minute after midnight, back to the day before
    ("Africa/Casablanca", "2026-02-15T02:00"), ("Africa/Casablanca", "2026-03-22T02:00"),
    ("Antarctica/Troll", "2026-03-29T01:00"), ("Antarctica/Troll", "2026-10-25T01:00"),  # by two hours
    ("Pacific/Apia", "2011-12-30T10:00"), ("Asia/Kolkata", "2026-06-01T00:00"), ("UTC", "2026-01-01T00:00"),
]  # fmt: skip
"""Zones, and moments of UTC at which their clocks are set forward or back."""


@given(
    change=st.sampled_from(CHANGES),
    start=st.integers(0, 1439),
    length=st.integers(1, 1439),
    minutes=st.integers(-2000, 2000),
)
def test_the_end_is_the_first_moment_that_is_not_quiet(
    change: tuple[str, str], start: int, length: int, minutes: int
) -> None:
    """What the clock alone says is quiet; beside that nothing but what it shows twice in a night."""
    zone, changed = ZoneInfo(change[0]), datetime.fromisoformat(change[1]).replace(tzinfo=UTC).timestamp()
    end = (start + length) % 1440
    quiet = QuietHours.of(f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}", zone)
    now = changed + minutes * 60

    def by_the_clock(at: float) -> bool:
        shown = datetime.fromtimestamp(at, zone)
        return (shown.hour * 60 + shown.minute - start) % 1440 < length

    def is_shown_twice(at: float) -> bool:
        shown = datetime.fromtimestamp(at, zone)
        return shown.replace(fold=0).timestamp() < shown.replace(fold=1).timestamp()

    ends = quiet.end_at(now)
    if ends is None:
        assert not by_the_clock(now)
        return
    assert not by_the_clock(ends)
    assert quiet.end_at(ends) is None
    assert ends > now
    for at in range(int(now), int(ends), 60):
        assert by_the_clock(at) or is_shown_twice(at)
        assert quiet.end_at(at) == ends


def test_the_same_hours_are_others_elsewhere() -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
    assert QuietHours.of("21:00-08:00", ZoneInfo("Pacific/Auckland")).end_at(noon) is not None
    assert QuietHours.of("21:00-08:00", ZoneInfo("Asia/Kolkata")).end_at(noon) is None
    assert QuietHours().end_at(noon) is None


@pytest.mark.parametrize("text", ["21-8", "21:00", "24:00-08:00", "21:00-08:60", "night", "08:00-08:00", "٢١:٠٠-٠٨:٠٠"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        QuietHours.of(text, UTC)


@pytest.mark.parametrize(
    ("starts", "leaves"),
    [
        ("2026-11-26T20:59:58", "2026-11-26T20:59:58"),
        ("2026-11-26T21:00", "2026-11-27T02:30"),
        ("2026-03-28T23:00", "2026-03-29T03:00"),
        ("2026-10-24T23:00", "2026-10-25T02:30"),
    ],
)
def test_what_is_held_leaves_when_the_quiet_hours_end(tmp_path: Path, starts: str, leaves: str) -> None:
    """From outside, in virtual time: a batch is accepted at night, and Meta gets it in the morning."""
    talk = replace(NO_TALK, starts=datetime.fromisoformat(starts).replace(tzinfo=BERLIN))
    owner = Settings(bulk=Bulk(quiet_hours="21:00-02:30", timezone="Europe/Berlin"))

    async def send() -> float:
        stage = Stage(talk, settings_for(talk, owner, tmp_path), Script(notes := Transcript(BERLIN)), notes)
        await stage.start()
        batch_id, _ = await stage.service.initiate(Batch([Asked("919216598210")], HELLO))
        await stage.service.wait(batch_id, 86400)
        (sent,) = stage.meta.sent
        await stage.stop()
        return sent.at

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        assert runner.run(send()) == pytest.approx(at(leaves, fold=1), abs=2)


HELLO = {"name": "hello_world", "language": "en_US", "components": []}
NO_TALK = Talk(Path("night.toml"), "", datetime.now(BERLIN), {}, {}, "", False, {}, ())
