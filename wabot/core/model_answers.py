"""What a model returns, and by which name a configured model is known."""

from __future__ import annotations

from dataclasses import dataclass


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
    """What a model returned to one request. Tokens as its provider counts them, 0 if it does not say."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0


def token_count(value: object) -> int:
    """A provider's number of tokens; 0 for anything that cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else 0
