"""Answering, with a real journal: what was said becomes a template, a text of the model, or silence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes import MemoryArchive, ScriptedAssistant
from tests.journal.scene import ANA, BEN, DAY, NOW, POLICY, RULES, Scene, said, sent, template, text
from wabot.core.conversation import TALK_CHARACTERS, FirstContact, Prompt, Role, Said, Turn
from wabot.core.handoff import HandoffRules, Reason
from wabot.core.jobs import Event, Job, Kind, Outcome, State
from wabot.core.messages import Direction, Inbound, Person, Stop
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.core.outgoing import Origin, template_message, text_message
from wabot.core.rate_limits import Pace
from wabot.core.reply_caps import ReplyCaps
from wabot.core.system_prompt import System
from wabot.core.tools import NO_TOOLS, ToolUse
from wabot.core.whatsapp_text import MAX_BODY
from wabot.work.models import Models, RankedModel
from wabot.work.reply import Replies, ReplyStyle, Typing
from wabot.work.typing_indicator import Silence, TypingIndicator

WELCOME = {"name": "welcome", "language": "en_US", "components": []}
STYLE = ReplyStyle(
    first_contact=FirstContact.AI,
    template=WELCOME,
    history_messages=20,
    fallback_text="A colleague will write to you.",
)

Say = Callable[..., Any]


class Told:
    """The model is always told the same."""

    async def system(self, name: str, said: Sequence[Said]) -> System:
        return System("You sell flowers.", 17)


class Desk:
    """The handler, with the journal that it reads; `reply` answers what is due and writes it down."""

    def __init__(
        self,
        scene: Scene,
        *,
        assistant: ScriptedAssistant,
        archive: MemoryArchive | None,
        style: ReplyStyle,
        pace: Pace,
        caps: ReplyCaps,
        handoff: HandoffRules = HandoffRules(),  # noqa: B008  frozen
        typing: Typing | None = None,
    ) -> None:
        self.scene, self.assistant = scene, assistant
        self.took: list[float] = []
        self.typed: list[str | None] = []
        self.capped: list[str] = []
        self.replies = Replies(
            scene.journal,
            Models([RankedModel(ModelName("scripted", "m"), 30.0, assistant)], clock=lambda: scene.now),
            archive,
            briefing=Told(),
            style=style,
            policy=POLICY,
            pace=pace,
            clock=lambda: scene.now,
            noise=lambda: 0.5,
            caps=caps,
            handoff=handoff,
            typing=typing or self._typing,
            on_cap=self.capped.append,
            observe_seconds=self.took.append,
        )

    @asynccontextmanager
    async def _typing(self, wamid: str | None, _silence: Silence) -> AsyncIterator[None]:
        self.typed.append(wamid)
        yield

    async def hear(self, *messages: Inbound) -> None:
        """Somebody speaks, and the quiet window passes."""
        await self.scene.hear(*messages)
        self.scene.now += RULES.quiet_seconds

    async def answer(self) -> Outcome:
        """Handle the one reply that is due."""
        job = await self.scene.claim_one(Kind.REPLY)
        outcome = await self.replies.handle(job)
        await self.scene.settle(job, outcome)
        return outcome

    async def deliver(self, wamid: str = "wamid.out") -> None:
        """Meta takes all that is queued."""
        while jobs := await self.scene.claim():
            for job in jobs:
                await self.scene.settle(job, sent(f"{wamid}.{job.id}"))

    def queued(self) -> list[tuple[str, str]]:
        """What was said: (origin, body), oldest first."""
        rows = self.scene.rows("SELECT origin, body FROM messages WHERE direction = 'out' ORDER BY id")
        return [(row["origin"], row["body"]) for row in rows]

    def shown(self) -> Sequence[Turn]:
        """What the model was shown last."""
        return self.assistant.asked[-1].turns


@pytest.fixture
def desk(scene: Scene) -> Callable[..., Desk]:
    def make(
        *failures: str,
        text: str = "We open at nine.",
        archive: MemoryArchive | None = None,
        pace: Pace = Pace(0.0, 1),  # noqa: B008  bounds nothing, and so keeps nothing
        caps: ReplyCaps = ReplyCaps(),  # noqa: B008  frozen
        calls_are_spent: Callable[[], Awaitable[bool]] | None = None,
        handoff: HandoffRules = HandoffRules(),  # noqa: B008  frozen
        **style: Any,
    ) -> Desk:
        assistant = ScriptedAssistant(text, failures=failures)
        styled = replace(STYLE, **style)
        at = Desk(scene, assistant=assistant, archive=archive, style=styled, pace=pace, caps=caps, handoff=handoff)
        at.replies._calls_are_spent = calls_are_spent or at.replies._calls_are_spent
        return at

    return make


def archived(wamid: str, body: str, *, at: float = NOW - 9 * 86400, out: bool = False) -> dict[str, Any]:
    """A message that the archive has."""
    return {
        "_id": wamid,
        "id": wamid,
        "from": "15550001" if out else ANA,
        "to": ANA if out else "15550001",
        "timestamp": str(int(at)),
        "type": "text",
        "body": body,
        "raw": {},
        "participant_numbers": ["15550001", ANA],
        "direction": "out" if out else "in",
        "origin": "ai" if out else "person",
        "contact": None,
        "status": "sent" if out else "received",
    }


def holding(*documents: dict[str, Any]) -> MemoryArchive:
    archive = MemoryArchive()
    archive.documents = {document["_id"]: document for document in documents}
    return archive


# Newcomers.


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (FirstContact.TEMPLATE, [("template", "[template welcome]")]),
        (FirstContact.AI, [("ai", "We open at nine.")]),
        (FirstContact.TEMPLATE_THEN_AI, [("template", "[template welcome]"), ("ai", "We open at nine.")]),
    ],
)
@pytest.mark.parametrize("archive", [None, holding()])
async def test_a_newcomer_is_answered_as_the_settings_say(
    desk: Callable[..., Desk],
    answer: FirstContact,
    expected: list[tuple[str, str]],
    archive: MemoryArchive | None,
) -> None:
    at = desk(first_contact=answer, archive=archive)
    await at.hear(said("wamid.1"))
    assert (await at.answer()).event is Event.SUCCEED
    assert at.queued() == expected


async def test_the_second_time_it_is_the_model_that_answers(desk: Callable[..., Desk]) -> None:
    at = desk(first_contact=FirstContact.TEMPLATE)
    await at.hear(said("wamid.1"))
    await at.answer()
    await at.deliver()
    await at.hear(said("wamid.2"))
    await at.answer()
    assert [origin for origin, _ in at.queued()] == ["template", "ai"]


async def test_several_first_bubbles_make_one_first_contact(desk: Callable[..., Desk]) -> None:
    at = desk(first_contact=FirstContact.TEMPLATE)
    await at.hear(said("wamid.1"), said("wamid.2"), said("wamid.3"))
    await at.answer()
    assert at.queued() == [("template", "[template welcome]")]


async def test_whom_we_wrote_to_first_is_no_newcomer(desk: Callable[..., Desk]) -> None:
    at = desk(first_contact=FirstContact.TEMPLATE)
    await at.scene.send_to(ANA, "wamid.bulk")
    await at.hear(said("wamid.1"))
    await at.answer()
    assert at.queued()[1:] == [("ai", "We open at nine.")]
    assert at.shown() == (Turn(Role.ASSISTANT, "[template t]"), Turn(Role.USER, "Hello"))


async def test_whom_we_could_not_reach_before_is_a_newcomer(desk: Callable[..., Desk]) -> None:
    at = desk(first_contact=FirstContact.TEMPLATE)
    await at.scene.batch(ANA)
    await at.scene.settle(await at.scene.claim_one(), Outcome(Event.GIVE_UP, error="Undeliverable", code=131026))
    await at.hear(said("wamid.1"))
    await at.answer()
    assert at.queued()[1:] == [("template", "[template welcome]")]


# The archive.


async def test_a_contact_whom_only_the_archive_knows_is_no_newcomer_and_their_history_is_shown(
    desk: Callable[..., Desk],
) -> None:
    archive = holding(archived("wamid.a", "Have you tulips?"), archived("wamid.b", "Yes.", at=NOW - 7e5, out=True))
    at = desk(first_contact=FirstContact.TEMPLATE, archive=archive)
    await at.hear(said("wamid.1", body="And roses?"))
    await at.answer()
    assert at.queued() == [("ai", "Yes."), ("ai", "We open at nine.")]
    assert at.shown() == (
        Turn(Role.USER, "Have you tulips?"),
        Turn(Role.ASSISTANT, "Yes."),
        Turn(Role.USER, "And roses?"),
    )


@pytest.mark.parametrize("documents", [(), (archived("wamid.a", "Hello"),)])
async def test_the_archive_is_asked_once(desk: Callable[..., Desk], documents: tuple[dict[str, Any], ...]) -> None:
    archive = holding(*documents)
    at = desk("failed", archive=archive)
    await at.hear(said("wamid.1"))
    await at.answer()
    at.scene.now += 60
    await at.answer()
    await at.hear(said("wamid.2"))
    await at.answer()
    assert archive.asked == 1


async def test_the_archive_is_not_asked_where_the_journal_has_all_that_the_model_is_shown(
    desk: Callable[..., Desk],
) -> None:
    archive = holding()
    at = desk(archive=archive, history_messages=2)
    await at.scene.send_to(ANA, "wamid.bulk")
    await at.hear(said("wamid.1"))
    await at.answer()
    assert archive.asked == 0


async def test_of_somebody_whom_we_wrote_to_first_the_archive_may_know_more(desk: Callable[..., Desk]) -> None:
    at = desk(first_contact=FirstContact.TEMPLATE, archive=holding(archived("wamid.a", "Have you tulips?")))
    await at.scene.send_to(ANA, "wamid.bulk")
    await at.hear(said("wamid.1"))
    await at.answer()
    assert [turn.text for turn in at.shown()] == ["Have you tulips?", "[template t]", "Hello"]


async def test_a_talk_from_the_archive_outlives_the_next_pruning_and_is_looked_up_when_it_is_gone(
    desk: Callable[..., Desk],
) -> None:
    archive = holding(archived("wamid.a", "Have you tulips?", at=NOW - 90 * DAY))
    at = desk(archive=archive)

    async def prune() -> None:
        ages = {"before": at.scene.now - 30 * DAY, "now": at.scene.now, "limit": 200}
        held, _ = await at.scene.journal.outdated(0, **ages)
        await at.scene.journal.forget_messages(held)
        while await at.scene.journal.forget_adopted(**ages):
            pass

    async def asks(question: str, wamid: str) -> list[str]:
        await at.hear(said(wamid, body=question, at=at.scene.now))
        await at.answer()
        await at.deliver()
        await prune()
        return [turn.text for turn in at.shown()]

    assert await asks("And roses?", "wamid.1") == ["Have you tulips?\nAnd roses?"]
    assert (await asks("Daisies?", "wamid.2"))[0].startswith("Have you tulips?\nAnd roses?"), "a minute later"
    assert archive.asked == 1
    at.scene.now += 31 * DAY
    await prune()
    assert at.scene.rows("SELECT id FROM messages WHERE id < 1") == []
    assert (await asks("Asters?", "wamid.3"))[0].startswith("Have you tulips?\nAnd roses?"), "a month later"


async def test_with_the_archive_down_nobody_is_welcomed_by_mistake_and_it_is_asked_again(
    desk: Callable[..., Desk],
) -> None:
    archive = holding(archived("wamid.a", "Have you tulips?"))
    archive.down = True
    at = desk("failed", first_contact=FirstContact.TEMPLATE, archive=archive)
    await at.hear(said("wamid.1", body="Hello?"))
    await at.answer()
    assert at.shown() == (Turn(Role.USER, "Hello?"),)
    assert at.queued() == []
    archive.down = False
    at.scene.now += 60
    await at.answer()
    assert at.queued() == [("ai", "We open at nine.")]
    assert at.shown()[0].text.startswith("Have you tulips?")


# What the model is shown.


async def test_what_is_older_than_history_hours_is_not_shown_and_makes_nobody_new(desk: Callable[..., Desk]) -> None:
    at = desk(history_hours=24.0, first_contact=FirstContact.TEMPLATE_THEN_AI)
    await at.hear(said("wamid.1", body="My order is late"))
    await at.answer()
    await at.deliver()
    at.scene.now += 25 * 3600
    await at.hear(said("wamid.2", body="Are you open?", at=at.scene.now))
    await at.answer()
    assert at.shown() == (Turn(Role.USER, "Are you open?"),)
    assert [origin for origin, _ in at.queued()] == ["template", "ai", "ai"]


async def test_all_that_is_asked_is_shown_however_old(desk: Callable[..., Desk]) -> None:
    at = desk(history_hours=1.0)
    await at.hear(said("wamid.1", body="My order is late"))
    at.scene.now += 2 * 3600
    await at.hear(said("wamid.2", body="Hello?", at=at.scene.now))
    await at.answer()
    assert at.shown() == (Turn(Role.USER, "My order is late\nHello?"),)


async def test_the_model_sees_both_sides_oldest_first_and_the_question_last(desk: Callable[..., Desk]) -> None:
    at = desk()
    await at.hear(said("wamid.1", body="Hi"), said("wamid.2", body="are you open?"))
    await at.answer()
    await at.deliver()
    await at.hear(said("wamid.3", body="And on Sunday?"))
    await at.answer()
    assert at.assistant.asked[-1].system == "You sell flowers."
    assert at.shown() == (
        Turn(Role.USER, "Hi\nare you open?"),
        Turn(Role.ASSISTANT, "We open at nine."),
        Turn(Role.USER, "And on Sunday?"),
    )


async def test_the_model_sees_no_more_than_the_settings_say(desk: Callable[..., Desk]) -> None:
    at = desk(history_messages=3)
    for number in range(6):
        await at.hear(said(f"wamid.{number}", body=f"question {number}", at=at.scene.now))
        await at.answer()
        await at.deliver()
    assert [turn.text for turn in at.shown()] == ["question 4", "We open at nine.", "question 5"]


async def test_the_model_does_not_see_its_own_fallback(desk: Callable[..., Desk]) -> None:
    at = desk("one", "two", "three", "four")
    await at.hear(said("wamid.1", body="Hi"))
    for _ in range(4):
        await at.answer()
        at.scene.now += 600
    await at.deliver()
    await at.hear(said("wamid.2", body="Hello?", at=at.scene.now))
    await at.answer()
    assert at.shown() == (Turn(Role.USER, "Hi\nHello?"),)


async def test_nothing_that_has_words_asks_nothing(desk: Callable[..., Desk]) -> None:
    at = desk()
    await at.hear(said("wamid.1", body=""))
    assert (await at.answer()).event is Event.SUCCEED
    assert at.assistant.asked == []
    assert at.queued() == []


async def test_one_persons_talk_is_never_shown_to_another(desk: Callable[..., Desk]) -> None:
    at = desk()
    await at.hear(said("wamid.1", body="My order is 4711"), said("wamid.2", BEN, body="Hi"))
    jobs = await at.scene.claim(Kind.REPLY)
    for job in jobs:
        await at.replies.handle(job)
    assert [prompt.turns for prompt in at.assistant.asked] == [
        (Turn(Role.USER, "My order is 4711"),),
        (Turn(Role.USER, "Hi"),),
    ]


async def test_a_person_without_a_number_is_answered_too(desk: Callable[..., Desk]) -> None:
    at = desk(archive=holding())
    await at.hear(said("wamid.1", Person(bsuid="IN.ab12")))
    assert (await at.answer()).event is Event.SUCCEED
    (job,) = await at.scene.claim()
    assert (job.contact.wa_id, job.contact.bsuid) == (None, "IN.ab12")


async def test_staff_who_wrote_by_hand_are_part_of_the_talk(desk: Callable[..., Desk]) -> None:
    at = desk(first_contact=FirstContact.TEMPLATE)
    await at.scene.hear(said("wamid.0", body="Kim here, your roses are ready", direction=Direction.OUT))
    await at.scene.journal.resume(ANA)
    await at.hear(said("wamid.1", body="Thanks"))
    await at.answer()
    assert at.shown() == (Turn(Role.ASSISTANT, "Kim here, your roses are ready"), Turn(Role.USER, "Thanks"))


async def test_where_no_model_answers_a_person_is_asked_for_and_the_assistant_goes_on(
    desk: Callable[..., Desk],
) -> None:
    at = desk(*["no"] * 9)
    await at.hear(said("wamid.1"))
    while (outcome := await at.answer()).event is Event.RETRY:
        at.scene.now = outcome.due_at
    assert outcome.handoff is not None
    assert (outcome.handoff.reason, outcome.handoff.takeover_seconds) == (Reason.FAILURE, 0.0)
    contact = await at.scene.journal.contact(ANA, at.scene.now)
    assert contact is not None
    assert (contact["assistant"]["state"], contact["attention"]["reason"]) == ("on", "failure")


# What a message refers to.


def quoting(wamid: str, **more: Any) -> str:
    """Meta's object of a message that quotes another."""
    return json.dumps({"id": "x", "context": {"from": "15550001", "id": wamid}, **more})


async def test_the_model_is_told_what_a_message_quotes_and_the_journal_keeps_what_was_said(
    desk: Callable[..., Desk],
) -> None:
    at = desk()
    await at.hear(said("wamid.1", body="Roses or tulips?"))
    await at.answer()
    await at.deliver("wamid.out")
    (ours,) = at.scene.rows("SELECT wamid FROM messages WHERE direction = 'out'")
    await at.hear(said("wamid.2", body="Really?", raw=quoting(ours["wamid"]), at=at.scene.now))
    await at.answer()
    assert at.shown()[-1].text == '[answering: "We open at nine."]\nReally?'
    _, documents = await at.scene.journal.of_contact(ANA, 0, ())
    assert {document["body"] for document in documents} == {"Roses or tulips?", "We open at nine.", "Really?"}


async def test_what_somebody_else_said_cannot_be_quoted(desk: Callable[..., Desk]) -> None:
    at = desk()
    await at.scene.hear(said("wamid.ben", BEN, body="My secret is 42", answerable=False))
    await at.hear(said("wamid.2", body="Really?", raw=quoting("wamid.ben")))
    await at.answer()
    assert at.shown() == (Turn(Role.USER, "Really?"),)


# Several that wait.


async def quotes(at: Desk) -> list[str | None]:
    """What each queued message quotes."""
    rows = at.scene.rows("SELECT raw FROM messages WHERE direction = 'out' ORDER BY id")
    return [json.loads(row["raw"]).get("context", {}).get("message_id") for row in rows]


async def test_an_answer_to_one_message_quotes_nothing(desk: Callable[..., Desk]) -> None:
    at = desk()
    await at.hear(said("wamid.1"), said("wamid.r", type="reaction", body="👍", answerable=False))
    await at.answer()
    assert await quotes(at) == [None]


async def test_an_answer_to_several_quotes_the_last_of_them_once(desk: Callable[..., Desk]) -> None:
    at = desk(text="\n\n".join(f"{number} " + "word " * 600 for number in (1, 2)), max_bubbles=2)
    await at.hear(said("wamid.1"), said("wamid.2"), said("wamid.r", type="reaction", body="👍", answerable=False))
    await at.answer()
    assert await quotes(at) == ["wamid.2", None]


async def test_an_answer_that_another_message_overtook_quotes_the_one_that_it_answers(
    desk: Callable[..., Desk],
) -> None:
    at = desk()
    await at.hear(said("wamid.1"))
    job = await at.scene.claim_one(Kind.REPLY)
    await at.hear(said("wamid.2"))
    await at.scene.settle(job, await at.replies.handle(job))
    assert await quotes(at) == ["wamid.1"]
    await at.answer()
    assert await quotes(at) == ["wamid.1", None]


async def test_templates_and_fallbacks_quote_nothing(desk: Callable[..., Desk]) -> None:
    at = desk(*["HTTP 500"] * 4, first_contact=FirstContact.TEMPLATE_THEN_AI)
    await at.hear(said("wamid.1"), said("wamid.2"))
    for _ in range(4):
        await at.answer()
        at.scene.now += 60
    assert await quotes(at) == [None, None]


# One customer who costs too much.


async def test_somebody_who_floods_us_makes_few_and_small_prompts(desk: Callable[..., Desk]) -> None:
    """A message of 60 000 characters every 2.5 seconds."""
    at = desk(pace=Pace(10.0, 4))
    for number in range(24):
        await at.hear(said(f"wamid.{number}", body=f"{number} " + "word " * 12_000, at=at.scene.now))
        at.scene.now += 0.5
        for job in await at.scene.claim(Kind.REPLY):
            await at.scene.settle(job, await at.replies.handle(job))
    assert len(at.assistant.asked) <= 4 + 60 / 10
    sizes = [sum(len(turn.text) for turn in asked.turns) for asked in at.assistant.asked]
    assert max(sizes) < TALK_CHARACTERS + 100
    at.scene.now += 10
    job = await at.scene.claim_one(Kind.REPLY)
    assert (await at.replies.handle(job)).event is Event.SUCCEED
    assert "23 word" in at.shown()[-1].text
    assert at.scene.row("SELECT max(spent) AS n FROM jobs WHERE kind = 'reply' AND state = 'done'") == {"n": 1}


async def test_a_hundred_long_messages_are_one_prompt_of_the_newest(desk: Callable[..., Desk]) -> None:
    at = desk()
    await at.hear(*(said(f"wamid.{number}", body=f"{number} " + "word " * 12_000) for number in range(150)))
    await at.answer()
    (turn,) = at.shown()
    assert turn.text.startswith("…\n")
    assert "149 word" in turn.text
    assert len(turn.text) < TALK_CHARACTERS + 100


# What is said.


async def test_a_long_answer_becomes_bubbles_in_order(desk: Callable[..., Desk]) -> None:
    at = desk(text="\n\n".join(f"{number} " + "word " * 600 for number in (1, 2)), max_bubbles=2)
    await at.hear(said("wamid.1"))
    outcome = await at.answer()
    assert [outgoing.body[0] for outgoing in outcome.says] == ["1", "2"]
    assert all(len(outgoing.content["text"]["body"]) <= MAX_BODY for outgoing in outcome.says)
    assert [state for _, state in at.scene.jobs()] == [State.QUEUED, State.WAITING]


async def test_by_default_a_long_answer_is_one_bubble(desk: Callable[..., Desk]) -> None:
    at = desk(text="A sentence. " * 1_000)
    await at.hear(said("wamid.1"))
    (outgoing,) = (await at.answer()).says
    assert outgoing.body.endswith("sentence.…")


async def test_a_models_markdown_is_shown_as_whatsapp_shows_it(desk: Callable[..., Desk]) -> None:
    at = desk(text="# Hours\n\n**Nine** to six")
    await at.hear(said("wamid.1"))
    assert [outgoing.body for outgoing in (await at.answer()).says] == ["*Hours*\n\n*Nine* to six"]


@pytest.mark.parametrize(
    ("rules", "queued"),
    [
        (HandoffRules(), [("ai", "A colleague will write.")]),
        (HandoffRules(by_assistant=True), [("service", "A colleague will write.")]),
        (HandoffRules(by_assistant=True, notice="Please wait."), [("service", "Please wait.")]),
    ],
)
async def test_the_mark_for_a_person_is_never_said_and_hands_over_where_it_may(
    desk: Callable[..., Desk], rules: HandoffRules, queued: list[tuple[str, str]]
) -> None:
    at = desk(text="A colleague will write.\n[[Handoff]]", handoff=rules)
    await at.hear(said("wamid.1"))
    outcome = await at.answer()
    assert at.queued() == queued
    assert (outcome.handoff is not None) is rules.by_assistant
    contact = await at.scene.journal.contact(ANA, at.scene.now)
    assert contact is not None
    assert contact["assistant"]["state"] == ("paused" if rules.by_assistant else "on")


async def test_the_mark_alone_says_nothing_and_is_no_failure(desk: Callable[..., Desk]) -> None:
    at = desk(text="[[handoff]]", handoff=HandoffRules(by_assistant=True))
    await at.hear(said("wamid.1"))
    assert (await at.answer()).event is Event.SUCCEED
    assert at.queued() == []


def test_a_template_is_asked_for_in_metas_shape_and_read_in_ours() -> None:
    parameters = [{"type": "text", "text": "Ann"}, {"type": "image", "image": {"id": "7"}}, {"type": "text", "text": 5}]
    components = [{"type": "body", "parameters": parameters}, {"type": "button"}]
    outgoing = template_message({"name": "hi", "language": "en_US", "components": components}, Origin.BULK)
    assert outgoing.content == {
        "type": "template",
        "template": {"name": "hi", "language": {"code": "en_US"}, "components": components},
    }
    assert (outgoing.body, outgoing.template) == ("[template hi] Ann, 5", ("hi", "en_US"))
    assert "components" not in template_message(WELCOME, Origin.TEMPLATE).content["template"]
    assert template("hello_world") == template_message({"name": "hello_world", "language": "en_US"}, Origin.BULK)


def test_a_text_shows_no_preview_of_links() -> None:
    assert text_message("Hi", Origin.AI).content == {"type": "text", "text": {"preview_url": False, "body": "Hi"}}


# A model that fails.


async def test_a_model_that_fails_is_asked_again_later_and_nothing_is_said_meanwhile(
    desk: Callable[..., Desk],
) -> None:
    at = desk("no answer within 30 s", "HTTP 503")
    await at.hear(said("wamid.1"))
    waits = []
    for _ in range(2):
        outcome = await at.answer()
        assert (outcome.event, outcome.spent, outcome.says, outcome.code) == (Event.RETRY, True, (), "assistant")
        assert at.replies.assistant_works is False
        waits.append(outcome.due_at - at.scene.now)
        at.scene.now = outcome.due_at
    assert waits == [0.75, 1.5]
    assert (await at.answer()).event is Event.SUCCEED
    assert at.replies.assistant_works is True
    assert at.queued() == [("ai", "We open at nine.")]
    assert len(at.took) == 3


async def test_bubbles_that_arrive_while_the_model_fails_are_answered_with_the_rest(desk: Callable[..., Desk]) -> None:
    at = desk("HTTP 503")
    await at.hear(said("wamid.1", body="Hi"))
    await at.answer()
    await at.hear(said("wamid.2", body="Hello?"))
    await at.answer()
    assert at.shown() == (Turn(Role.USER, "Hi\nHello?"),)
    assert at.queued() == [("ai", "We open at nine.")]
    assert await at.scene.claim(Kind.REPLY) == []


async def test_a_model_that_never_answers_is_excused_once(desk: Callable[..., Desk]) -> None:
    at = desk("one", "two", "three", "HTTP 500")
    await at.hear(said("wamid.1"))
    for _ in range(3):
        assert (await at.answer()).event is Event.RETRY
        at.scene.now += 60
    outcome = await at.answer()
    assert (outcome.event, outcome.error, outcome.code) == (Event.GIVE_UP, "HTTP 500", "assistant")
    assert at.queued() == [("fallback", "A colleague will write to you.")]
    at.scene.now += 600
    assert await at.scene.claim(Kind.REPLY) == []


async def test_without_a_fallback_text_nothing_is_said(desk: Callable[..., Desk]) -> None:
    at = desk("one", "two", "three", "four", fallback_text="")
    await at.hear(said("wamid.1"))
    for _ in range(4):
        await at.answer()
        at.scene.now += 60
    assert at.queued() == []
    assert [state for _, state in at.scene.jobs(Kind.REPLY)] == [State.FAILED]


async def test_a_newcomer_is_welcomed_though_the_model_gives_up(desk: Callable[..., Desk]) -> None:
    at = desk("one", "two", "three", "four", first_contact=FirstContact.TEMPLATE_THEN_AI)
    await at.hear(said("wamid.1"))
    for _ in range(4):
        assert at.queued() == []
        await at.answer()
        at.scene.now += 60
    assert [origin for origin, _ in at.queued()] == ["template", "fallback"]


@pytest.mark.parametrize("nothing", ["", "  \n", "\u200b", "***", "\x00"])
async def test_an_empty_answer_is_a_failure(desk: Callable[..., Desk], nothing: str) -> None:
    at = desk(text=nothing)
    await at.hear(said("wamid.1"))
    outcome = await at.answer()
    assert (outcome.event, outcome.error) == (Event.RETRY, "the answer is empty")
    assert at.replies.assistant_works is False


async def test_what_went_wrong_is_told_without_what_was_said(desk: Callable[..., Desk]) -> None:
    at = desk("HTTP 500")
    await at.hear(said("wamid.1", body="My secret is 42"))
    outcome = await at.answer()
    assert outcome.error == "HTTP 500"


# When not to answer.


@pytest.fixture
async def job(scene: Scene) -> Job:
    """A reply in our hands."""
    await scene.hear(said("wamid.1"))
    scene.now += RULES.quiet_seconds
    return await scene.claim_one(Kind.REPLY)


async def test_a_reply_that_is_too_late_expires(desk: Callable[..., Desk], job: Job) -> None:
    at = desk()
    assert job.expires_at is not None
    at.scene.now = job.expires_at
    assert (await at.replies.handle(job)).event is Event.EXPIRE
    assert at.assistant.asked == []


async def test_a_reply_outside_the_window_expires(desk: Callable[..., Desk], job: Job) -> None:
    at = desk()
    contact = replace(job.contact, last_inbound_at=at.scene.now - 86400)
    assert (await at.replies.handle(replace(job, contact=contact))).event is Event.EXPIRE


async def test_a_reply_to_a_webhook_that_was_a_day_late_is_never_made(desk: Callable[..., Desk]) -> None:
    at = desk()
    await at.hear(said("wamid.1", at=NOW - 86400))
    assert (await at.answer()).event is Event.EXPIRE
    assert at.queued() == []


async def test_who_said_stop_while_the_reply_waited_gets_none(desk: Callable[..., Desk], job: Job) -> None:
    at = desk()
    await at.scene.journal.set_stop(ANA, at.scene.now, stop=True)
    stopped = replace(job, contact=(await at.scene.journal.of_contact(ANA, 1, ()))[0])
    outcome = await at.replies.handle(stopped)
    assert (outcome.event, outcome.code, outcome.says) == (Event.GIVE_UP, "opted_out", ())


async def test_a_reply_that_crashed_us_as_often_as_allowed_is_excused(desk: Callable[..., Desk], job: Job) -> None:
    at = desk()
    outcome = await at.replies.handle(replace(job, spent=POLICY.attempts))
    assert outcome.event is Event.GIVE_UP
    assert [outgoing.origin for outgoing in outcome.says] == [Origin.FALLBACK]
    assert at.assistant.asked == []


async def test_replies_are_bounded_by_the_lane_alone(desk: Callable[..., Desk]) -> None:
    replies = desk().replies
    replies.started(1000, NOW)
    assert (replies.room(NOW), replies.room_in(NOW)) == (float("inf"), 0.0)
    assert replies.assistant_works is None


def test_texts_in_these_tests_are_what_we_would_send() -> None:
    assert text("Hi").body == text_message("Hi", Origin.AI).body


# Typing.


async def test_typing_is_shown_for_the_newest_of_the_messages_that_are_answered(desk: Callable[..., Desk]) -> None:
    at = desk()
    await at.hear(said("wamid.1"), said("wamid.2"))
    await at.answer()
    assert at.typed == ["wamid.2"]


@pytest.mark.parametrize(
    ("hours", "stopped"), [(0, Stop.ALL), (25, None)], ids=["who opted out", "to whom it would be too late"]
)
async def test_who_gets_silence_sees_no_ticks(
    desk: Callable[..., Desk], job: Job, hours: float, stopped: Stop | None
) -> None:
    at = desk()
    at.scene.now += hours * 3600
    outcome = await at.replies.handle(replace(job, contact=replace(job.contact, stopped=stopped)))
    assert (outcome.says, at.typed) == ((), [])


async def test_who_was_answered_often_just_now_sees_no_ticks_until_it_is_their_turn(desk: Callable[..., Desk]) -> None:
    at = desk(pace=Pace(10.0, 1))
    for wamid in ("wamid.1", "wamid.2"):
        await at.hear(said(wamid))
        await at.answer()
    assert at.typed == ["wamid.1"]


async def test_who_opts_out_while_the_model_thinks_sees_no_ticks_from_then_on(scene: Scene) -> None:
    shown: list[str] = []

    async def show(wamid: str) -> bool:
        shown.append(wamid)
        return True

    class Slow(ScriptedAssistant):
        async def answer(self, prompt: Prompt, use: ToolUse = NO_TOOLS) -> ModelAnswer:
            await eventually(lambda: len(shown) > 1)  # while nothing was said, it is renewed
            await scene.hear(said("wamid.2", body="stop"))
            shown.clear()
            for _ in range(10):
                await scene.journal.ping()
            return await super().answer(prompt, use)

    indicator = TypingIndicator(show, sleep=lambda _: asyncio.sleep(0.001))
    at = Desk(
        scene,
        assistant=Slow(),
        archive=None,
        style=STYLE,
        pace=Pace(0.0, 1),
        caps=ReplyCaps(),
        typing=indicator.while_answering,
    )
    await at.hear(said("wamid.1"))
    await at.answer()
    assert shown in ([], ["wamid.1"])  # one may have been on its way


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


# Caps.


async def talking(at: Desk, times: int, *, every: float = 60.0) -> None:
    """ANA says something `times` times, and is answered or not."""
    for _ in range(times):
        at.scene.now += every
        await at.hear(said(f"wamid.{at.scene.now}", at=at.scene.now))
        await at.answer()
        await at.deliver(f"wamid.out.{at.scene.now}")


async def test_over_the_cap_of_an_hour_there_is_one_notice_and_then_silence(desk: Callable[..., Desk]) -> None:
    at = desk(caps=ReplyCaps(3, 0, "We will write tomorrow."))
    await talking(at, 6)
    assert [origin for origin, _ in at.queued()] == ["ai", "ai", "ai", "limit"]
    assert (len(at.assistant.asked), at.capped) == (3, ["hour"] * 3)
    assert at.queued()[-1] == ("limit", "We will write tomorrow.")
    assert "tomorrow" not in str(at.shown())

    at.scene.now += 3600
    await talking(at, 4)
    assert [origin for origin, _ in at.queued()][4:] == ["ai", "ai", "ai"], "and the notice not twice a day"


async def test_over_the_cap_of_a_day_silence_lasts_until_the_next_and_other_people_are_answered(
    desk: Callable[..., Desk],
) -> None:
    at = desk(caps=ReplyCaps(0, 3))
    await talking(at, 5, every=7200)
    assert (len(at.queued()), at.capped) == (3, ["day"] * 2)
    await at.hear(said("wamid.ben", BEN, at=at.scene.now))
    await at.answer()
    assert len(at.queued()) == 4
    at.scene.now += DAY
    await talking(at, 1)
    assert len(at.queued()) == 5


async def test_over_a_cap_nobody_sees_that_we_type(desk: Callable[..., Desk]) -> None:
    at = desk(caps=ReplyCaps(1, 0))
    await talking(at, 2)
    assert len(at.typed) == 1


async def test_while_no_calls_are_left_there_is_one_notice_and_nobody_sees_that_we_type(
    desk: Callable[..., Desk],
) -> None:
    at = desk(caps=ReplyCaps(notice="We will write tomorrow."), calls_are_spent=_always)
    await talking(at, 3)
    assert [origin for origin, _ in at.queued()] == ["limit"]
    assert (at.capped, at.typed, at.assistant.asked) == (["calls"] * 3, [], [])


async def test_while_no_calls_are_left_a_first_contact_gets_the_template(desk: Callable[..., Desk]) -> None:
    at = desk(first_contact=FirstContact.TEMPLATE_THEN_AI, calls_are_spent=_always)
    await talking(at, 1)
    assert [origin for origin, _ in at.queued()] == ["template"]


async def _always() -> bool:
    return True


async def test_without_caps_somebody_is_answered_however_often(desk: Callable[..., Desk]) -> None:
    at = desk(caps=ReplyCaps())
    await talking(at, 40, every=1)
    assert len(at.queued()) == 40
