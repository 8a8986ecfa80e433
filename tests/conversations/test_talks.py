"""Every talk in this folder, played against the real service. `python run.py rehearse FILE` plays one by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from wabot.rehearsal.command import play
from wabot.rehearsal.talk import read
from wabot.settings.loading import Settings

TALKS = sorted(Path(__file__).parent.glob("*.toml"))


@pytest.mark.parametrize("file", TALKS, ids=lambda file: file.stem)
def test_the_talk_goes_as_written(file: Path) -> None:
    played = play(read(file), Settings())

    assert not played.faults, "\n".join(["", *played.lines])


@pytest.mark.parametrize("file", TALKS, ids=lambda file: file.stem)
def test_every_turn_says_what_is_seen(file: Path) -> None:
    talk = read(file)

    assert talk.title
    assert [turn.place for turn in talk.turns if turn.expected.sees is None and turn.expected.like is None] == []


def test_there_are_talks() -> None:
    assert len(TALKS) >= 40
