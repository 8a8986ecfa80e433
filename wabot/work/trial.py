"""What the assistant would answer to a question, and what it would be shown: nothing is stored or sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from wabot.core.answer import Answer, Spoken, read_answer, spoken
from wabot.core.conversation import Prompt, Said
from wabot.core.exceptions import AssistantFailed, CallsSpent
from wabot.core.handoff import HandoffRules
from wabot.core.jobs import Job, Kind
from wabot.core.messages import Contact
from wabot.core.outgoing import Origin
from wabot.core.passages import Passage
from wabot.core.system_prompt import System
from wabot.work.reply import ReplyStyle, shown

NOBODY = Contact(0)


class Briefing(Protocol):
    """Makes the system prompt, and knows what it is made of. `fault`: what cannot be read; None: all can."""

    fault: str | None

    async def system(self, name: str, said: Sequence[Said]) -> System: ...

    @property
    def files(self) -> Sequence[tuple[str, int]]: ...
    @property
    def is_searched(self) -> bool: ...


class Assistant(Protocol):
    """The models, without the owner's tools: one of them might book something. Raises AssistantFailed, CallsSpent."""

    async def answer(self, prompt: Prompt, job: Job) -> str: ...


@dataclass(frozen=True, slots=True)
class Tried:
    """What was shown and what came of it: what the contact would get, and whether a person is asked for.

    `failure`: why there is no answer, or "".
    """

    passages: Sequence[Passage]
    prompt: Prompt
    says: Spoken
    handoff: bool
    failure: str = ""


class Trial:
    """Asks the assistant of an account."""

    def __init__(
        self,
        briefing: Briefing,
        assistant: Assistant,
        style: ReplyStyle,
        *,
        handoff: HandoffRules,
        clock: Callable[[], float],
    ) -> None:
        self.briefing = briefing
        self._assistant, self._style, self._handoff, self._clock = assistant, style, handoff, clock

    async def ask(self, question: str, contact: Contact = NOBODY, before: Sequence[Said] = ()) -> Tried | None:
        """The answer to a question of somebody with whom this was said `before`; None if there is nothing to answer."""
        said = [*before, Said(Origin.PERSON, question, asked=True)]
        system, asked = await shown(self.briefing, self._style, contact.name, said)
        if asked is None:
            return None
        job = Job(0, Kind.REPLY, contact, token=0, attempt=1, spent=0, created_at=self._clock(), tag="")
        try:
            text = await self._assistant.answer(asked, job)
            answer, failure = read_answer(text, handoff=self._handoff.by_assistant), ""
        except AssistantFailed as error:
            answer, failure = Answer(""), str(error)
        except CallsSpent:
            answer, failure = Answer(""), "assistant.calls_per_day is reached"
        says = spoken(answer, max_bubbles=self._style.max_bubbles, notice=self._handoff.notice)
        return Tried(system.passages, asked, says, answer.handoff, failure)
