"""Asks the configured models in order until one answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol

from wabot.core.conversation import Prompt
from wabot.core.exceptions import AssistantFailed
from wabot.core.jobs import Job
from wabot.core.model_answers import ModelAnswer, ModelName, Tokens
from wabot.core.model_circuit import ModelCircuit, in_turn
from wabot.core.prompt_media import MediaRefusals, senses_in, without, without_media
from wabot.core.tools import ToolUse
from wabot.log import get_logger
from wabot.work.attachments import Attachments
from wabot.work.tool_calls import CallsLeft, Tools, answer_with_tools

log = get_logger()


class Model(Protocol):
    """One model of one provider. Raises AssistantFailed."""

    async def answer(self, prompt: Prompt, use: ToolUse) -> ModelAnswer: ...


@dataclass(frozen=True, slots=True)
class RankedModel:
    """A model of the settings. `seconds`: how long it may take for an answer, with all that belongs to it."""

    name: ModelName
    seconds: float
    model: Model


class Observer(Protocol):
    """Learns what became of each request to a model."""

    def model_answered(self, name: ModelName, seconds: float, answer: ModelAnswer) -> None: ...
    def model_failed(self, name: ModelName, seconds: float, failure: AssistantFailed) -> None: ...


class Models:
    """The assistant: the first of the models, and the others for when it fails or is too slow."""

    def __init__(
        self,
        models: Sequence[RankedModel],
        *,
        clock: Callable[[], float],
        tools: Tools | None = None,
        attachments: Attachments | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._models, self._clock, self._observers = models, clock, observers
        self._tools, self._attachments, self._calls_left = tools, attachments, CallsLeft()
        self._circuits = [ModelCircuit() for _ in models]
        self._refusals = {ranked.name: MediaRefusals() for ranked in models}

    def without_tools(self) -> Models:
        """The same models, which call none of the owner's tools: for questions of nobody's."""
        models = copy(self)
        models._tools = None
        return models

    async def answer(self, prompt: Prompt, job: Job) -> str:
        """The text of the first model that answers before the reply `job` expires.

        Raises AssistantFailed with the reason of each that was asked.
        """
        if self._attachments is None:
            return await self._first_answer(without_media(prompt), job)
        async with self._attachments.of(prompt) as with_media:
            return await self._first_answer(with_media, job)

    async def _first_answer(self, prompt: Prompt, job: Job) -> str:
        failures = list[tuple[ModelName, AssistantFailed]]()
        for index in in_turn(self._circuits, self._clock()):
            ranked, circuit = self._models[index], self._circuits[index]
            if failures and job.expires_at is not None and self._clock() >= job.expires_at:
                break
            circuit.asked(self._clock())
            try:
                text = await self._ask(ranked, prompt, job)
            except AssistantFailed as failure:
                circuit.failed(self._clock(), failure.status)
                log.info("model.failed", model=str(ranked.name), reason=str(failure), job=job.id)
                failures.append((ranked.name, failure))
            else:
                circuit.succeeded()
                self._calls_left.answered(job)
                return text
        raise _all_failed(failures)

    async def _ask(self, ranked: RankedModel, prompt: Prompt, job: Job) -> str:
        """The text of one model, within its time and the reply's."""
        began, used = self._clock(), Tokens()
        seconds = min(ranked.seconds, job.expires_at - began) if job.expires_at is not None else ranked.seconds
        try:
            async with asyncio.timeout(seconds):
                answer = await self._converse(ranked, prompt, job, used)
        except TimeoutError:
            failure = AssistantFailed(f"no answer within {seconds:g} s")
        except AssistantFailed as error:
            failure = error
        else:
            answer = replace(answer, input_tokens=used.input, output_tokens=used.output)
            for observer in self._observers:
                observer.model_answered(ranked.name, self._clock() - began, answer)
            return answer.text
        failure.tokens = used.input, used.output
        for observer in self._observers:
            observer.model_failed(ranked.name, self._clock() - began, failure)
        raise failure

    async def _converse(self, ranked: RankedModel, prompt: Prompt, job: Job, used: Tokens) -> ModelAnswer:
        """The answer of one model; without the media, if it refuses them."""
        refusals = self._refusals[ranked.name]
        shown = refusals.shown(prompt)
        try:
            answer = await answer_with_tools(
                ranked.model, shown, self._tools, job, calls_left=self._calls_left, used=used
            )
        except AssistantFailed as failure:
            if not refusals.may_be(failure, shown):
                raise
            log.info("model.refused_media", model=str(ranked.name), reason=str(failure), job=job.id)
            bare = without(shown, senses_in(shown))
            answer = await answer_with_tools(
                ranked.model, bare, self._tools, job, calls_left=self._calls_left, used=used
            )
            refusals.refused(failure, shown)
        else:
            refusals.accepted(shown)
        return answer


def _all_failed(failures: Sequence[tuple[ModelName, AssistantFailed]]) -> AssistantFailed:
    if len(failures) == 1:
        return failures[0][1]
    return AssistantFailed("; ".join(f"{name}: {failure}" for name, failure in failures))
