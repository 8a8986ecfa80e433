"""What every assistant promises; each adapter's test module runs these against its own."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import pytest

from tests.stand_ins import ModelStandIn
from wabot.core.conversation import Prompt, Role, Turn
from wabot.core.exceptions import AssistantFailed
from wabot.core.model_answers import ModelAnswer
from wabot.core.tools import NO_TOOLS, Result, Round, Tool, ToolUse

KEY = "key-nobody-may-see"
WORDS = "Have you got tulips?"
TALK = Prompt(
    "You sell flowers.",
    (Turn(Role.USER, "Hi"), Turn(Role.ASSISTANT, "Hello!"), Turn(Role.USER, WORDS)),
)


ORDER = Tool(
    "where_is_order",
    "Where an order is",
    {
        "type": "object",
        "properties": {"number": {"type": "integer", "minimum": 1}, "note": {"type": ["string", "null"]}},
        "required": ["number"],
        "additionalProperties": False,
    },
)


class Assistant(Protocol):
    async def answer(self, prompt: Prompt, use: ToolUse = NO_TOOLS) -> ModelAnswer: ...
    async def close(self) -> None: ...


class AssistantContract:
    """For all. A subclass gives the fixture `assistant`."""

    async def test_it_answers_with_text(self, assistant: Assistant) -> None:
        answer = (await assistant.answer(TALK)).text
        assert answer == answer.strip() != ""

    async def test_it_answers_when_the_business_spoke_first(self, assistant: Assistant) -> None:
        assert (await assistant.answer(Prompt("", (Turn(Role.ASSISTANT, "Hello!"), Turn(Role.USER, WORDS))))).text

    async def test_it_answers_several_at_once(self, assistant: Assistant) -> None:
        answers = await asyncio.gather(*(assistant.answer(TALK) for _ in range(20)))
        assert len(answers) == 20
        assert all(answer.text for answer in answers)

    async def test_it_may_be_closed_twice(self, assistant: Assistant) -> None:
        await assistant.close()
        await assistant.close()


class RemoteAssistantContract(AssistantContract):
    """For those that ask an endpoint. A subclass also gives the fixtures `endpoint` and `hasty` (0.2 s)."""

    @pytest.mark.parametrize("text", ["", " \n\t "])
    async def test_an_empty_answer_is_a_failure(self, assistant: Assistant, endpoint: ModelStandIn, text: str) -> None:
        endpoint.text = text
        await self._fails(assistant, "empty answer")

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
    async def test_an_http_error_that_repeats_what_was_said_is_a_failure_that_names_only_the_status(
        self, assistant: Assistant, endpoint: ModelStandIn, status: int
    ) -> None:
        endpoint.status = status
        reason = await self._fails(assistant, f"HTTP {status}")
        assert reason == f"HTTP {status}"

    @pytest.mark.parametrize("status", [401, 403, 404, 429])
    async def test_of_key_model_and_quota_the_endpoint_says_itself_what_is_wrong(
        self, assistant: Assistant, endpoint: ModelStandIn, status: int
    ) -> None:
        endpoint.status, endpoint.reason = status, f"No such key {KEY}, or model, or quota"
        reason = await self._fails(assistant, f"HTTP {status}: ")
        assert reason.endswith("or model, or quota")

    @pytest.mark.parametrize("status", [429, 500, 503])
    async def test_it_asks_once_and_leaves_asking_again_to_the_job(
        self, assistant: Assistant, endpoint: ModelStandIn, status: int
    ) -> None:
        endpoint.status = status
        await self._fails(assistant, "HTTP")
        assert len(endpoint.asked) == 1

    async def test_tokens_are_counted_as_the_provider_counts_them(
        self, assistant: Assistant, endpoint: ModelStandIn
    ) -> None:
        answer = await assistant.answer(TALK)
        assert (answer.input_tokens, answer.output_tokens) == (endpoint.input_tokens, endpoint.output_tokens)

    async def test_an_empty_answer_costs_what_it_costs(self, assistant: Assistant, endpoint: ModelStandIn) -> None:
        endpoint.text = " "
        with pytest.raises(AssistantFailed) as failed:
            await assistant.answer(TALK)
        assert failed.value.tokens == (endpoint.input_tokens, endpoint.output_tokens)

    async def test_it_does_not_wait_longer_than_its_time_out(self, hasty: Assistant, endpoint: ModelStandIn) -> None:
        endpoint.delay = 30
        began = time.monotonic()
        await self._fails(hasty, "no answer within 0.2 s")
        assert time.monotonic() - began < 2

    async def test_a_cut_connection_is_a_failure(self, assistant: Assistant, endpoint: ModelStandIn) -> None:
        endpoint.cut = True
        await self._fails(assistant, "no connection")

    @pytest.mark.parametrize("payload", [b"<html>", b"", b'"\xff"', b"[" * 100_000])
    async def test_what_is_not_json_is_a_failure(
        self, assistant: Assistant, endpoint: ModelStandIn, payload: bytes
    ) -> None:
        endpoint.payload = payload
        await self._fails(assistant, "not JSON")

    async def test_an_answer_without_a_choice_is_a_failure(self, assistant: Assistant, endpoint: ModelStandIn) -> None:
        endpoint.payload = {"error": {"message": WORDS}}
        await self._fails(assistant, "no text|blocked")

    async def test_a_model_calls_tools_and_is_told_their_results(
        self, assistant: Assistant, endpoint: ModelStandIn
    ) -> None:
        endpoint.calls = [[("where_is_order", {"number": 7}), ("where_is_order", {"number": 8, "note": "x"})]]
        called = await assistant.answer(TALK, ToolUse((ORDER,)))
        assert [(call.name, call.arguments) for call in called.calls] == [
            ("where_is_order", {"number": 7}),
            ("where_is_order", {"number": 8, "note": "x"}),
        ]
        assert all(isinstance(call.arguments["number"], int) for call in called.calls if call.arguments)
        done = Round(called.calls, (Result("In Berlin"), Result("no answer within 5 s", failed=True)), called.said)
        answer = await assistant.answer(TALK, ToolUse((ORDER,), (done,), may_call=False))
        assert (answer.text, answer.calls) == (endpoint.text, ())
        assert endpoint.results() == ["In Berlin", "Error: no answer within 5 s"]

    async def test_it_works_again_after_a_failure(self, assistant: Assistant, endpoint: ModelStandIn) -> None:
        endpoint.status = 503
        await self._fails(assistant, "HTTP 503")
        endpoint.status = 200
        assert (await assistant.answer(TALK)).text == endpoint.text

    async def _fails(self, assistant: Assistant, reason: str) -> str:
        with pytest.raises(AssistantFailed, match=reason) as failure:
            await assistant.answer(TALK)
        told = str(failure.value)
        assert told
        assert KEY not in told
        assert WORDS not in told
        return told
