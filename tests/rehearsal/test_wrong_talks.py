"""A rehearsal sees what is wrong, and says where: talks that are wrong on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from wabot.rehearsal.command import Played, play
from wabot.rehearsal.tables import TalkError
from wabot.rehearsal.talk import read
from wabot.settings.errors import SettingsError
from wabot.settings.loading import Settings

BEFORE = """
contact = "Ana"
[settings.first_contact]
answer = "ai"
[settings.handoff]
alert_number = "491711234567"
"""


def written(place: Path, text: str, before: str = BEFORE) -> Path:
    file = place / "talk.toml"
    file.write_text(before + text, encoding="utf-8")
    return file


def played(place: Path, turn: str) -> Played:
    return play(read(written(place, f"[[turn]]\n{turn}")), Settings())


def faults(place: Path, turn: str) -> list[str]:
    """The lines with what is wrong."""
    found = played(place, turn)
    marked = [line for line in found.lines if "✗" in line]
    assert len(marked) == found.faults
    return marked


def test_a_right_talk_has_no_faults(tmp_path: Path) -> None:
    assert faults(tmp_path, 'contact = "Hi"\nmodel = "Hello!"\nsees = "Hello!"\nshown = "contact: Hi"') == []


@pytest.mark.parametrize(
    ("turn", "fault"),
    [
        ('contact = "Hi"\nmodel = "Hello!"\nsees = "Good day!"', "Ana should have seen:"),
        ('contact = "Hi"\nmodel = "Hello!"\nsees_like = "good *"', "Ana should have seen something like:"),
        ('contact = "Hi"\nmodel = "Hello!"\nsees = ["Hello!", "Hello again!"]', "Ana did not see:"),
        ('contact = "Hi"\nmodel = "Hello!"\nsees_like = ["h*", "*"]', "Ana did not see anything like:"),
        ('contact = "Hi"\nmodel = "Hello!"\nsees_nothing = true', "Ana saw one message too many:"),
        ('contact = "Hi"\nmodel = "Hello!"\nsees_like = []', "Ana saw one message too many:"),
        ('contact = "Hi"\nmodel = "Hello!"\nshown = "Goodbye"', "the model was not shown:"),
        ('contact = "Hi"\nmodel = "Hello!"\nshown = "assistant: Hi"', "the model was not shown:"),
        ('contact = "Hi"\nmodel = "Hello!"\nnot_shown = "Hi"', "the model was shown:"),
        ('contact = "STOP"\nshown = "STOP"', "the model was not asked, and so not shown:"),
        ('contact = "STOP"\nmodel = "Hello!"', "the model was not asked, which was to answer:"),
        ('contact = "Hi"', "the model was asked, and the turn has no `model` answer for it"),
        ('contact = "Hi"\nmodel = { says = "Hello!", model = "another" }', "was asked, and not another"),
        ('contact = "Hi"\nmodel = "Hello!"\nsees_typing = false', 'Ana saw "typing …"'),
        ('contact = ["Hi", "You"]\nmodel = "Hello!"\nsees_quoted = "Hi"', "quoted, Ana should have seen:"),
        ('contact = "STOP"\nsees_typing = true', 'Ana did not see "typing …"'),
        ('contact = "agent"\nassistant = "on"', "the assistant is paused for Ana, and not on"),
        ('contact = "Hi"\nmodel = "Hello!"\ncalled = "prices"', "the tools called were none"),
        ('contact = "Hi"\nmodel = "Hello!"\nrefused = "opted_out"', "refused was nothing, and not opted_out"),
        ("contact = { tap = 'Yes' }", "nobody was offered 'Yes' to tap"),
        ("contact = { text = 'x', quotes = 'y' }", "no message was said with the words 'y'"),
        ("contact = { delete = 'y' }", "no message was said with the words 'y'"),
        ('staff = { text = "Hi", through = "api" }', "refused was window_closed, and not nothing"),
        ('contact = "Hi"\nmodel = "Hello!"\nowner_sees = "*"', "the owner did not see anything like:"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, turn: str, fault: str) -> None:
    (found,) = faults(tmp_path, turn + ("" if "model" in turn or "contact" not in turn else '\nwait = "10 s"'))

    assert fault in found


def test_another_person_who_gets_a_message_is_a_fault(tmp_path: Path) -> None:
    turns = """
[[turn]]
contact = "Hi"
wait = "1 s"
sees_nothing = true
[[turn]]
who = "Ben"
contact = "STOP"
model = "Hello Ana!"
sees_like = "You will get no more*"
sees = "You will get no more messages from us. Send START if you change your mind."
"""
    found = play(read(written(tmp_path, turns)), Settings())

    assert [line for line in found.lines if "✗" in line] == ["  ✗ Ana saw one message too many:"]
    assert "Hello Ana!" in "\n".join(found.lines)


def test_the_transcript_shows_the_talk_and_the_lines_that_differ(tmp_path: Path) -> None:
    lines = played(tmp_path, 'contact = "Hi"\nmodel = "Hello!"\nsees = "Good day!"').lines

    assert [" ".join(line.split()) for line in lines] == [
        "-- turn 1 (line 7)",
        "Mon 09:00:00 Ana Hi",
        "Mon 09:00:02 model Hello!",
        "Mon 09:00:02 wabot Hello!",
        "✗ Ana should have seen:",
        "> Good day!",
        "and saw:",
        "> Hello!",
    ]


@pytest.mark.parametrize(
    ("starts", "zone", "time"),
    [
        ("2026-12-24T18:00:00", "Europe/Berlin", "Thu 18:00:00"),
        ("2026-12-24T18:00:00Z", "Europe/Berlin", "Thu 19:00:00"),
        ("2026-12-24 18:00:00", "UTC", "Thu 18:00:00"),
    ],
)
def test_a_talk_begins_when_it_says_in_the_time_zone_of_the_business(
    tmp_path: Path, starts: str, zone: str, time: str
) -> None:
    before = f'starts = {starts}\n[settings.assistant]\ntimezone = "{zone}"\n'
    lines = play(read(written(tmp_path, '[[turn]]\ncontact = "STOP"', before)), Settings()).lines

    assert lines[1].startswith(f"{time}  Sandy")


def test_a_date_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TalkError, match="starts must be a date with a time, without quotes"):
        read(written(tmp_path, "[[turn]]", 'starts = "tomorrow"\n'))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[[turn]]\nseess = "x"', "turn 1 (line 7): unknown key seess (did you mean sees?)"),
        ('[[turn]]\ncontact = "x"\n[[turn]]\ncontact = 5', "turn 2 (line 9): contact: must be a table"),
        ('[[turn]]\ncontact = { txt = "x" }', "turn 1 (line 7): contact: one of text, image"),
        ('[[turn]]\ncontact = { text = "x", image = "y" }', "text and image do not go together"),
        ('[[turn]]\ncontact = { text = "x", tmes = 2 }', "unknown key tmes (did you mean times?)"),
        ('[[turn]]\ncontact = { reaction = "x" }', "reaction needs `of`"),
        ('[[turn]]\ncontact = "x"\nstaff = "y"', "contact and staff do not go together"),
        ('[[turn]]\nowner = "paws"', "owner must be one of pause, resume"),
        ('[[turn]]\nwait = "soon"', "wait must be a span of time"),
        ("[[turn]]\nsees_nothing = false", "sees_nothing can only be true"),
        ('[[turn]]\nsees_nothing = true\nsees = "x"', "sees and sees_nothing do not go together"),
        ("[[turn]]\nsees = 3", "sees must be a text in quotes, or a list of them"),
        ("[[turn]]\nmodel = { takes = '3 s' }", "model: one of says, fails and calls is needed"),
        ("[[turn]]\nrepeat = 0", "repeat must be a whole number from 1 on"),
        ("[[turn]]\nstaff = { through = 'api' }", "staff: either text or template"),
        ("", "there is no [[turn]]"),
        ("[[turn]]\ncontact = ", "not valid TOML"),
        ('[settings.assistant]\nprovidr = "x"\n[[turn]]', "settings: assistant.providr: unknown key"),
        ('[settings.mongo]\nuri = "x"\n[[turn]]', "settings: unknown key mongo"),
        ("[settings]\nassistant = 3\n[[turn]]", "settings.assistant: must be a table"),
        ('[knowledge]\n"../x.md" = "x"\n[[turn]]', "knowledge: ../x.md is no name of a file that ends in .md or .txt"),
        ('[[turn]]\nknowledge = { "x.pdf" = "x" }', "knowledge: x.pdf is no name of a file"),
        ('[[turn]]\nknowledge = { "x.md" = "x" }', "only the talk's own [knowledge] can change"),
        ("[tools]\nx = 3\n[[turn]]", "tools must be a table of texts"),
        ("[[turn]]\nmeta = 'slow'", "meta must be a code of Meta's, one of cut, lost, or a list of these"),
        ('[[turn]]\nwabot = "stops"\n[[turn]]\nowner = "pause"', "turn 2 (line 9): wabot is stopped"),
    ],
)
def test_a_talk_that_cannot_be_read_says_where(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises((TalkError, SettingsError)) as raised:
        play(read(written(tmp_path, text)), Settings())

    assert str(tmp_path / "talk.toml") in str(raised.value)
    assert error in str(raised.value)
