"""`run.py ask`: what the assistant would answer, and what it is shown."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, business
from tests.process import ROOT, environment, free_port, served, toml
from tests.stand_ins import OpenAIStandIn
from wabot.sandbox import payloads


async def ask(place: Path, *arguments: str) -> tuple[int, str, str]:
    """(exit status, standard output, standard error)"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, ROOT / "run.py", *arguments, cwd=place, env=environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


def configure(place: Path, url: str, **more: Any) -> None:
    assistant = {"provider": "openai", "base_url": url, "model": "m", "knowledge_dir": "facts", **more}
    (place / "facts").mkdir(exist_ok=True)
    (place / "facts" / "prices.md").write_text(
        "# Tulips\n\nA tulip is three euros.\n\n# Roses\n\nA rose is five euros.\n"
    )
    (place / "config.toml").write_text(toml({"server": {"data_dir": "data"}, "assistant": assistant}))


async def test_it_shows_passages_prompt_and_answer(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    model.text = "Three euros.\n[[buttons: Buy | Not now]]"
    async with served(model.app()) as url:
        configure(tmp_path, url, knowledge_characters=60)
        status, out, error = await ask(tmp_path, "ask", "What is a tulip?", "--json")
        assert (status, error) == (0, "")
        found = json.loads(out)
        assert "three euros" in found["passages"][0]["text"]
        assert "three euros" in found["prompt"]["system"]
        assert found["prompt"]["turns"] == [{"role": "user", "text": "What is a tulip?"}]
        assert (found["answer"], found["choices"], found["handoff"]) == (["Three euros."], ["Buy", "Not now"], False)
        status, out, _ = await ask(tmp_path, "ask", "--config", "config.toml", "What is a tulip?")
        assert status == 0
        assert "--- answer ---\nThree euros." in out
        assert "--- passages ---\nprices.md: " in out
    assert not (tmp_path / "data").exists(), "nothing is stored"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"knowledge_characters": 60}, "(nothing in the knowledge fits the question)"),
        ({}, "(all of the knowledge is shown, see system: prices.md)"),
        (
            {"knowledge_dir": ""},
            "(there is no knowledge: assistant.knowledge_dir is not set, or",
        ),
    ],
)
async def test_it_says_why_no_passages_were_looked_up(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    async with served(OpenAIStandIn().app()) as url:
        configure(tmp_path, url, **settings)
        _, out, _ = await ask(tmp_path, "ask", "Zebras?")
    assert f"--- passages ---\n{says}" in out


async def test_it_asks_as_a_contact_with_their_talk(tmp_path: Path) -> None:
    async with business(tmp_path / "data") as wabot:
        await wabot.meta.say("Do you have roses?", from_=ANA)
        await wabot.meta.until(lambda meta: bool(meta.sent))
    model = OpenAIStandIn()
    async with served(model.app()) as url:
        configure(tmp_path, url)
        before = {file: os.stat(file).st_mtime_ns for file in (tmp_path / "data").glob("wabot.db")}
        status, out, error = await ask(tmp_path, "ask", "And tulips?", "--number", f"+{ANA}", "--json")
        assert (status, error) == (0, "")
        turns = json.loads(out)["prompt"]["turns"]
        assert turns[0] == {"role": "user", "text": "Do you have roses?"}
        assert turns[-1] == {"role": "user", "text": "And tulips?"}
        assert {file: os.stat(file).st_mtime_ns for file in before} == before


async def test_what_it_shows_is_what_a_reply_to_the_same_message_is_shown(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    chosen = {"history_messages": 4, "history_hours": 2, "fallback_text": "Sorry."}
    async with served(model.app()) as url:
        configure(tmp_path, url, **chosen)
        assistant = {"provider": "openai", "base_url": url, "model": "m", "knowledge_dir": tmp_path / "facts", **chosen}
        async with business(tmp_path / "data", assistant=assistant, first_contact={"answer": "ai"}) as wabot:
            meta = wabot.meta
            await meta.say("The day before", from_=ANA, timestamp=time.time() - 30 * 3600)
            for nth, text in enumerate(["Long ago", "Do you have roses?", "And tulips?"], 1):
                model.text = f"Answer {nth}"
                await meta.say(text, from_=ANA, name="Ana", timestamp=time.time() - (3 * 3600 if nth == 1 else 0))
                await meta.until(lambda meta, nth=nth: len(meta.sent) == nth)
            quoted = meta.sent[1].wamid
            model.text = ""  # not a good day: the fallback is said, which no model sees
            await meta.say("Sure?", from_=ANA)
            await meta.until(lambda meta: len(meta.sent) == 4)
            await meta.say(payloads.reaction(quoted, "👍"), from_=ANA)
            model.text = "Yes."
            await meta.say(quoting("Is that so?", quoted), from_=ANA)
            await meta.until(lambda meta: len(meta.sent) == 5)

            status, out, error = await ask(tmp_path, "ask", "Thank you", "--number", f"+{ANA}", "--json")
            assert (status, error) == (0, "")
            before = len(model.asked)
            await meta.say("Thank you", from_=ANA)
            await meta.until(lambda meta: len(meta.sent) == 6)
    assert len(model.asked) == before + 1
    asked, answered = (without_time(request.json["messages"]) for request in model.asked[-2:])
    assert asked == answered
    shown = json.loads(out)["prompt"]
    assert without_time([{"role": "system", "content": shown["system"]}])[0] == asked[0]
    assert [turn["text"] for turn in shown["turns"]] == [message["content"] for message in asked[1:]]
    assert "Answer 2" in shown["turns"][-3]["text"], "what was quoted is shown"
    assert not any("Long ago" in turn["text"] or "day before" in turn["text"] for turn in shown["turns"])


def quoting(text: str, wamid: str) -> dict[str, Any]:
    return {**payloads.text(text), "context": {"id": wamid, "from": "15550001111"}}


def without_time(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "content": re.sub(r"It is .* where", "It is … where", one["content"])} for one in messages]


async def test_who_is_handed_over_gets_the_notice_and_nothing_to_tap(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    model.text = "Let me ask.\n[[buttons: Buy | Not now]]\n[[handoff]]"
    async with served(model.app()) as url:
        configure(tmp_path, url)
        with (tmp_path / "config.toml").open("a") as file:
            file.write('\n[handoff]\nnotice = "Meera will write to you."\n')
        status, out, _ = await ask(tmp_path, "ask", "Can I talk to somebody?", "--json")
        found = json.loads(out)
        assert (status, found["answer"], found["choices"]) == (0, ["Meera will write to you."], [])
        assert found["handoff"] is True
        _, out, _ = await ask(tmp_path, "ask", "Can I talk to somebody?")
        assert "--- answer ---\nMeera will write to you." in out


async def test_it_does_not_open_mongodb(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    async with served(model.app()) as url:
        configure(tmp_path, url)
        with (tmp_path / "config.toml").open("a") as file:
            file.write(f'\n[mongo]\nuri = "mongodb://127.0.0.1:{free_port()}"\n')
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "importtime", ROOT / "run.py", "ask", "What is a tulip?", cwd=tmp_path,
            env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, imported = await process.communicate()
    assert process.returncode == 0
    assert b"wabot.assembly.ask" in imported
    assert b"pymongo" not in imported


async def test_a_model_that_fails_is_named(tmp_path: Path) -> None:
    configure(tmp_path, f"http://127.0.0.1:{free_port()}")
    status, out, _ = await ask(tmp_path, "ask", "What is a tulip?", "--json")
    assert status == 1
    error = json.loads(out)["error"]
    assert error.startswith("m (openai): no connection")
    assert "If it lasts, see [assistant]: base_url" in error
    status, _, error = await ask(tmp_path, "ask", "What is a tulip?", "--number", "12")
    assert (status, "Traceback" in error) == (1, False)


async def test_it_says_which_model_answered_and_that_an_answer_is_empty(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    model.text = "Three euros."
    async with served(model.app()) as url:
        configure(tmp_path, f"http://127.0.0.1:{free_port()}")
        with (tmp_path / "config.toml").open("a") as file:
            file.write(f'\n[[assistant.fallbacks]]\nprovider = "openai"\nbase_url = "{url}"\nmodel = "spare"\n')
        status, out, _ = await ask(tmp_path, "ask", "What is a tulip?")
        assert status == 0
        assert "spare (openai) answered, since others failed:\nm (openai): no connection" in out
        configure(tmp_path, url)
        model.text = "[[buttons: a | b]]"
        status, out, _ = await ask(tmp_path, "ask", "What is a tulip?")
        assert status == 1
        assert "(no answer: m (openai) answered with nothing" in out
