"""A scripted talk, and how it is read from its file. docs/rehearsing.md explains every key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wabot.rehearsal.messages import Line, read_lines
from wabot.rehearsal.tables import Table, TalkError
from wabot.settings.sections import SANDBOX_TAKES

STARTS = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""When a talk begins that does not say so: a Monday morning."""
MAY_CHANGE = SANDBOX_TAKES - {"log"}
"""The sections of the settings that a rehearsal takes from the owner's, and a talk may change."""
SUFFIXES = frozenset({".md", ".txt"})
"""What files of knowledge are in a talk."""
SOMEBODY = "Sandy"
"""The contact of a talk that does not name one."""

OWNER = ("pause", "resume", "opt out", "opt in", "forget")
"""What the owner may do about the contact of a turn, as under /contacts/{number}."""

META = ("cut", "lost")
"""What Meta may do with a send, beside refusing it: take it and cut the connection, or cut it before."""

_ACTIONS = ("contact", "staff", "owner", "wabot")
_TURN = re.compile(r"^\s*\[\[\s*turn\s*\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the scripted model does when it is asked: it answers, fails, or calls a tool.

    `takes`: seconds until then; `model`: the name of the model that must be the one that is asked, "" for any;
    `always`: for all further requests of its turn.
    """

    says: str = ""
    fails: str = ""
    status: int | None = None
    calls: str = ""
    arguments: Mapping[str, Any] | None = None
    takes: float = 0.0
    model: str = ""
    always: bool = False


@dataclass(frozen=True, slots=True)
class Staff:
    """What a colleague writes: in the phone app, or through the API, where it may also be a template."""

    text: str = ""
    template: str = ""
    parameters: tuple[str, ...] = ()
    language: str = "en_US"
    through_api: bool = False
    takeover: bool = True


@dataclass(frozen=True, slots=True)
class Expected:
    """What must have come of a turn. None: that is not looked at.

    `sees`: the texts that the contact sees; `like`: the same with `*` for anything; `quoted`: words of the messages
    that these quote; `shown`, `not_shown`: parts of
    what the model is shown; `called`: the tools that were called.
    """

    sees: tuple[str, ...] | None = None
    like: tuple[str, ...] | None = None
    quoted: tuple[str, ...] | None = None
    typing: bool | None = None
    shown: tuple[str, ...] = ()
    not_shown: tuple[str, ...] = ()
    called: tuple[str, ...] | None = None
    assistant: str = ""
    owner_sees: tuple[str, ...] | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One step: at most one of lines of the contact, a word of staff, an act of the owner, or wabot stops or starts.

    `lasts`: for how many seconds; None: until wabot has done all that is to be done now. `place`: for people.
    `knowledge`: files that change before; `meta`: what Meta does with the next sends, a code of its own or a word.
    """

    place: str
    who: str
    lines: tuple[Line, ...]
    staff: Staff | None
    owner: str
    wabot: str
    knowledge: Mapping[str, str]
    meta: tuple[int | str, ...]
    lasts: float | None
    answers: tuple[Answer, ...]
    expected: Expected


@dataclass(frozen=True, slots=True)
class Talk:
    """A whole talk. `settings`: what differs from the owner's, as in config.toml; `tools`: what each tool answers.

    `hides_number`: people have usernames, and show no phone number.
    """

    file: Path
    title: str
    starts: datetime
    settings: Mapping[str, Any]
    knowledge: Mapping[str, str]
    prompt: str
    hides_number: bool
    tools: Mapping[str, str]
    turns: tuple[Turn, ...]

    @property
    def is_scripted(self) -> bool:
        """Whether it says what the model answers."""
        return any(turn.answers for turn in self.turns)


def read(file: Path) -> Talk:
    """The talk of a file. Raises TalkError."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        table = Table(tomllib.loads(text), str(file))
    except OSError as error:
        raise TalkError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise TalkError(f"{file}: not valid TOML: {error}") from None
    who, starts = table.text("contact", SOMEBODY), table.any("starts")
    if starts is not None and not isinstance(starts, datetime):
        raise table.wrong("starts must be a date with a time, without quotes, such as 2026-03-02T09:00:00Z")
    settings = _settings(table)
    turns = [one for each in _places(table, text) for one in _turns(each, who, file)]
    if not turns:
        raise table.wrong("there is no [[turn]]")
    talk = Talk(
        file, table.text("title"), starts or STARTS, settings, _knowledge(table), table.text("prompt"),
        table.flag("hides_number") is True, table.mapping("tools"), tuple(turns),
    )  # fmt: skip
    table.end()
    return talk


def _settings(table: Table) -> Mapping[str, Any]:
    """What the talk changes in the settings: only sections that do not lead out of a rehearsal."""
    own = table.table("settings")
    sections = {name: own.any(name) for name in sorted(MAY_CHANGE) if name in own}
    own.end()
    for name, section in sections.items():
        Table(section, f"{own.where}.{name}")
    return sections


def _knowledge(table: Table) -> dict[str, str]:
    texts = table.mapping("knowledge")
    if wrong := [name for name in texts if Path(name).name != name or Path(name).suffix not in SUFFIXES]:
        raise table.wrong(f"knowledge: {wrong[0]} is no name of a file that ends in {' or '.join(sorted(SUFFIXES))}")
    return texts


def _places(table: Table, text: str) -> list[Table]:
    """The tables of the turns, each with its number and, if it can be known, its line."""
    turns, heads = table.tables("turn"), [text.count("\n", 0, found.end()) + 1 for found in _TURN.finditer(text)]
    for number, turn in enumerate(turns, 1):
        line = f" (line {heads[number - 1]})" if len(heads) == len(turns) else ""
        turn.where = f"{table.where}, turn {number}{line}"
    return turns


def _turns(table: Table, usual: str, file: Path) -> list[Turn]:
    """The turn, as often as it is to be repeated."""
    table.only_one(_ACTIONS)
    who = table.text("who", usual)
    turn = Turn(
        place=table.where.removeprefix(f"{file}, "),
        who=who,
        lines=read_lines(table, "contact"),
        staff=_staff(table),
        owner=table.word("owner", OWNER),
        wabot=table.word("wabot", ("stops", "starts")),
        knowledge=_knowledge(table),
        meta=_meta(table),
        lasts=table.seconds("wait"),
        answers=_answers(table),
        expected=_expected(table),
    )
    count = table.count("repeat", 1)
    table.end()
    each = [f"{turn.place}, {nth} of {count}" for nth in range(1, count + 1)] if count > 1 else [turn.place]
    return [replace(turn, place=place) for place in each]


def _staff(table: Table) -> Staff | None:
    said = table.any("staff")
    if said is None or isinstance(said, str):
        return Staff(said) if said else None
    own = table.table("staff")
    template = own.text("template")
    api = own.word("through", ("app", "api")) == "api" or bool(template)
    takeover = own.flag("takeover")
    found = Staff(
        own.text("text"), template, own.texts("parameters") or (), own.text("language", "en_US"), api,
        takeover is not False,
    )  # fmt: skip
    own.end()
    if bool(found.text) == bool(found.template):
        raise own.wrong("either text or template")
    return found


def _meta(table: Table) -> tuple[int | str, ...]:
    found = table.any("meta")
    listed = found if isinstance(found, list) else [] if found is None else [found]
    for one in listed:
        if isinstance(one, bool) or not (isinstance(one, int) or one in META):
            raise table.wrong(f"meta must be a code of Meta's, one of {', '.join(META)}, or a list of these")
    return tuple(listed)


def _answers(table: Table) -> tuple[Answer, ...]:
    found = table.any("model")
    listed = found if isinstance(found, list) else [] if found is None else [found]
    answers = list[Answer]()
    for one in listed:
        if isinstance(one, str):
            answers.append(Answer(says=one))
            continue
        own = Table(one, f"{table.where}: model")
        if not own.only_one(("says", "fails", "calls")):
            raise own.wrong("one of says, fails and calls is needed")
        status = int(own.number("status")) or None
        arguments = own.any("arguments")
        answer = Answer(
            own.text("says") * own.count("copies", 1), own.text("fails"), status, own.text("calls"), arguments or {},
            own.seconds("takes") or 0.0, own.text("model"), own.flag("always") is True,
        )  # fmt: skip
        answers += [answer] * own.count("times", 1)
        own.end()
    return tuple(answers)


def _expected(table: Table) -> Expected:
    table.only_one(("sees", "sees_nothing"))
    for key in ("sees", "sees_like"):
        table.only_one((key, "sees_nothing"))
    nothing, sees = table.flag("sees_nothing"), table.texts("sees")
    if nothing is False:
        raise table.wrong("sees_nothing can only be true")
    return Expected(
        sees=() if nothing else sees,
        like=table.texts("sees_like"),
        quoted=table.texts("sees_quoted"),
        typing=table.flag("sees_typing"),
        shown=table.texts("shown") or (),
        not_shown=table.texts("not_shown") or (),
        called=table.texts("called"),
        assistant=table.word("assistant", ("on", "paused")),
        owner_sees=table.texts("owner_sees"),
        refused=table.text("refused"),
    )
