"""What happened in a talk, line by line with the time, and what was not as expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from wabot.core.conversation import Prompt
from wabot.core.model_answers import ModelName
from wabot.core.tools import ToolUse
from wabot.rehearsal.comparing import shortened
from wabot.rehearsal.models import in_words

WRONG = "  ✗ "
_WIDTH = 10


@dataclass
class Turned:
    """What came of one turn: what the model was shown at each request, and which tools were called.

    `failure`: why the model that was asked last gave no answer; "" if it did.
    """

    shown: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    failure: str = ""


class Transcript:
    """Notes all that goes on, with the time in `zone`. `clock`: Unix seconds."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self.clock: Callable[[], float] = lambda: 0.0
        self.lines = list[str]()
        self.faults = 0
        self.turn = Turned()

    def note(self, who: str, text: str) -> None:
        """Somebody says or does something."""
        time = datetime.fromtimestamp(self.clock(), self._zone)
        first, *rest = map(shortened, (text or "(nothing)").splitlines() or [""])
        self.lines.append(f"{time:%a %H:%M:%S}  {who:<{_WIDTH}} {first}")
        self.lines += [" " * (15 + _WIDTH) + line for line in rest]

    def wrong(self, what: str) -> None:
        """Something is not as the talk expects it."""
        self.faults += 1
        self.lines += [WRONG + line if not nth else "    " + line for nth, line in enumerate(what.splitlines())]

    def begin_turn(self, place: str) -> None:
        """A turn begins."""
        self.turn = Turned()
        self.lines.append(f"-- {place}")

    def shown(self, name: ModelName, prompt: Prompt, use: ToolUse) -> None:
        """The model is asked."""
        self.turn.shown.append(in_words(prompt, use))

    def answered(self, text: str) -> None:
        """The model answers."""
        self.turn.failure = ""
        self.note("model", text)

    def failed(self, why: str) -> None:
        """The model fails."""
        self.turn.failure = why
        self.note("model", f"(fails: {why})")

    def called(self, name: str, arguments: Mapping[str, Any] | None, answer: str) -> None:
        """The model calls a tool."""
        self.turn.called.append(name)
        self.note("tool", f"{name}({dict(arguments or {})}) → {answer}")
