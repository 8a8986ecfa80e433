"""The assistant from outside: the real service, models on sockets, and what reaches the customer."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer
from standardwebhooks import Webhook

from tests.business import ANA, Business, business
from tests.stand_ins import GeminiStandIn, ModelStandIn, OpenAIStandIn
from wabot.sandbox import payloads


async def of(server: AiohttpServer, endpoint: ModelStandIn, model: str = "first", **more: Any) -> dict[str, Any]:
    """The settings of a model that this endpoint stands for."""
    base_url = str((await server(endpoint.app())).make_url("")).rstrip("/")
    provider = {"provider": "gemini", "api_key": "k"} if isinstance(endpoint, GeminiStandIn) else {"provider": "openai"}
    return {**provider, "model": model, "base_url": base_url, "timeout_seconds": 5, **more}


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Shop:
    """An owner's endpoint, which checks our signature."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.status, self.delay = 200, 0.0

    async def tool(self, server: AiohttpServer) -> dict[str, Any]:
        """The settings of the tool."""
        app = web.Application()
        app.router.add_post("/orders", self._answer)
        properties = {"order": {"type": "string", "pattern": "^A-"}}
        return {
            "name": "where_is_my_order",
            "description": "Where an order is",
            "url": str((await server(app)).make_url("/orders")),
            "secret": SECRET,
            "parameters": {"type": "object", "properties": properties, "required": ["order"]},
        }

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.asked.append(Webhook(SECRET).verify(body, dict(request.headers)))
        await asyncio.sleep(self.delay)
        return web.json_response({"place": "Berlin"}, status=self.status)


async def answer(b: Business, text: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    """What Meta is asked to send next, after a customer wrote `text`."""
    before = len(b.meta.sent)
    await b.meta.say(text, from_=ANA, **more)
    await b.meta.until(lambda meta: len(meta.sent) > before)
    return dict(b.meta.sent[before].payload)


async def test_a_fallback_answers_and_what_the_first_model_says_is_in_problems_and_metrics(
    tmp_path: Path, aiohttp_server: AiohttpServer
) -> None:
    first = OpenAIStandIn(status=401, reason="Incorrect API key provided")
    second = OpenAIStandIn(text="We open at nine.")
    chosen = await of(aiohttp_server, first, fallbacks=[await of(aiohttp_server, second, "second")])
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        for question in ("When do you open?", "And on Sunday?"):
            assert (await answer(b, question))["text"]["body"] == "We open at nine."
        assert (len(first.asked), len(second.asked)) == (1, 2), "a model that refuses the key is skipped"
        (problem,) = (await b.get("/readyz")).json["problems"]
        assert problem["what"] == "The model first (openai) does not answer: HTTP 401: Incorrect API key provided"
        assert "assistant.api_key" in problem["remedy"]
        metrics = (await b.get("/metrics")).body.decode()
        assert 'wabot_model_failures_total{model="first",provider="openai"} 1.0' in metrics
        assert 'wabot_model_tokens_total{direction="output",model="second",provider="openai"} 14.0' in metrics


@pytest.fixture(params=[OpenAIStandIn, GeminiStandIn])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModelStandIn:
    """A scripted model of each protocol."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    endpoint: ModelStandIn = request.param()
    return endpoint


ORDER = ("where_is_my_order", {"order": "A-7"})


async def test_the_model_asks_the_owners_tool_and_answers_with_what_it_says(
    tmp_path: Path, aiohttp_server: AiohttpServer, model: ModelStandIn
) -> None:
    shop = Shop()
    model.text, model.calls = "It is in Berlin.", [[ORDER]]
    chosen = await of(aiohttp_server, model, tools=[await shop.tool(aiohttp_server)])
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        assert (await answer(b, "Where is A-7?"))["text"]["body"] == "It is in Berlin."
    (asked,) = shop.asked
    assert asked["arguments"] == {"order": "A-7"}
    assert asked["contact"]["number"] == ANA
    assert model.results() == ['{"place": "Berlin"}']


async def test_what_goes_wrong_with_a_tool_is_told_to_the_model_as_such(
    tmp_path: Path, aiohttp_server: AiohttpServer, model: ModelStandIn
) -> None:
    shop = Shop()
    shop.status = 500
    model.calls = [[("where_is_my_order", {"order": "seven"}), ("delete_all", {}), ORDER]]
    chosen = await of(aiohttp_server, model, tools=[await shop.tool(aiohttp_server)])
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        assert (await answer(b, "Where is it?"))["text"]["body"] == model.text
    assert len(shop.asked) == 1
    misfit, unknown, failed = model.results()
    assert misfit.startswith("Error: the arguments do not fit: order: ")
    assert "no tool of this name" in unknown
    assert failed == "Error: the tool answered HTTP 500"


async def test_the_tokens_of_an_answer_that_fails_are_counted(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    shop, slow, second = Shop(), OpenAIStandIn(calls=[[ORDER]], delay=0.4), OpenAIStandIn(text="Sorry.")
    fallbacks = [await of(aiohttp_server, second, "second")]
    tools = [await shop.tool(aiohttp_server)]
    chosen = await of(aiohttp_server, slow, fallbacks=fallbacks, tools=tools, timeout_seconds=0.7)
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        assert (await answer(b, "Where is it?"))["text"]["body"] == "Sorry."
        metrics = (await b.get("/metrics")).body.decode()
    assert 'wabot_model_tokens_total{direction="input",model="first",provider="openai"} 120.0' in metrics


async def test_what_a_customer_said_is_in_no_log_of_a_tool_that_fails(
    tmp_path: Path, aiohttp_server: AiohttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, model = Shop(), OpenAIStandIn(calls=[[("where_is_my_order", {"order": "ana@example.com"}), ("x" * 5000, {})]])
    chosen = await of(aiohttp_server, model, tools=[await shop.tool(aiohttp_server)])
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        await answer(b, "Where is the order of ana@example.com?")
    assert "ana@example.com" in model.results()[0], "the model is told"
    logged = capsys.readouterr().out
    assert "tool.failed" in logged
    assert "ana@example.com" not in logged
    assert "x" * 100 not in logged


async def test_there_are_at_most_five_calls_for_an_answer(
    tmp_path: Path, aiohttp_server: AiohttpServer, model: ModelStandIn
) -> None:
    shop = Shop()
    model.calls = [[ORDER] * 2, [ORDER] * 2, [ORDER] * 9]
    chosen = await of(aiohttp_server, model, tools=[await shop.tool(aiohttp_server)])
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        assert (await answer(b, "Where is it?"))["text"]["body"] == model.text
    assert len(shop.asked) == 5
    assert sum("5 calls are the most" in result for result in model.results()) == 8
    assert len(model.asked) == 4


async def test_the_five_calls_are_those_of_all_models_and_tries(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    shop, first, second = (
        Shop(),
        OpenAIStandIn(calls=[[ORDER] * 2, [ORDER] * 2]),
        OpenAIStandIn(calls=[[ORDER] * 2] * 9),
    )
    fallbacks = [await of(aiohttp_server, second, "second")]
    chosen = await of(aiohttp_server, first, fallbacks=fallbacks, tools=[await shop.tool(aiohttp_server)])
    first.text = ""  # after its calls, it answers nothing, so the other is asked
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}, delivery={"attempts": 3}) as b:
        said = await answer(b, "Where is it?")
        assert len(shop.asked) == 5
        assert said["text"]["body"] == b.settings.assistant.fallback_text
        assert len(second.asked) > 1, "it was tried again"
        first.calls, first.text = [[ORDER]], "In Berlin."
        assert (await answer(b, "And now?"))["text"]["body"] == "In Berlin.", "each reply has calls of its own"
        assert len(shop.asked) == 6


async def test_a_model_that_only_calls_tools_is_a_failure_and_a_fallback_answers(
    tmp_path: Path, aiohttp_server: AiohttpServer
) -> None:
    shop, first, second = Shop(), OpenAIStandIn(calls=[[ORDER] * 5, [ORDER], [ORDER]]), OpenAIStandIn(text="Sorry.")
    fallbacks = [await of(aiohttp_server, second, "second")]
    chosen = await of(aiohttp_server, first, fallbacks=fallbacks, tools=[await shop.tool(aiohttp_server)])
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        assert (await answer(b, "Where is it?"))["text"]["body"] == "Sorry."
        (problem,) = (await b.get("/readyz")).json["problems"]
        assert "it calls tools instead of answering" in problem["what"]
    assert len(shop.asked) == 5


async def test_the_time_of_a_model_is_that_of_its_tools_too(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    shop, slow, second = Shop(), OpenAIStandIn(calls=[[ORDER]] * 5), OpenAIStandIn(text="I do not know.")
    shop.delay = 0.4
    fallbacks = [await of(aiohttp_server, second, "second")]
    tools = [await shop.tool(aiohttp_server)]
    chosen = await of(aiohttp_server, slow, fallbacks=fallbacks, tools=tools, timeout_seconds=1)
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        assert (await answer(b, "Where is it?"))["text"]["body"] == "I do not know."
        (problem,) = (await b.get("/readyz")).json["problems"]
        assert "no answer within 1 s" in problem["what"]
    assert len(shop.asked) == 3


async def test_typing_and_ticks_cost_no_send_and_no_budget_of_the_pair(
    tmp_path: Path, aiohttp_server: AiohttpServer
) -> None:
    chosen = await of(aiohttp_server, OpenAIStandIn())
    one = {"pair_burst": 1, "pair_interval_seconds": 600, "messages_per_second": 2}
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}, delivery=one) as b:
        await answer(b, "Hello")
        assert [seen.typing for seen in b.meta.seen] == [True]
        assert len(b.meta.attempts) == 1


async def test_a_model_offers_buttons_and_a_tap_comes_back_as_their_title(
    tmp_path: Path, aiohttp_server: AiohttpServer, model: ModelStandIn
) -> None:
    model.text = "Shall we book it?\n[[buttons: Book it | Not now]]"
    chosen = await of(aiohttp_server, model)
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        offered = (await answer(b, "A table for two"))["interactive"]
        assert (offered["type"], offered["body"]["text"]) == ("button", "Shall we book it?")
        buttons = [button["reply"] for button in offered["action"]["buttons"]]
        assert [button["title"] for button in buttons] == ["Book it", "Not now"]
        model.text = "Booked."
        assert (await answer(b, payloads.button_reply(buttons[0]["id"], "Book it")))["text"]["body"] == "Booked."
        said = (await b.post("/get", {"number": ANA, "include": ["queued"]})).json["messages"]
    assert [message["body"] for message in said] == ["Booked.", "Book it", "Shall we book it?", "A table for two"]
    assert "Book it" in json.dumps(model.asked[-1].json)


async def test_what_meta_would_refuse_is_not_offered_and_the_text_is_sent(
    tmp_path: Path, aiohttp_server: AiohttpServer
) -> None:
    model = OpenAIStandIn(text="Which one?\n[[buttons: 1 | 2 | 3 | 4]]")
    chosen = await of(aiohttp_server, model)
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        assert (await answer(b, "Hi"))["text"]["body"] == "Which one?"


# Media.


def parts_of(model: ModelStandIn) -> list[tuple[str, bytes | str]]:
    """The last turn of the last request: (MIME type or "text", content)."""
    asked = model.asked[-1].json
    if isinstance(model, GeminiStandIn):
        blobs = [(part, part.get("inlineData")) for part in asked["contents"][-1]["parts"]]
        return [(b["mimeType"], base64.b64decode(b["data"])) if b else ("text", part["text"]) for part, b in blobs]
    content = asked["messages"][-1]["content"]
    return [("text", content)] if isinstance(content, str) else [_part(part) for part in content]


def _part(part: dict[str, Any]) -> tuple[str, bytes | str]:
    if part["type"] == "text":
        return "text", part["text"]
    if part["type"] == "input_audio":
        return f"audio/{part['input_audio']['format']}", base64.b64decode(part["input_audio"]["data"])
    url = part["image_url"]["url"] if part["type"] == "image_url" else part["file"]["file_data"]
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return kind, base64.b64decode(data)


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        (payloads.audio(), "audio/ogg", "[voice message]"),
        (payloads.image("Is this right?"), "image/jpeg", "[the text below is the caption of: image]\nIs this right?"),
        (payloads.document("offer.pdf"), "application/pdf", "[document: offer.pdf]"),
    ],
)
async def test_what_a_customer_sends_reaches_the_model(
    tmp_path: Path,
    aiohttp_server: AiohttpServer,
    model: ModelStandIn,
    message: dict[str, Any],
    kind: str,
    text: str,
) -> None:
    async with business(tmp_path, assistant=await of(aiohttp_server, model), first_contact={"answer": "ai"}) as b:
        await answer(b, message, content=b"the bytes of it")
        assert parts_of(model) == [("text", text), (kind, b"the bytes of it")]
        await answer(b, "And?")
        assert kind not in json.dumps(model.asked[-1].json), "only with the message that is being answered"
    assert not (tmp_path / "media").exists()


async def test_a_model_that_refuses_a_medium_is_asked_without_it_and_not_again_until_a_restart(
    tmp_path: Path, aiohttp_server: AiohttpServer, model: ModelStandIn
) -> None:
    model.refuses_media = True
    async with business(tmp_path, assistant=await of(aiohttp_server, model), first_contact={"answer": "ai"}) as b:
        for asked in (2, 3):
            await answer(b, payloads.audio(), content=b"ogg")
            assert len(model.asked) == asked
            ((kind, text),) = parts_of(model)
            assert kind == "text"
            assert str(text).endswith("[voice message]\n[voice message: not available to you]")
        assert (await b.get("/readyz")).json["problems"] == []


@pytest.mark.parametrize("trouble", ["digest", "gone", "large"])
async def test_what_cannot_be_had_is_a_note(tmp_path: Path, aiohttp_server: AiohttpServer, trouble: str) -> None:
    model = OpenAIStandIn()
    media = {"max_megabytes": 0.00001} if trouble == "large" else {}
    chosen = await of(aiohttp_server, model)
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}, media=media) as b:
        received = b.meta.media.received(payloads.image(), b"more than ten bytes")
        if trouble == "digest":
            received["image"]["sha256"] = base64.b64encode(bytes(32)).decode()
        if trouble == "gone":
            b.meta.media.delete(received["image"]["id"])
        before = len(b.meta.sent)
        told = payloads.inbound(received, "wamid.picture", time.time(), from_=ANA, user_id=None)
        await b.meta.deliver(b.meta.envelope(contacts=[payloads.contact(ANA, None, "Ana")], messages=[told]))
        await b.meta.until(lambda meta: len(meta.sent) > before)
    assert parts_of(model) == [("text", "[image]\n[image: not available to you]")]


async def test_without_media_in_the_settings_nothing_is_downloaded(
    tmp_path: Path, aiohttp_server: AiohttpServer
) -> None:
    model = OpenAIStandIn()
    chosen = await of(aiohttp_server, model, media=False)
    async with business(tmp_path, assistant=chosen, first_contact={"answer": "ai"}) as b:
        await answer(b, payloads.image(), content=b"jpeg")
        assert parts_of(model) == [("text", "[image]")]
