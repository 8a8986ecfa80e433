"""Lets a model call the owner's tools until it has its answer."""

from __future__ import annotations

import asyncio
from typing import Protocol

from wabot.core.conversation import Prompt
from wabot.core.exceptions import AssistantFailed
from wabot.core.jobs import Job
from wabot.core.messages import Contact
from wabot.core.model_answers import ModelAnswer, Tokens
from wabot.core.tools import NO_TOOLS, Call, Result, Round, Tool, ToolUse
from wabot.log import get_logger

log = get_logger()

MOST_CALLS = 5
"""The most calls of tools for one answer, whichever models are asked and however often: a tool may book something."""
NOT_CALLED = Result(f"not called, since {MOST_CALLS} calls are the most. Answer with what you know.", failed=True)

_LONGEST_NAME = 64
_REMEMBERED = 1000
"""Replies whose calls are remembered until they are answered."""


class Tools(Protocol):
    """The owner's tools. A call never raises: what goes wrong is its result."""

    @property
    def tools(self) -> tuple[Tool, ...]: ...
    async def call(self, call: Call, contact: Contact) -> Result: ...


class Model(Protocol):
    """A model. Raises AssistantFailed."""

    async def answer(self, prompt: Prompt, use: ToolUse) -> ModelAnswer: ...


class CallsLeft:
    """How many calls of tools each reply has left: MOST_CALLS, whichever models are asked and however often."""

    def __init__(self) -> None:
        self._made: dict[int, int] = {}

    def of(self, job: Job) -> int:
        """How many the reply of this job has left."""
        return MOST_CALLS - self._made.get(job.id, 0)

    def spend(self, job: Job, count: int) -> None:
        """It makes so many."""
        self._made[job.id] = self._made.pop(job.id, 0) + count
        while len(self._made) > _REMEMBERED:
            del self._made[next(iter(self._made))]

    def answered(self, job: Job) -> None:
        """It needs no more."""
        self._made.pop(job.id, None)


async def answer_with_tools(
    model: Model, prompt: Prompt, tools: Tools | None, job: Job, *, calls_left: CallsLeft, used: Tokens
) -> ModelAnswer:
    """The model's answer. It may call tools as often as the reply has left, several at once.

    `used` counts the tokens of all requests. Raises AssistantFailed.
    """
    use = ToolUse(tools.tools, may_call=calls_left.of(job) > 0) if tools else NO_TOOLS
    while True:
        answer = await _ask(model, prompt, use, used)
        if not answer.calls:
            return answer
        if tools is None or not use.may_call:
            raise AssistantFailed("it calls tools instead of answering")
        allowed = answer.calls[: calls_left.of(job)]
        calls_left.spend(job, len(allowed))
        done = await asyncio.gather(*(_call(tools, call, job.contact) for call in allowed))
        results = (*done, *[NOT_CALLED] * (len(answer.calls) - len(done)))
        rounds = (*use.rounds, Round(answer.calls, results, answer.said))
        use = ToolUse(tools.tools, rounds, may_call=calls_left.of(job) > 0)


async def _ask(model: Model, prompt: Prompt, use: ToolUse, used: Tokens) -> ModelAnswer:
    try:
        answer = await model.answer(prompt, use)
    except AssistantFailed as failure:
        used.add(*failure.tokens)
        raise
    used.add(answer.input_tokens, answer.output_tokens)
    return answer


async def _call(tools: Tools, call: Call, contact: Contact) -> Result:
    result = await tools.call(call, contact)
    if result.failed:
        log.warning("tool.failed", tool=call.name[:_LONGEST_NAME], reason=result.logged or result.text)
    return result
