"""What people can make the model cost, from outside: the real service, and a model on a socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pytest_aiohttp.plugin import AiohttpServer

from tests.business import ANA, BEN, EVA, Business, business
from tests.stand_ins import OpenAIStandIn
from tests.test_assistant import of
from wabot.core.conversation import MESSAGE_CHARACTERS

AI = {"answer": "ai"}


def texts(b: Business, to: str | None = None) -> list[str]:
    """The texts that Meta was asked to send, to one person or to all."""
    return [one.payload["text"]["body"] for one in b.meta.sent if to in (None, one.payload["to"].lstrip("+"))]


async def settled(b: Business, replies: int) -> None:
    """Wait until so many replies have ended, with an answer or without."""
    async with asyncio.timeout(10):
        while True:
            metrics = (await b.get("/metrics")).body.decode().splitlines()
            ended = [line for line in metrics if line.startswith('wabot_jobs_settled_total{kind="reply"')]
            if sum(float(line.split()[-1]) for line in ended) >= replies:
                return
            await asyncio.sleep(0.02)


async def test_the_calls_of_a_day_are_those_of_all_people_and_a_restart_does_not_begin_anew(
    tmp_path: Path, aiohttp_server: AiohttpServer
) -> None:
    model = OpenAIStandIn(text="At nine.")
    chosen = await of(aiohttp_server, model, calls_per_day=2, limit_notice="Until tomorrow.")
    async with business(tmp_path, assistant=chosen, first_contact=AI) as b:
        for number, person in enumerate((ANA, BEN), 1):
            await b.meta.say("When do you open?", from_=person)
            await settled(b, number)
    async with business(tmp_path, meta=b.meta, assistant=chosen, first_contact=AI) as b:
        for number in range(3):
            await b.meta.say(f"Hello? {number}", from_=ANA)
            await settled(b, number + 1)
        await b.meta.until(lambda meta: len(meta.sent) == 3)
        assert 'wabot_replies_capped_total{cap="calls"} 3.0' in (await b.get("/metrics")).body.decode()
        assert texts(b, ANA) == ["At nine.", "Until tomorrow."], "one notice, and then silence"
    assert len(model.asked) == 2


async def test_the_requests_to_fallbacks_count_as_calls(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    first, second = OpenAIStandIn(status=500, reason="broken"), OpenAIStandIn(text="At nine.")
    fallbacks = [await of(aiohttp_server, second, "second")]
    chosen = await of(aiohttp_server, first, fallbacks=fallbacks, calls_per_day=3)
    async with business(tmp_path, assistant=chosen, first_contact=AI) as b:
        for number, person in enumerate((ANA, BEN, EVA), 1):
            await b.meta.say("When do you open?", from_=person)
            await settled(b, number)
        assert texts(b) == ["At nine."]
    assert (len(first.asked), len(second.asked)) == (2, 1)


async def test_a_prompt_is_bounded_whatever_people_write(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    model = OpenAIStandIn()
    file = tmp_path / "prompt.txt"
    file.write_text("You sell flowers. " * 1000, "utf-8")
    chosen = await of(aiohttp_server, model, prompt_file=file, quiet_seconds=0.5)
    async with business(tmp_path / "data", assistant=chosen, first_contact=AI) as b:
        await asyncio.gather(*(b.meta.say(f"{n}: " + "tulips " * 9000, from_=ANA) for n in range(30)))
        await settled(b, 1)
    system, *turns = (message["content"] for message in model.asked[0].json["messages"])
    assert system.startswith("You sell flowers.")
    assert 50_000 < len(system) + sum(map(len, turns)) <= 60_000
    assert max(map(len, "".join(turns).split(": tulips"))) <= MESSAGE_CHARACTERS


async def test_two_bots_that_talk_to_each_other_end_in_silence(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    model = OpenAIStandIn(text="How can I help you?")
    chosen = await of(aiohttp_server, model, replies_per_contact_hour=5, limit_notice="That is all for now.")
    async with business(tmp_path, assistant=chosen, first_contact=AI) as b:
        await b.meta.say("How can I help you?", from_=ANA)
        heard = 0
        while await _one_more(b, heard):
            heard += 1
            await b.meta.say(f"No, how can I help you? {heard}", from_=ANA)
        assert texts(b) == ["How can I help you?"] * 5 + ["That is all for now."]
        assert (await b.get("/readyz")).json["problems"] == []
        assert 'wabot_replies_capped_total{cap="hour"}' in (await b.get("/metrics")).body.decode()
        (last, *_) = (await b.get("/outbox", params={"kind": "reply", "state": "failed"})).json["outbox"]
        assert (last["error"], last["error_code"]) == ("Was answered as often as allowed in an hour", "limit")
        await b.meta.say("When do you open?", from_=BEN)
        await b.meta.until(lambda meta: len(meta.sent) == 7)
    assert len(model.asked) == 6, "another person is answered"


async def _one_more(b: Business, heard: int) -> Any:
    """Whether we say something once more to a bot that answers at once."""
    await settled(b, heard + 1)
    await asyncio.sleep(0.2)
    return len(b.meta.sent) > heard
