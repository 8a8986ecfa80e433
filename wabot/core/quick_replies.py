"""Buttons and lists that a model offers with its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core.interactive_check import faults

RULE = """\
If the customer should choose, you may end your answer with one line that becomes buttons, or a list to open. They \
see nothing else of that line, and what they tap comes back as their message:
[[buttons: Yes | No]] (1 to 3 buttons, each of at most 20 characters; your text: at most 1024)
[[list: Choose a day | Monday | Tuesday]] (the list's name of at most 20 characters, then 1 to 10 choices, each of at \
most 24)"""
"""Part of the system prompt. The limits are Meta's: see core/interactive_check.py."""

_SEPARATOR = re.compile(r"[|｜]")


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person may tap: buttons, or, with a `label`, a list that opens."""

    titles: tuple[str, ...]
    label: str = ""

    def interactive(self, text: str) -> Mapping[str, Any]:
        """Meta's `interactive` object with this text. A tap comes back with the title."""
        body = {"text": text}
        named = [{"id": f"choice-{number}", "title": title} for number, title in enumerate(self.titles, 1)]
        if self.label:
            action: dict[str, Any] = {"button": self.label, "sections": [{"rows": named}]}
            return {"type": "list", "body": body, "action": action}
        return {"type": "button", "body": body, "action": {"buttons": [{"type": "reply", "reply": n} for n in named]}}

    def fit(self, text: str) -> bool:
        """Whether Meta accepts them with this text."""
        different = len(set(self.titles)) == len(self.titles)
        return different and next(faults(self.interactive(text)), None) is None


def read_choices(kind: str, items: str) -> Choices | None:
    """The choices of a mark: its kind ("buttons" or "list") and what follows; None if Meta would refuse them."""
    titles = tuple(part.strip(" \t*_~`\"'") for part in _SEPARATOR.split(items))
    choices = Choices(titles[1:], titles[0]) if kind == "list" else Choices(titles)
    return choices if bool(choices.label) == (kind == "list") and choices.fit("…") else None
