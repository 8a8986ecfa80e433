"""Bounds how often the models are asked in a day: each request counts, also those of fallbacks and after tools."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Protocol

from wabot.core.conversation import Prompt
from wabot.core.exceptions import CallsSpent
from wabot.core.model_answers import ModelAnswer
from wabot.core.tools import ToolUse
from wabot.work.tool_calls import Model


class Counter(Protocol):
    """The journal, as the count needs it."""

    async def model_calls(self, day: str) -> int: ...
    async def count_model_call(self, day: str, most: int) -> bool: ...


class DailyCalls:
    """The requests of one account. `most`: in a day of the time zone `zone`; 0 = any number, which nobody counts."""

    def __init__(self, counter: Counter, *, most: int, zone: tzinfo, clock: Callable[[], float]) -> None:
        self._counter, self._most, self._zone, self._clock = counter, most, zone, clock

    async def are_spent(self) -> bool:
        """Whether the models may not be asked any more today."""
        return self._most > 0 and (await self._counter.model_calls(self._today()) >= self._most)

    async def spend(self) -> None:
        """Count a request that is about to be made. Raises CallsSpent."""
        if not await self._counter.count_model_call(self._today(), self._most):
            raise CallsSpent

    def counting(self, model: Model) -> Model:
        """The model, whose requests are counted from now on."""
        return _Counted(model, self) if self._most else model

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock(), self._zone).date().isoformat()


class _Counted:
    def __init__(self, model: Model, calls: DailyCalls) -> None:
        self._model, self._calls = model, calls

    async def answer(self, prompt: Prompt, use: ToolUse) -> ModelAnswer:
        await self._calls.spend()
        return await self._model.answer(prompt, use)
