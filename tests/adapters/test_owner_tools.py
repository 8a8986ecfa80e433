"""The owner's tools, at a real HTTP server, which checks our signature with a library that is not ours."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests.adapters.assistant_contract import ORDER
from tests.process import served
from wabot.adapters.owner_tools import LARGEST_ANSWER, LONGEST_RESULT, Endpoint, OwnerTools
from wabot.adapters.signed_post import SignedPost
from wabot.core.exceptions import InvalidInput
from wabot.core.messages import Contact
from wabot.core.standard_webhooks import key_of
from wabot.core.tools import Call, Result, Tool

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ANA = Contact(1, wa_id="919216598210", name="Ana")


@dataclass
class Shop:
    """An owner's endpoint."""

    text: str = '{"place": "Berlin"}'
    status: int = 200
    delay: float = 0.0
    asked: list[Any] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        Webhook(SECRET).verify(body, dict(request.headers))
        self.asked.append(json.loads(body))
        if self.delay:
            await asyncio.wait([asyncio.create_task(self.over.wait())], timeout=self.delay)
        headers = {"Location": "/other"} if self.status in (301, 307) else None
        return web.Response(text=self.text, status=self.status, headers=headers)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def served_at(shop: Shop) -> AbstractAsyncContextManager[str]:
    app = web.Application()
    app.router.add_post("/{path:.*}", shop.answer)
    return served(app)


@pytest.fixture
async def tools(shop: Shop) -> Any:
    async with served_at(shop) as url, aiohttp.ClientSession() as session:
        yield OwnerTools([Endpoint(ORDER, url, SECRET, 0.3)], SignedPost(session), clock=time.time)
        shop.over.set()


async def test_a_tool_gets_the_arguments_and_who_asks_signed_and_its_words_are_the_result(
    tools: OwnerTools, shop: Shop
) -> None:
    assert await tools.call(Call("1", ORDER.name, {"number": 7}), ANA) == Result('{"place": "Berlin"}')
    (asked,) = shop.asked
    assert asked["arguments"] == {"number": 7}
    assert (asked["contact"]["number"], asked["contact"]["name"]) == ("919216598210", "Ana")


@pytest.mark.parametrize(
    "arguments",
    [None, {}, {"number": "7"}, {"number": 0}, {"number": 7, "more": 1}, {"number": math.nan}, {"number": math.inf}],
)
async def test_arguments_that_do_not_fit_never_reach_the_tool(
    tools: OwnerTools, shop: Shop, arguments: dict[str, Any] | None
) -> None:
    result = await tools.call(Call("1", ORDER.name, arguments), ANA)
    assert result.failed
    assert "argument" in result.text
    assert shop.asked == []


@pytest.mark.parametrize("number", [math.nan, math.inf])
async def test_what_is_no_json_never_reaches_a_tool_that_takes_anything(shop: Shop, number: float) -> None:
    async with served_at(shop) as url, aiohttp.ClientSession() as session:
        anything = Tool("anything", "Takes anything", {"type": "object"})
        tools = OwnerTools([Endpoint(anything, url, SECRET, 5)], SignedPost(session), clock=time.time)
        result = await tools.call(Call("1", "anything", {"number": number}), ANA)
    assert (result.failed, shop.asked) == (True, [])


async def test_a_tool_that_does_not_exist_is_not_called(tools: OwnerTools) -> None:
    result = await tools.call(Call("1", "transfer_money", {}), ANA)
    assert result == Result("there is no tool of this name; there are where_is_order", failed=True)


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
async def test_what_is_no_success_is_told_as_a_failure_and_no_redirect_is_followed(
    tools: OwnerTools, shop: Shop, status: int
) -> None:
    shop.status = status
    result = await tools.call(Call("1", ORDER.name, {"number": 7}), ANA)
    assert result == Result(f"the tool answered HTTP {status}", failed=True)
    assert len(shop.asked) == 1


async def test_a_slow_tool_is_not_waited_for(tools: OwnerTools, shop: Shop) -> None:
    shop.delay = 30
    began = time.monotonic()
    result = await tools.call(Call("1", ORDER.name, {"number": 7}), ANA)
    assert result == Result("no answer within 0.3 s", failed=True)
    assert time.monotonic() - began < 2


async def test_an_answer_is_bounded_in_bytes_and_characters(tools: OwnerTools, shop: Shop) -> None:
    shop.text = "x" * (LONGEST_RESULT + 1)
    assert len((await tools.call(Call("1", ORDER.name, {"number": 7}), ANA)).text) == LONGEST_RESULT
    shop.text = "x" * (LARGEST_ANSWER + 1)
    assert (await tools.call(Call("1", ORDER.name, {"number": 7}), ANA)).failed


async def test_a_tool_that_is_not_there_is_a_failure(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as session:
        endpoint = Endpoint(ORDER, f"http://127.0.0.1:{unused_tcp_port}", SECRET, 5)
        tools = OwnerTools([endpoint], SignedPost(session), clock=time.time)
        result = await tools.call(Call("1", ORDER.name, {"number": 7}), ANA)
    assert result.failed
    assert "no connection" in result.text


@pytest.mark.parametrize("secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_###", "whsec_c2hvcnQ="])
def test_a_secret_of_another_form_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        key_of(secret)
    assert secret.removeprefix("whsec_") not in str(refusal.value) or secret in ("", "whsec_")
