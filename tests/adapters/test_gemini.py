from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from tests.adapters.assistant_contract import KEY, ORDER, TALK, WORDS, RemoteAssistantContract
from tests.stand_ins import GeminiStandIn
from wabot.adapters.gemini import Gemini
from wabot.core.conversation import Prompt, Role, Turn
from wabot.core.exceptions import AssistantFailed
from wabot.core.tools import Result, Round, Tool, ToolUse


@pytest.fixture
def endpoint() -> GeminiStandIn:
    return GeminiStandIn()


@pytest.fixture
async def base_url(endpoint: GeminiStandIn, aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return str((await aiohttp_server(endpoint.app())).make_url("")).rstrip("/")


@pytest.fixture
async def assistant(base_url: str) -> AsyncIterator[Gemini]:
    assistant = Gemini(api_key=KEY, model="gemini-2.5-flash", base_url=base_url, timeout_seconds=5)
    yield assistant
    await assistant.close()


@pytest.fixture
async def hasty(base_url: str) -> AsyncIterator[Gemini]:
    assistant = Gemini(api_key=KEY, model="g", base_url=base_url, timeout_seconds=0.2, threads=2)
    yield assistant
    await assistant.close()


class TestGemini(RemoteAssistantContract):
    """Over the package's REST transport, against a real socket."""


async def test_the_prompt_is_asked_in_geminis_words(assistant: Gemini, endpoint: GeminiStandIn) -> None:
    assert (await assistant.answer(TALK)).text == "Hello from the model"
    (asked,) = endpoint.asked
    assert asked.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert asked.headers["x-goog-api-key"] == KEY
    assert [part["text"] for part in asked.json["systemInstruction"]["parts"]] == ["You sell flowers."]
    assert [(content["role"], content["parts"][0]["text"]) for content in asked.json["contents"]] == [
        ("user", "Hi"),
        ("model", "Hello!"),
        ("user", WORDS),
    ]


async def test_the_first_turn_is_always_the_users(assistant: Gemini, endpoint: GeminiStandIn) -> None:
    await assistant.answer(Prompt("", (Turn(Role.ASSISTANT, "Hello!"), Turn(Role.USER, WORDS))))
    (asked,) = endpoint.asked
    assert [content["role"] for content in asked.json["contents"]] == ["user", "model", "user"]
    assert "systemInstruction" not in asked.json


async def test_the_base_url_may_have_a_path_and_a_closing_slash(base_url: str, endpoint: GeminiStandIn) -> None:
    assistant = Gemini(api_key=KEY, model="g", base_url=f"{base_url}/proxy/", timeout_seconds=5)
    await assistant.answer(TALK)
    await assistant.close()
    assert endpoint.asked[0].path == "/proxy/v1beta/models/g:generateContent"


async def test_two_instances_keep_their_keys_apart(base_url: str, endpoint: GeminiStandIn) -> None:
    both = [Gemini(api_key=key, model="g", base_url=base_url, timeout_seconds=5) for key in ("one", "two")]
    for assistant in both:
        await assistant.answer(TALK)
        await assistant.close()
    assert [asked.headers["x-goog-api-key"] for asked in endpoint.asked] == ["one", "two"]


async def test_without_a_key_no_credentials_are_looked_for(
    base_url: str, endpoint: GeminiStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.auth.default", lambda *_, **__: pytest.fail("searched this machine"))
    assistant = Gemini(api_key="", model="g", base_url=base_url, timeout_seconds=5)
    await assistant.answer(TALK)
    await assistant.close()
    assert "x-goog-api-key" not in endpoint.asked[0].headers


async def test_no_grpc_channel_is_created(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("secure_channel", "insecure_channel"):
        monkeypatch.setattr(f"grpc.{name}", lambda *_, **__: pytest.fail("a gRPC channel"))
        monkeypatch.setattr(f"grpc.aio.{name}", lambda *_, **__: pytest.fail("a gRPC channel"))
    assistant = Gemini(api_key=KEY, model="g", base_url=base_url, timeout_seconds=5)
    assert await assistant.answer(TALK)
    await assistant.close()


async def test_slow_calls_never_hold_more_than_its_threads(hasty: Gemini, endpoint: GeminiStandIn) -> None:
    endpoint.delay = 30
    outcomes = await asyncio.gather(*(hasty.answer(TALK) for _ in range(10)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [AssistantFailed] * 10
    assert sum(thread.name.startswith("gemini") and thread.is_alive() for thread in threading.enumerate()) <= 2
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "SAFETY"),
        ({"candidates": [{"finishReason": "SAFETY", "content": {"parts": [{"text": "Well,"}]}}]}, "SAFETY"),
        ({"candidates": [{"finishReason": "MAX_TOKENS"}]}, "MAX_TOKENS"),
        ({"candidates": [{"finishReason": "A_NEW_REASON"}]}, "empty"),
        ({}, "blocked"),
    ],
)
async def test_a_blocked_answer_is_a_failure_that_names_the_reason(
    assistant: Gemini, endpoint: GeminiStandIn, payload: dict[str, object], reason: str
) -> None:
    endpoint.payload = payload
    with pytest.raises(AssistantFailed, match=reason):
        await assistant.answer(TALK)


async def test_an_answer_that_was_cut_at_the_token_limit_is_still_an_answer(
    assistant: Gemini, endpoint: GeminiStandIn
) -> None:
    parts = [{"text": "We have "}, {"text": "red ones"}]
    endpoint.payload = {"candidates": [{"finishReason": "MAX_TOKENS", "content": {"parts": parts}}]}
    assert (await assistant.answer(TALK)).text == "We have red ones"


async def test_an_endpoint_that_is_not_there_is_a_failure(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assistant = Gemini(api_key=KEY, model="g", base_url=url, timeout_seconds=5)
    with pytest.raises(AssistantFailed, match="no connection"):
        await assistant.answer(TALK)
    await assistant.close()


def test_importing_it_is_silent_though_warnings_are_errors() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import wabot.adapters.gemini"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_tools_are_offered_in_geminis_words(assistant: Gemini, endpoint: GeminiStandIn) -> None:
    endpoint.calls = [[("where_is_order", {"number": 7})]]
    bare = Tool("opening_hours", "When we are open", {"type": "object", "properties": {}})
    called = await assistant.answer(TALK, ToolUse((ORDER, bare)))
    asked = endpoint.asked[0].json
    first, second = asked["tools"][0]["functionDeclarations"]
    assert first["parameters"] == {
        "type": 6,  # OBJECT: Google's package writes the numbers of the names
        "properties": {"number": {"type": 3}, "note": {"type": 1, "nullable": True}},  # INTEGER, STRING
        "required": ["number"],
    }
    assert second == {"name": "opening_hours", "description": "When we are open"}
    assert asked["toolConfig"] == {"functionCallingConfig": {"mode": 1}}
    done = Round(called.calls, (Result("Here"),), called.said)
    await assistant.answer(TALK, ToolUse((ORDER,), (done,), may_call=False))
    said, results = endpoint.asked[1].json["contents"][-2:]
    assert said == {"role": "model", "parts": [{"functionCall": {"name": "where_is_order", "args": {"number": 7}}}]}
    response = {"functionResponse": {"name": "where_is_order", "response": {"result": "Here"}}}
    assert results == {"role": "user", "parts": [response]}
    assert endpoint.asked[1].json["toolConfig"] == {"functionCallingConfig": {"mode": 3}}
