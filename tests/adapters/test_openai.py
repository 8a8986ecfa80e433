from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from pytest_aiohttp.plugin import AiohttpServer

from tests.adapters.assistant_contract import KEY, ORDER, TALK, RemoteAssistantContract
from tests.stand_ins import OpenAIStandIn
from wabot.adapters.openai import MAX_ANSWER_BYTES, OpenAI
from wabot.core.conversation import Prompt
from wabot.core.exceptions import AssistantFailed
from wabot.core.tools import Result, Round, ToolUse


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def endpoint() -> OpenAIStandIn:
    return OpenAIStandIn()


@pytest.fixture
async def base_url(endpoint: OpenAIStandIn, aiohttp_server: AiohttpServer) -> str:
    return str((await aiohttp_server(endpoint.app())).make_url("/v1"))


@pytest.fixture
def assistant(session: aiohttp.ClientSession, base_url: str) -> OpenAI:
    return OpenAI(session, base_url=base_url, api_key=KEY, model="llama", timeout_seconds=5)


class TestOpenAI(RemoteAssistantContract):
    @pytest.fixture
    def hasty(self, session: aiohttp.ClientSession, base_url: str) -> OpenAI:
        return OpenAI(session, base_url=base_url, api_key=KEY, model="llama", timeout_seconds=0.2)


async def test_the_prompt_is_asked_in_the_endpoints_words(assistant: OpenAI, endpoint: OpenAIStandIn) -> None:
    await assistant.answer(TALK)
    (asked,) = endpoint.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.json == {
        "model": "llama",
        "stream": False,
        "messages": [
            {"role": "system", "content": "You sell flowers."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "Have you got tulips?"},
        ],
    }


async def test_without_a_key_nothing_is_authorized_and_a_closing_slash_does_not_matter(
    session: aiohttp.ClientSession, base_url: str, endpoint: OpenAIStandIn
) -> None:
    assistant = OpenAI(session, base_url=base_url + "/", api_key="", model="llama", timeout_seconds=5)
    await assistant.answer(Prompt("", TALK.turns))
    (asked,) = endpoint.asked
    assert asked.path == "/v1/chat/completions"
    assert "Authorization" not in asked.headers
    assert [message["role"] for message in asked.json["messages"]] == ["user", "assistant", "user"]


async def test_content_in_parts_is_joined(assistant: OpenAI, endpoint: OpenAIStandIn) -> None:
    parts = [{"type": "text", "text": "Yes, "}, {"type": "image_url"}, "odd", {"type": "text", "text": "we do."}]
    endpoint.payload = {"choices": [{"message": {"content": parts}}]}
    assert (await assistant.answer(TALK)).text == "Yes, we do."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>hm</think>\n\nYes.", "Yes."),
        ("hm, the template opened it\n</think>Yes.", "Yes."),
        ("Yes. <think>\nsure?\n</think>Sure.", "Yes. Sure."),
        ("<think>a <think>b</think>Yes.", "Yes."),
        ("I think so", "I think so"),
    ],
)
async def test_thoughts_are_not_said(assistant: OpenAI, endpoint: OpenAIStandIn, text: str, said: str) -> None:
    endpoint.text = text
    assert (await assistant.answer(TALK)).text == said


@pytest.mark.parametrize("text", ["<think>never ends", "<think>all of it</think>", "<think>" * 100_000])
async def test_nothing_but_thoughts_is_an_empty_answer(assistant: OpenAI, endpoint: OpenAIStandIn, text: str) -> None:
    endpoint.text = text
    with pytest.raises(AssistantFailed, match="empty answer"):
        await assistant.answer(TALK)


async def test_a_blocked_answer_is_a_failure_though_it_has_words(assistant: OpenAI, endpoint: OpenAIStandIn) -> None:
    endpoint.payload = {"choices": [{"message": {"content": "Well,"}, "finish_reason": "content_filter"}]}
    with pytest.raises(AssistantFailed, match="content_filter"):
        await assistant.answer(TALK)


@pytest.mark.parametrize("message", [{"content": None}, {"content": 7}, {}, "text", None])
async def test_a_choice_without_text_is_a_failure(assistant: OpenAI, endpoint: OpenAIStandIn, message: object) -> None:
    endpoint.payload = {"choices": [{"message": message}]}
    with pytest.raises(AssistantFailed, match="no text"):
        await assistant.answer(TALK)


async def test_an_answer_without_end_is_not_read_to_the_end(assistant: OpenAI, endpoint: OpenAIStandIn) -> None:
    endpoint.payload = b" " * (MAX_ANSWER_BYTES + 1)
    with pytest.raises(AssistantFailed, match="too large"):
        await assistant.answer(TALK)


async def test_an_endpoint_that_is_not_there_is_a_failure(session: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(AssistantFailed, match="no connection"):
        await OpenAI(session, base_url=url, api_key="", model="m", timeout_seconds=5).answer(TALK)


async def test_closing_leaves_the_session_to_its_owner(assistant: OpenAI, session: aiohttp.ClientSession) -> None:
    await assistant.close()
    assert not session.closed


@pytest.mark.parametrize("status", [302, 307])
async def test_a_redirect_is_not_followed(assistant: OpenAI, endpoint: OpenAIStandIn, status: int) -> None:
    endpoint.status = status
    with pytest.raises(AssistantFailed, match=f"HTTP {status}"):
        await assistant.answer(TALK)
    assert len(endpoint.asked) == 1


async def test_tools_are_offered_and_calls_repeated_in_the_endpoints_words(
    assistant: OpenAI, endpoint: OpenAIStandIn
) -> None:
    endpoint.calls = [[("where_is_order", {"number": 7})]]
    called = await assistant.answer(TALK, ToolUse((ORDER,)))
    function = {"name": ORDER.name, "description": ORDER.description, "parameters": ORDER.parameters}
    assert endpoint.asked[0].json["tools"] == [{"type": "function", "function": function}]
    assert endpoint.asked[0].json["tool_choice"] == "auto"
    await assistant.answer(
        TALK, ToolUse((ORDER,), (Round(called.calls, (Result("Here"),), called.said),), may_call=False)
    )
    assert endpoint.asked[1].json["tool_choice"] == "none"
    assert endpoint.asked[1].json["messages"][-2:] == [
        called.said,
        {"role": "tool", "tool_call_id": "call_0", "content": "Here"},
    ]


@pytest.mark.parametrize("arguments", ["{", "[1]", "7", '{"a": "' + "x" * 20_000 + '"}', "[" * 10_000])
async def test_arguments_that_are_no_object_are_none(
    assistant: OpenAI, endpoint: OpenAIStandIn, arguments: str
) -> None:
    endpoint.calls = [[("where_is_order", arguments)]]
    (call,) = (await assistant.answer(TALK, ToolUse((ORDER,)))).calls
    assert call.arguments is None


@pytest.mark.parametrize("call", [None, 7, {}, {"function": None}, {"function": {"name": 7}}])
async def test_a_call_of_any_shape_is_one_to_no_tool(assistant: OpenAI, endpoint: OpenAIStandIn, call: object) -> None:
    endpoint.payload = {"choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]}
    (found,) = (await assistant.answer(TALK, ToolUse((ORDER,)))).calls
    assert found.name in ("", "7")
