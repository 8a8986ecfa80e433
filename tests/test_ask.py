"""`run.py ask`: what the assistant would answer, and what it is shown."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.business import ANA, business
from tests.process import ROOT, environment, free_port, served, toml
from tests.stand_ins import OpenAIStandIn


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
    model.text = "Three euros.\n[[buttons: Buy | Not now]]\n[[handoff]]"
    async with served(model.app()) as url:
        configure(tmp_path, url, knowledge_characters=60)
        status, out, error = await ask(tmp_path, "ask", "What is a tulip?", "--json")
        assert (status, error) == (0, "")
        found = json.loads(out)
        assert "three euros" in found["passages"][0]["text"]
        assert "three euros" in found["prompt"]["system"]
        assert found["prompt"]["turns"] == [{"role": "user", "text": "What is a tulip?"}]
        assert (found["answer"], found["choices"], found["handoff"]) == (["Three euros."], ["Buy", "Not now"], True)
        status, out, _ = await ask(tmp_path, "ask", "--config", "config.toml", "What is a tulip?")
        assert status == 0
        assert "--- answer ---\nThree euros." in out
    assert not (tmp_path / "data").exists(), "nothing is stored"


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
