"""The phone: a customer at the stand-in's page, with wabot beside it as a process that can be killed."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, FormData

from tests.process import RUN, Process

JPEG = b"\xff\xd8\xff\xe0" + bytes(64)


class Phone:
    """Somebody who speaks with the page's routes."""

    def __init__(self, client: ClientSession, url: str, wabot_url: str, process: Process) -> None:
        self.client, self.url, self.wabot_url, self.process = client, url, wabot_url, process

    async def state(self) -> dict[str, Any]:
        async with self.client.get(f"{self.url}/phone/state") as answer:
            assert answer.status == 200
            state: dict[str, Any] = await answer.json()
            return state

    async def do(self, what: str, **values: Any) -> int:
        async with self.client.post(f"{self.url}/phone/{what}", json=values) as answer:
            return answer.status

    async def ana(self) -> dict[str, Any]:
        talk: dict[str, Any] = (await self.state())["talks"][0]
        return talk

    async def say(self, text: str) -> None:
        assert await self.do("say", who=(await self.ana())["who"], text=text) == 200

    async def until(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The state, once it is so."""
        async with asyncio.timeout(30):
            while not condition(state := await self.state()):
                await asyncio.sleep(0.05)
        return state


def heard(state: dict[str, Any], who: int = 0) -> list[str]:
    return [bubble["text"] for bubble in state["talks"][who]["bubbles"] if not bubble["mine"]]


@asynccontextmanager
async def phone(place: Path, *options: str, **env: str) -> AsyncIterator[Phone]:
    quick = {"PORT": "0", "WABOT_ASSISTANT__QUIET_SECONDS": "0.3", "WABOT_FIRST_CONTACT__ANSWER": "ai"}
    process = await Process.spawn([RUN, "--sandbox", *options], cwd=place, clock=time.time, **(quick | env))
    try:
        await process.until(lambda: any("journal " in text for text in process.said))
        said = "".join(process.said)
        url = re.search(r"^  phone +(http://127\.0\.0\.1:\d+)/ ", said, re.MULTILINE)
        wabot = re.search(r"^  wabot +(http://127\.0\.0\.1:\d+) ", said, re.MULTILINE)
        assert url
        assert wabot
        async with ClientSession() as client:
            yield Phone(client, url[1], wabot[1], process)
        if process.child.returncode is None:
            assert await process.stop() == 0
        assert process.complaints == [], "".join(process.said[-60:])
    finally:
        await process.kill()


async def test_a_customer_talks_with_wabot_and_sees_ticks(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        await p.say("how much is it?")
        state = await p.until(lambda state: heard(state) == ["A visit costs 25 €, and the first one is free."])
        state = await p.until(lambda state: [b["ticks"] for b in state["talks"][0]["bubbles"]] == ["read", "read"])
        assert state["talks"][0]["window"]
        wire = {(each["kind"], each["path"].split("/")[-1]) for each in state["wire"]}
        assert {("webhook", "webhook"), ("graph", "messages")} <= wire
        sent = next(each for each in state["wire"] if '"A visit costs' in each["asked"])
        abouts = [each["about"] for each in state["wire"]]
        assert {"message “how much is it?”", "read, and typing …", "receipt: delivered"} <= set(abouts)
        assert sent["about"].startswith("send “A visit costs")
        assert "wamid." in sent["answered"]
        (replayed,) = [each for each in state["wire"] if '"how much is it?"' in each["asked"]]
        assert await p.do("replay", number=replayed["number"]) == 200
        again = await p.until(lambda now: len(now["wire"]) > len(state["wire"]))
        assert heard(again) == heard(state), "Meta may deliver twice; the answer comes once"


async def test_what_is_said_by_a_program_is_on_the_phone_too(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        asked = {"from": "919876500100", "text": "how much is it?"}
        async with p.client.post(f"{p.url}/sandbox/say", json=asked) as answer:
            assert answer.status == 200
        state = await p.until(heard)
        await p.say("and on Sundays?")
        state = await p.until(lambda state: len(heard(state)) == 2)
        said = [bubble["text"] for bubble in state["talks"][0]["bubbles"] if bubble["mine"]]
        assert said == ["how much is it?", "and on Sundays?"]


async def test_kill_9_while_an_answer_is_made_and_it_comes_all_the_same_once(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        before = (await p.state())["process"]["pid"]
        assert await p.do("trouble", model="slow") == 200
        await p.say("hello")
        await p.until(lambda state: state["talks"][0]["bubbles"][0]["ticks"] == "read")  # it is being answered
        assert await p.do("kill") == 200
        await p.say("are you there?")
        assert await p.do("trouble", model="fine") == 200
        state = await p.until(heard)
        await asyncio.sleep(1)
        state = await p.state()
        assert state["process"]["kills"] == 1
        assert state["process"]["pid"] != before
        assert len(heard(state)) in (1, 2)  # together, or each for itself
        assert len(set(heard(state))) == len(heard(state))


async def test_customers_come_at_a_click_with_and_without_a_number(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        assert await p.do("person", name="Bo", hidden=True) == 200
        state = await p.state()
        bo = state["talks"][1]
        assert (bo["name"], bo["hidden"], bo["username"]) == ("Bo", True, "bo")
        await p.do("say", who=bo["who"], text="hi")
        state = await p.until(lambda state: heard(state, 1))
        (webhook,) = [each for each in state["wire"] if '"body": "hi"' in each["asked"]]
        assert bo["number"] not in webhook["asked"]


async def test_pictures_replies_and_reactions(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        who = (await p.ana())["who"]
        form = FormData({"who": who, "text": "This one"})
        form.add_field("file", JPEG, filename="tulip.jpg", content_type="image/jpeg")
        async with p.client.post(f"{p.url}/phone/say", data=form) as answer:
            assert answer.status == 200
        state = await p.until(heard)
        picture, answer_ = state["talks"][0]["bubbles"]
        async with p.client.get(p.url + picture["media"]) as shown:
            assert (await shown.read(), shown.content_type) == (JPEG, "image/jpeg")
        await p.do("say", who=who, reaction={"of": answer_["id"], "emoji": "👍"})
        await p.do("say", who=who, text="And this?", reply_to=answer_["id"])
        state = await p.until(lambda state: len(heard(state)) == 2)
        assert [b["reaction"] for b in state["talks"][0]["bubbles"] if b["id"] == answer_["id"]] == ["👍"]
        (reply,) = [b for b in state["talks"][0]["bubbles"] if b["text"] == "And this?"]
        assert reply["quoted"] == answer_["text"]
        assert await p.do("say", who="nobody", text="x") == 400
        assert await p.do("say", who=who, text="  ") == 400


async def test_trouble_is_made_and_mended(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        assert await p.do("trouble", meta="code", code=190) == 200
        await p.say("hello")
        await p.until(lambda state: any(each["status"] == 401 for each in state["wire"]))
        async with asyncio.timeout(20):
            while True:
                async with p.client.get(f"{p.wabot_url}/readyz") as answer:
                    if "send" in (await answer.json())["paused"]:
                        break
        assert heard(await p.state()) == []
        assert await p.do("mend") == 200
        state = await p.until(heard)
        assert state["trouble"] == {
            "meta": "fine",
            "code": 190,
            "receipts": "fine",
            "delivery": "fine",
            "model": "fine",
        }
        assert await p.do("trouble", receipts="lost", delivery="twice") == 200
        await p.say("how much?")
        state = await p.until(lambda state: len(heard(state)) == 2)
        assert [each["answered"] for each in state["wire"] if '"how much?"' in each["asked"]] in (
            ['{"received": 1, "stored": 1}', '{"received": 1, "stored": 0}'],
            ['{"received": 1, "stored": 0}', '{"received": 1, "stored": 1}'],
        )
        assert await p.do("trouble", meta="away") == 200
        await p.say("still there?")
        await p.until(lambda state: any(each["status"] == 503 for each in state["wire"]))
        assert await p.do("mend") == 200
        await p.until(lambda state: len(heard(state)) == 3)
        assert await p.do("trouble", meta="on fire") == 400


async def test_a_day_passes_for_meta_and_for_wabot(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        await p.say("hello")
        await p.until(heard)
        assert await p.do("day") == 200
        state = await p.until(
            lambda state: state["process"]["ahead"] == 86400 and state["process"]["state"] == "running"
        )
        assert not state["talks"][0]["window"]
        async with p.client.get(f"{p.url}/phone/state") as answer:
            console = (await answer.json())["console"].removesuffix("/console")
        number = state["talks"][0]["number"]
        async with p.client.get(f"{console}/contacts/{number}") as answer:
            assert (await answer.json())["window_closes_at"] is None
        await p.say("hello again")
        await p.until(lambda state: len(heard(state)) == 2)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"X-Forwarded-For": "1.2.3.4"},
    ],
)
async def test_only_the_page_itself_on_this_machine_can_do_something(tmp_path: Path, headers: dict[str, str]) -> None:
    async with phone(tmp_path) as p:
        who = (await p.ana())["who"]
        for path in ("say", "kill", "day", "trouble", "mend", "replay", "person"):
            async with p.client.post(
                f"{p.url}/phone/{path}", json={"who": who, "text": "x"}, headers=headers
            ) as answer:
                assert answer.status == 403, path
        if headers.keys() & {"Host", "X-Forwarded-For"}:
            for path in ("/", "/phone/state", "/phone/live"):
                async with p.client.get(p.url + path, headers=headers) as answer:
                    assert answer.status == 403, path
        state = await p.state()
        assert (state["process"]["kills"], state["talks"][0]["bubbles"]) == (0, [])


async def test_a_second_sandbox_in_the_same_place_says_that_there_is_one_and_leaves_it_alone(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        second = await Process.spawn([RUN, "--sandbox"], cwd=tmp_path, clock=time.time, PORT="0")
        try:
            status = await second.ended()
            said = "".join(second.said)
        finally:
            await second.kill()
        assert (status, "another wabot already uses" in said, "  phone " in said) == (1, True, False)
        await p.say("how much is it?")
        await p.until(heard)


async def test_whoever_kills_the_sandbox_leaves_nothing_behind(tmp_path: Path) -> None:
    async with phone(tmp_path) as p:
        child = (await p.state())["process"]["pid"]
        await p.process.kill()
        async with asyncio.timeout(10):
            while _lives(child):
                await asyncio.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
