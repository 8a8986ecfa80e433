"""The assistant from outside: the real service, models on sockets, and what reaches the customer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_aiohttp.plugin import AiohttpServer

from tests.business import ANA, Business, business
from tests.stand_ins import OpenAIStandIn


async def of(server: AiohttpServer, endpoint: OpenAIStandIn, model: str = "first", **more: Any) -> dict[str, Any]:
    """The settings of a model that this endpoint stands for."""
    base_url = str((await server(endpoint.app())).make_url("/v1"))
    return {"provider": "openai", "model": model, "base_url": base_url, "timeout_seconds": 5, **more}


async def answer(b: Business, text: str) -> dict[str, Any]:
    """What Meta is asked to send next, after a customer wrote `text`."""
    before = len(b.meta.sent)
    await b.meta.say(text, from_=ANA)
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
