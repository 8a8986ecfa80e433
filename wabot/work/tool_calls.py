"""Lets a model call the owner's tools until it has its answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol

from wabot.core.conversation import Prompt
from wabot.core.exceptions import AssistantFailed
from wabot.core.messages import Contact
from wabot.core.model_answers import ModelAnswer
from wabot.core.tools import MOST_CALLS, NO_TOOLS, NOT_CALLED, Call, Result, Round, Tool, ToolUse
from wabot.log import get_logger

log = get_logger()


class Tools(Protocol):
    """The owner's tools. A call never raises: what goes wrong is its result."""

    @property
    def tools(self) -> tuple[Tool, ...]: ...
    async def call(self, call: Call, contact: Contact) -> Result: ...


class Model(Protocol):
    """A model. Raises AssistantFailed."""

    async def answer(self, prompt: Prompt, use: ToolUse) -> ModelAnswer: ...


async def answer_with_tools(model: Model, prompt: Prompt, tools: Tools | None, contact: Contact) -> ModelAnswer:
    """The model's answer, with the tokens of all requests. It may call at most MOST_CALLS tools, several at once.

    Raises AssistantFailed.
    """
    use = ToolUse(tools.tools) if tools else NO_TOOLS
    used, left = [0, 0], MOST_CALLS
    while True:
        answer = await model.answer(prompt, use)
        used = [used[0] + answer.input_tokens, used[1] + answer.output_tokens]
        if not answer.calls:
            return replace(answer, input_tokens=used[0], output_tokens=used[1])
        if tools is None or not use.may_call:
            raise AssistantFailed("it calls tools instead of answering")
        done = await asyncio.gather(*(_call(tools, call, contact) for call in answer.calls[:left]))
        results = (*done, *[NOT_CALLED] * (len(answer.calls) - len(done)))
        left -= len(done)
        use = ToolUse(tools.tools, (*use.rounds, Round(answer.calls, results, answer.said)), may_call=left > 0)


async def _call(tools: Tools, call: Call, contact: Contact) -> Result:
    result = await tools.call(call, contact)
    if result.failed:
        log.warning("tool.failed", tool=call.name, reason=result.text)
    return result
