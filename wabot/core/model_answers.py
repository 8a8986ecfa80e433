"""What a model returns, and by which name a configured model is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core.tools import Call


@dataclass(frozen=True, slots=True)
class ModelName:
    """A configured model. `setting`: its table of the settings, "assistant" or "assistant.fallbacks[0]"."""

    provider: str
    model: str
    setting: str = "assistant"

    def __str__(self) -> str:
        return f"{self.model} ({self.provider})" if self.model else self.provider


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model returned to one request. Tokens as its provider counts them, 0 if it does not say.

    `calls`: the tools that it wants to call before it answers; then `said` is the answer as Round has it.
    """

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    calls: tuple[Call, ...] = ()
    said: Any = None


@dataclass(slots=True)
class Tokens:
    """What the requests for one answer cost together."""

    input: int = 0
    output: int = 0

    def add(self, input_: int, output: int) -> None:
        """One more request."""
        self.input += input_
        self.output += output


def token_count(value: object) -> int:
    """A provider's number of tokens; 0 for anything that cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else 0


LONGEST_ARGUMENTS = 16_384
"""Characters of the arguments of one call."""


def read_arguments(text: object) -> Mapping[str, Any] | None:
    """The arguments of a call, from JSON text; None if they are no object, or too large."""
    if not isinstance(text, str) or len(text) > LONGEST_ARGUMENTS:
        return None
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
