"""Several models: the next one answers where the one before fails, and a dead one is skipped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from tests.fakes import TEXT
from wabot.core.conversation import Prompt, Role, Turn
from wabot.core.exceptions import AssistantFailed
from wabot.core.jobs import Job, Kind
from wabot.core.messages import Contact
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.core.model_circuit import FAILURES, FIRST_SECONDS, LONGEST_SECONDS, ModelCircuit, in_turn
from wabot.core.tools import ToolUse
from wabot.work.models import Models, RankedModel

NOW = 1_700_000_000.0
PROMPT = Prompt("You sell flowers.", (Turn(Role.USER, "Hi"),))
JOB = Job(1, Kind.REPLY, Contact(1, wa_id="919216598210"), token=1, attempt=1, spent=0, created_at=NOW, outgoing=TEXT)


@dataclass
class Scripted:
    """A model that fails with `failure`, takes `delay` seconds, or says its name."""

    name: str
    failure: AssistantFailed | None = None
    delay: float = 0.0
    asked: int = 0

    async def answer(self, _prompt: Prompt, _use: ToolUse) -> ModelAnswer:
        self.asked += 1
        await asyncio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure
        return ModelAnswer(self.name, 10, 2)


@dataclass
class Seen:
    """An observer."""

    answered: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def model_answered(self, name: ModelName, _seconds: float, _answer: ModelAnswer) -> None:
        self.answered.append(name.model)

    def model_failed(self, name: ModelName, _seconds: float, failure: AssistantFailed) -> None:
        self.failed.append((name.model, str(failure)))


class Desk:
    def __init__(self, *models: Scripted, seconds: float = 5.0) -> None:
        self.now, self.seen = NOW, Seen()
        ranked = [RankedModel(ModelName("p", model.name), seconds, model) for model in models]
        self.models = Models(ranked, clock=lambda: self.now, observers=[self.seen])

    async def answer(self, job: Job = JOB) -> str:
        return await self.models.answer(PROMPT, job)


async def test_the_others_are_not_asked_while_the_first_answers() -> None:
    first, second = Scripted("first"), Scripted("second")
    assert await Desk(first, second).answer() == "first"
    assert second.asked == 0


async def test_the_next_one_answers_where_the_one_before_fails_or_is_too_slow() -> None:
    first = Scripted("first", AssistantFailed("HTTP 500", 500))
    second, third = Scripted("second", delay=30), Scripted("third")
    at = Desk(first, second, third, seconds=0.05)
    assert await at.answer() == "third"
    assert at.seen.failed == [("first", "HTTP 500"), ("second", "no answer within 0.05 s")]
    assert at.seen.answered == ["third"]


async def test_if_all_fail_the_reason_of_each_is_told() -> None:
    at = Desk(Scripted("first", AssistantFailed("HTTP 500")), Scripted("second", AssistantFailed("HTTP 404", 404)))
    with pytest.raises(AssistantFailed, match=r"^first \(p\): HTTP 500; second \(p\): HTTP 404$"):
        await at.answer()


async def test_the_one_failure_is_told_as_it_is() -> None:
    with pytest.raises(AssistantFailed, match=r"^HTTP 401$") as failure:
        await Desk(Scripted("only", AssistantFailed("HTTP 401", 401))).answer()
    assert failure.value.status == 401


async def test_a_dead_model_is_skipped_and_asked_again_later_by_one_reply_at_a_time() -> None:
    first, second = Scripted("first", AssistantFailed("HTTP 500")), Scripted("second")
    at = Desk(first, second)
    for _ in range(FAILURES + 5):
        assert await at.answer() == "second"
    assert first.asked == FAILURES
    at.now += FIRST_SECONDS
    first.delay = 0.05
    await asyncio.gather(at.answer(), at.answer(), at.answer())
    assert first.asked == FAILURES + 1
    at.now += 2 * FIRST_SECONDS
    first.failure = None
    assert await at.answer() == "first"
    assert await at.answer() == "first"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429])
async def test_a_model_that_refuses_key_name_or_quota_is_skipped_at_once(status: int) -> None:
    first, second = Scripted("first", AssistantFailed("refused", status)), Scripted("second")
    at = Desk(first, second)
    await at.answer()
    await at.answer()
    assert first.asked == 1


async def test_the_only_model_is_always_asked() -> None:
    only = Scripted("only", AssistantFailed("HTTP 401", 401))
    at = Desk(only)
    for _ in range(9):
        with pytest.raises(AssistantFailed):
            await at.answer()
    assert only.asked == 9


async def test_what_would_come_after_the_reply_expired_is_not_asked_for() -> None:
    first, second = Scripted("first", delay=30), Scripted("second")
    at = Desk(first, second)

    async def answer() -> str:
        return await at.answer(replace(JOB, expires_at=NOW + 0.05))

    asking = asyncio.create_task(answer())
    await asyncio.sleep(0)
    at.now += 1
    with pytest.raises(AssistantFailed, match=r"no answer within 0\.05"):
        await asking
    assert second.asked == 0


# The circuit by itself.


def test_probes_become_rarer_up_to_a_bound() -> None:
    circuit, now, waits = ModelCircuit(), NOW, list[float]()
    circuit.failed(now, 401)
    for _ in range(6):
        assert circuit.probe_at is not None
        waits.append(circuit.probe_at - now)
        now = circuit.probe_at
        circuit.asked(now)
        circuit.failed(now, None)
    assert waits == [30.0, 60.0, 120.0, 240.0, LONGEST_SECONDS, LONGEST_SECONDS]


def test_requests_that_were_in_flight_do_not_lengthen_the_pause() -> None:
    circuit = ModelCircuit()
    for _ in range(20):
        circuit.failed(NOW, None)
    assert circuit.probe_at == NOW + FIRST_SECONDS


def test_if_all_are_dead_the_one_whose_probe_comes_first_is_asked() -> None:
    circuits = [ModelCircuit(), ModelCircuit()]
    circuits[0].failed(NOW + 9, 401)
    circuits[1].failed(NOW, 401)
    assert in_turn(circuits, NOW + 10) == [1]


def test_a_clock_that_is_set_back_does_not_keep_a_model_dead() -> None:
    circuit = ModelCircuit()
    circuit.failed(NOW, 401)
    assert circuit.is_skipped(NOW - 86_400)
    assert not circuit.is_skipped(NOW - 86_400 + FIRST_SECONDS)
