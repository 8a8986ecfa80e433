"""The handler of reply jobs: answers a contact with a template, with texts of the model, or not at all."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from wabot.core.after_failure import after_model_failure
from wabot.core.answer import read_answer, spoken
from wabot.core.conversation import MESSAGE_CHARACTERS, TALK_CHARACTERS, FirstContact, Prompt, Said, plan, prompt
from wabot.core.exceptions import ArchiveDown, AssistantFailed, CallsSpent
from wabot.core.handoff import Handoff, HandoffRules, Reason
from wabot.core.jobs import Event, Job, Outcome, Policy
from wabot.core.may_send import TAKEN_OVER
from wabot.core.messages import Contact, Stop
from wabot.core.outgoing import Origin, Outgoing, template_message, text_message, with_choices
from wabot.core.rate_limits import Pace
from wabot.core.reply_caps import DAY, IN_WORDS, ReplyCaps
from wabot.core.system_prompt import System
from wabot.log import get_logger

log = get_logger()


class Transcript(Protocol):
    """A conversation so far. `earlier`: there are messages before those being answered.

    The archive knows `contact` by `names` and by `key`. `questions`: the wamids of the messages being answered that can
    be quoted, oldest first; `newest`: that of the last of them. `searched`: the archive was asked before.
    """

    @property
    def contact(self) -> Contact: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def key(self) -> str: ...
    @property
    def said(self) -> Sequence[Said]: ...
    @property
    def earlier(self) -> bool: ...
    @property
    def searched(self) -> bool: ...
    @property
    def questions(self) -> Sequence[str]: ...
    @property
    def newest(self) -> str | None: ...


class Memory(Protocol):
    """The journal, as a reply needs it."""

    async def talk(self, job: Job, limit: int, oldest: float) -> Transcript: ...
    async def answers(self, job: Job, since: float) -> Sequence[tuple[float, Origin]]: ...
    async def more_waits(self, job: Job) -> bool: ...
    async def gets_silence(self, job: Job) -> bool: ...
    async def adopt(self, job: Job, documents: Sequence[dict[str, Any]], now: float) -> None: ...


class RecentArchive(Protocol):
    """The archive, as replies need it: finds messages by names of one contact, or by our key. Raises ArchiveDown."""

    async def recent(self, names: Sequence[str], key: str, limit: int) -> list[dict[str, Any]]: ...


class Briefing(Protocol):
    """Makes the system prompt of each reply, to somebody of a name and in a conversation, oldest first."""

    async def system(self, name: str, said: Sequence[Said]) -> System: ...


class Assistant(Protocol):
    """The models. Raises AssistantFailed."""

    async def answer(self, prompt: Prompt, job: Job) -> str: ...


Typing = Callable[[str | None, Callable[[], Awaitable[bool]]], AbstractAsyncContextManager[None]]
"""Shows "typing …" while an answer is made, in the talk of the message with this wamid.

The second parameter tells whether the person is to get silence by now.
"""


@dataclass(frozen=True, slots=True)
class ReplyStyle:
    """How to answer: what a first contact gets, the text if the model fails ("": nothing).

    `max_bubbles`: into how many messages an answer is put at the most. Earlier messages are shown to the model if they
    are among the last `history_messages` and not older than `history_hours`; 0 = of any age. What is older than
    `max_age_hours` is not answered. `prompt_characters`: the most that the model sees, without the knowledge.
    """

    first_contact: FirstContact
    template: Mapping[str, Any]
    history_messages: int
    fallback_text: str
    history_hours: float = 0.0
    max_bubbles: int = 1
    max_age_hours: float = 12.0
    prompt_characters: int = TALK_CHARACTERS

    def bounds(self, now: float) -> tuple[int, float]:
        """How many messages of a talk are shown at the most, and how old they may be (Unix seconds)."""
        return self.history_messages, now - self.history_hours * 3600 if self.history_hours else 0.0


async def shown(briefing: Briefing, style: ReplyStyle, name: str, said: Sequence[Said]) -> tuple[System, Prompt | None]:
    """What the model is shown in a conversation with somebody of this `name`; None if there is no text to answer."""
    system = await briefing.system(name, said)
    room = max(style.prompt_characters - system.own, MESSAGE_CHARACTERS)
    return system, prompt(said, system=system.text, limit=style.history_messages, characters=room)


async def _never() -> bool:
    return False


class Replies:
    """The handler of reply jobs."""

    def __init__(
        self,
        memory: Memory,
        assistant: Assistant,
        archive: RecentArchive | None,
        *,
        briefing: Briefing,
        style: ReplyStyle,
        policy: Policy,
        pace: Pace,
        clock: Callable[[], float],
        noise: Callable[[], float] = random.random,
        caps: ReplyCaps = ReplyCaps(),  # noqa: B008  frozen
        handoff: HandoffRules = HandoffRules(),  # noqa: B008  frozen
        typing: Typing | None = None,
        calls_are_spent: Callable[[], Awaitable[bool]] = _never,
        observe_seconds: Callable[[float], None] = lambda _seconds: None,
        on_cap: Callable[[str], None] = lambda _cap: None,
    ) -> None:
        self._memory, self._assistant, self._archive = memory, assistant, archive
        self._briefing, self._style, self._policy, self._pace = briefing, style, policy, pace
        self._clock, self._noise = clock, noise
        self._caps, self._handoff, self._typing = caps, handoff, typing or (lambda _wamid, _silence: nullcontext())
        self._calls_are_spent = calls_are_spent
        self._observe_seconds, self._on_cap = observe_seconds, on_cap
        self.assistant_works: bool | None = None

    def room(self, _now: float) -> float:
        """Only the lane limits replies."""
        return float("inf")

    def room_in(self, _now: float) -> float:
        return 0.0

    def started(self, count: int, now: float) -> None:
        """Replies have no budget."""

    async def handle(self, job: Job) -> Outcome:
        """Answer all that the contact wrote since our last reply, once."""
        if (instead := await self._no_answer(job, self._clock())) is not None:
            return instead
        talk, earlier = await self._talk(job)
        planned = plan(first=not earlier, answer=self._style.first_contact, answering=True)
        style = self._style
        outgoing = [template_message(style.template, Origin.TEMPLATE)] if planned.template else []
        asked = await self._prompt(talk) if planned.ai else None
        if asked is not None and await self._calls_are_spent():
            return await self._without_calls(job, outgoing)
        handoff = None
        if outgoing or asked is not None:
            try:
                async with self._typing(talk.newest, partial(self._memory.gets_silence, job)):
                    said, handoff = await self._ask(job, asked, talk.questions) if asked is not None else ([], None)
            except AssistantFailed as error:
                return self._after_failure(job, error, outgoing)
            except CallsSpent:
                return await self._without_calls(job, outgoing)
            outgoing += said
        return Outcome(Event.SUCCEED, says=tuple(outgoing), handoff=handoff)

    async def _no_answer(self, job: Job, now: float) -> Outcome | None:
        """What follows if no answer is to be made, or not now; None if one is."""
        if job.contact.stopped is Stop.ALL:
            return Outcome(Event.GIVE_UP, error="This person opted out", code="opted_out")
        if job.contact.is_paused(now):
            return Outcome(Event.TAKE_OVER, error=TAKEN_OVER, code="taken_over")
        if (late := self._too_late(job, now)) is not None:
            return late
        if job.spent >= self._policy.attempts:
            return self.gave_up(job, "tried as often as allowed")
        free_at = self._pace.free_at(job.contact.id, now)
        if free_at > now:
            return Outcome(Event.RETRY, due_at=free_at, spent=False, error="Was answered often just now", code="pace")
        return await self._over_a_cap(job, now)

    def _too_late(self, job: Job, now: float) -> Outcome | None:
        """What follows if the reply expired, or if even the contact's newest message is too old to be answered.

        After an outage Meta delivers for days what it could not.
        https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview
        """
        age = now - (job.contact.last_inbound_at or 0.0)
        if age >= self._style.max_age_hours * 3600 or not job.contact.window_is_open(now):
            handoff = self._begin_handoff(Reason.OLD_NEWS, job)
            return Outcome(Event.EXPIRE, error="Came too late to be answered", code="old_news", handoff=handoff)
        if job.expires_at is not None and now >= job.expires_at:
            return Outcome(Event.EXPIRE, error="Too late to be of use", code="expired")
        return None

    async def _over_a_cap(self, job: Job, now: float) -> Outcome | None:
        """What follows if the contact was answered as often as is allowed: silence, after the notice at most."""
        said = await self._memory.answers(job, now - DAY) if self._caps else ()
        if cap := self._caps.reached(said, now):
            return self._over(cap, f"Was answered as often as allowed in {IN_WORDS[cap]}", said, now)
        return None

    def gave_up(self, job: Job, error: str, welcome: Sequence[Outgoing] = ()) -> Outcome:
        """The model failed: send the fallback text, if there is one, after the `welcome` for a first contact."""
        text = self._style.fallback_text
        fallback = (text_message(text, Origin.FALLBACK),) if text else ()
        return Outcome(
            Event.GIVE_UP,
            error=error,
            code="assistant",
            says=(*welcome, *fallback),
            handoff=self._begin_handoff(Reason.FAILURE, job),
        )

    def _over(self, cap: str, error: str, said: Sequence[tuple[float, Origin]], now: float) -> Outcome:
        """A cap is reached: silence, after the notice at most. `said`: what the contact was answered in a day."""
        self._on_cap(cap)
        notice = (text_message(self._caps.notice, Origin.LIMIT),) if self._caps.notice_is_due(said, now) else ()
        return Outcome(Event.GIVE_UP, error=error, code="limit", says=notice)

    async def _without_calls(self, job: Job, welcome: Sequence[Outgoing]) -> Outcome:
        """The models may not be asked any more today: the `welcome` for a first contact, and else as over a cap."""
        now = self._clock()
        over = self._over("calls", str(CallsSpent()), await self._memory.answers(job, now - DAY), now)
        return replace(over, says=(*welcome, *over.says))

    async def _talk(self, job: Job) -> tuple[Transcript, bool]:
        """The conversation so far, and whether there are messages before those being answered.

        If the journal has too little (a new contact, or old messages were deleted), the archive is asked; once it has
        answered, it is not asked again.
        """
        limit, oldest = self._style.bounds(self._clock())
        talk = await self._memory.talk(job, limit, oldest)
        if talk.searched or self._archive is None or (talk.earlier and len(talk.said) >= limit):
            return talk, talk.earlier
        try:
            known = await self._archive.recent(talk.names, talk.key, max(limit, 1))  # 0 would mean all
        except ArchiveDown:
            # This may be an old customer: welcoming one as new is worse than not welcoming a new one.
            return talk, True
        await self._memory.adopt(job, known, self._clock())
        talk = await self._memory.talk(job, limit, oldest) if known else talk
        return talk, talk.earlier

    async def _prompt(self, talk: Transcript) -> Prompt | None:
        """What the model sees; None if no message that is being answered has a text."""
        return (await shown(self._briefing, self._style, talk.contact.name, talk.said))[1]

    async def _ask(self, job: Job, asked: Prompt, questions: Sequence[str]) -> tuple[list[Outgoing], Handoff | None]:
        """What the model says, and whether it asks for a person: then the notice is all that is said."""
        started = self._clock()
        self._pace.spend(job.contact.id, started)
        try:
            answer = read_answer(await self._assistant.answer(asked, job), handoff=self._handoff.by_assistant)
            says = spoken(answer, max_bubbles=self._style.max_bubbles, notice=self._handoff.notice)
            if not says.texts and not answer.handoff:
                raise AssistantFailed("the answer is empty")
        except AssistantFailed:
            self.assistant_works = False
            raise
        finally:
            self._observe_seconds(self._clock() - started)
        self.assistant_works = True
        handoff = self._begin_handoff(Reason.ASSISTANT, job) if answer.handoff else None
        several = len(questions) > 1 or (questions and await self._memory.more_waits(job))
        quotes = several and not (handoff and self._handoff.notice)
        quoted = [questions[-1] if quotes else None] + [None] * len(says.texts)
        origin = Origin.SERVICE if handoff else Origin.AI  # the assistant's own messages are withdrawn with the handoff
        said = [text_message(text, origin, quotes) for text, quotes in zip(says.texts, quoted, strict=False)]
        return [*said[:-1], *(with_choices(last, says.choices) for last in said[-1:])], handoff

    def _begin_handoff(self, reason: Reason, job: Job) -> Handoff:
        log.info("contact.handed_off", reason=str(reason), job=job.id)
        return self._handoff.begin(reason)

    def _after_failure(self, job: Job, error: AssistantFailed, welcome: Sequence[Outgoing]) -> Outcome:
        again = after_model_failure(error, spent=job.spent, policy=self._policy, now=self._clock(), noise=self._noise())
        return again or self.gave_up(job, str(error), welcome)
