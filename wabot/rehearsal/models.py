"""The models of a rehearsal: the script's, or the configured ones; what they are shown and say is noted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from wabot.core.conversation import Prompt, Role
from wabot.core.exceptions import AssistantFailed
from wabot.core.messages import Contact
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.core.tools import Call, Result, Tool, ToolUse
from wabot.rehearsal.talk import Answer
from wabot.rehearsal.virtual_time import VirtualTime


class Model(Protocol):
    """A model. Raises AssistantFailed."""

    async def answer(self, prompt: Prompt, use: ToolUse) -> ModelAnswer: ...


class Notes(Protocol):
    """Learns what goes on between wabot and its models."""

    def shown(self, name: ModelName, prompt: Prompt, use: ToolUse) -> None: ...
    def answered(self, text: str) -> None: ...
    def failed(self, why: str) -> None: ...
    def wrong(self, what: str) -> None: ...
    def called(self, name: str, arguments: Mapping[str, Any] | None, answer: str) -> None: ...


class Noted:
    """A model that is watched."""

    def __init__(self, name: ModelName, model: Model, notes: Notes) -> None:
        self._name, self._model, self._notes = name, model, notes

    async def answer(self, prompt: Prompt, use: ToolUse) -> ModelAnswer:
        """The model's answer."""
        self._notes.shown(self._name, prompt, use)
        try:
            found = await self._model.answer(prompt, use)
        except AssistantFailed as error:
            self._notes.failed(str(error))
            raise
        if not found.calls:
            self._notes.answered(found.text)
        return found


class Script:
    """What the scripted models answer, request by request."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._answers = deque[Answer]()

    def load(self, answers: Iterable[Answer]) -> None:
        """These come next."""
        self._answers.extend(answers)

    def left(self) -> list[Answer]:
        """What nobody asked for; it is forgotten."""
        left = [answer for answer in self._answers if not answer.always]
        self._answers.clear()
        return left

    def model(self, name: ModelName) -> Model:
        """The model of this name, which takes its answers from here."""
        return _Scripted(name.model or name.provider, self)

    async def next(self, model: str) -> ModelAnswer:
        """The next answer, from the model of this name. Raises AssistantFailed."""
        if not self._answers:
            self._notes.wrong("the model was asked, and the turn has no `model` answer for it")
            return ModelAnswer("(the talk has no answer)")
        answer = self._answers[0] if self._answers[0].always else self._answers.popleft()
        if answer.model and answer.model != model:
            self._notes.wrong(f"the model {model} was asked, and not {answer.model}")
        await asyncio.sleep(answer.takes)
        if answer.fails:
            raise AssistantFailed(answer.fails, answer.status)
        calls = (Call("1", answer.calls, answer.arguments),) if answer.calls else ()
        return ModelAnswer(answer.says, calls=calls)


class _Scripted:
    def __init__(self, name: str, script: Script) -> None:
        self._name, self._script = name, script

    async def answer(self, prompt: Prompt, use: ToolUse) -> ModelAnswer:
        return await self._script.next(self._name)


class Real:
    """A model of the world outside, where time passes as it does."""

    def __init__(self, model: Model, loop: VirtualTime) -> None:
        self._model, self._loop = model, loop

    async def answer(self, prompt: Prompt, use: ToolUse) -> ModelAnswer:
        """The model's answer."""
        with self._loop.reality():
            return await self._model.answer(prompt, use)


class RehearsedTools:
    """The owner's tools, which answer as the talk says: the real ones may book something."""

    def __init__(self, tools: tuple[Tool, ...], answers: Mapping[str, str], notes: Notes) -> None:
        self.tools, self._answers, self._notes = tools, answers, notes

    async def call(self, call: Call, contact: Contact) -> Result:
        """What the talk has for this tool."""
        answer = self._answers.get(call.name)
        self._notes.called(call.name, call.arguments, answer or "nothing")
        if answer is None:
            return Result("it does not answer", failed=True)
        return Result(answer)


def in_words(prompt: Prompt, use: ToolUse) -> str:
    """What a model is shown, as `shown` is compared with: the instructions, then the talk with who says what."""
    who = {Role.USER: "contact", Role.ASSISTANT: "assistant"}
    turns = [f"{who[turn.role]}: {turn.text}{_media(turn.media)}" for turn in prompt.turns]
    results = [f"tool: {one.for_model}" for done in use.rounds for one in done.results]
    return "\n".join([prompt.system, *turns, *results])


def _media(media: Iterable[Any]) -> str:
    return "".join(f" <{one.sense} of {len(one.content)} bytes>" for one in media if one.content is not None)
