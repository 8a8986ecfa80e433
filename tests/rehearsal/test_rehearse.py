"""`run.py rehearse`: plays talks with the owner's settings, against the script or against the real model."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.business import ANA, business
from tests.knowledge.pdf import pdf
from tests.process import ROOT, environment, served, toml
from tests.stand_ins import GeminiStandIn, OpenAIStandIn

SCRIPTED = """
title = "A price"
[[turn]]
contact = "How much is a tulip?"
model = "Three euros."
shown = "A tulip is three euros."
sees = "Three euros."
sees_like = "*three*"

[[turn]]
contact = "colleague please"
sees = "Meera will write to you."
assistant = "paused"
"""
UNSCRIPTED = """
[[turn]]
contact = "How much is a tulip?"
shown = "contact: How much is a tulip?"
"""


async def rehearse(place: Path, *arguments: str) -> tuple[int, str, str]:
    """(exit status, standard output, standard error)"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, ROOT / "run.py", "rehearse", *arguments, cwd=place, env=environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


def configure(place: Path, url: str, graph: str = "http://127.0.0.1:9", **more: dict[str, Any]) -> None:
    (place / "facts").mkdir(exist_ok=True)
    (place / "facts" / "prices.md").write_text("# Tulips\n\nA tulip is three euros.\n")
    sections = {
        "server": {"data_dir": "data"},
        "whatsapp": {
            "access_token": "t",
            "phone_number_id": "1",
            "app_secret": "s",
            "graph_api_base": f"{graph}/v26.0",
        },
        "assistant": {"provider": "openai", "base_url": url, "model": "m", "knowledge_dir": "facts"},
        "first_contact": {"answer": "ai"},
        "handoff": {"words": ["colleague please"], "notice": "Meera will write to you."},
        **more,
    }
    (place / "config.toml").write_text(toml(sections))
    (place / "scripted.toml").write_text(SCRIPTED)
    (place / "unscripted.toml").write_text(UNSCRIPTED)


async def test_a_scripted_talk_is_played_with_the_owners_settings(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:9")

    status, out, error = await rehearse(tmp_path, "scripted.toml")

    assert (status, error) == (0, ""), out
    assert out.startswith("=== scripted.toml: A price\n")
    assert out.endswith("scripted.toml: as expected\n\n")
    assert not (tmp_path / "data").exists(), "nothing is stored"


async def test_what_differs_is_shown_and_is_exit_status_1(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "wrong.toml").write_text(SCRIPTED.replace("Meera will", "Nobody will"))

    status, out, _ = await rehearse(tmp_path, "wrong.toml", "scripted.toml")

    assert status == 1
    assert "wrong.toml: 1 not as expected" in out
    assert "scripted.toml: as expected" in out
    assert "  > Nobody will write to you.\n    and saw:\n      > Meera will write to you." in out


async def test_the_real_model_answers_where_there_is_no_script_or_it_is_wanted(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    model.text = "A tulip is three euros, a rose five."
    async with served(model.app()) as url:
        configure(tmp_path, url)
        status, out, error = await rehearse(tmp_path, "unscripted.toml")
        assert (status, error) == (0, ""), out
        assert "A tulip is three euros, a rose five." in out
        status, out, _ = await rehearse(tmp_path, "--model", "real", "scripted.toml")
        assert status == 0, out
        assert "Meera will write to you." in out, "what does not come from the model is as the talk says"
        model.text = "Five dollars."
        status, out, _ = await rehearse(tmp_path, "--model", "real", "scripted.toml")
        assert status == 1
        assert "Sandy should have seen something like:" in out, "a pattern holds for the real model too"


async def test_what_a_real_model_did_not_offer_or_say_is_typed_and_not_quoted(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    model.text = "Certainly."
    async with served(model.app()) as url:
        configure(tmp_path, url)
        (tmp_path / "taps.toml").write_text(
            '[[turn]]\ncontact = "Hi"\nmodel = "Come?\\n[[buttons: Yes | No]]"\n'
            '[[turn]]\ncontact = [{ tap = "Yes" }, { text = "At ten?", quotes = "Come?" }, { delete = "Come?" }]\n'
            'shown = "contact: Yes\\nAt ten?"\nsees_like = "certainly*"\n'
        )
        status, out, error = await rehearse(tmp_path, "--model", "real", "taps.toml")

    assert (status, error) == (0, ""), out


async def test_the_owners_knowledge_may_be_a_pdf(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "facts" / "prices.md").unlink()
    (tmp_path / "facts" / "prices.pdf").write_bytes(pdf("A tulip is three euros."))

    status, out, error = await rehearse(tmp_path, "scripted.toml")

    assert (status, error) == (0, ""), out


async def test_gemini_answers_too_from_its_threads(tmp_path: Path) -> None:
    model = GeminiStandIn()
    model.text = "A tulip is three euros."
    async with served(model.app()) as url:
        assistant = {"provider": "gemini", "base_url": url, "model": "m", "api_key": "k", "knowledge_dir": "facts"}
        configure(tmp_path, url, assistant=assistant)
        status, out, error = await rehearse(tmp_path, "--model", "real", "scripted.toml")

    assert (status, error) == (0, ""), out
    assert "wabot      A tulip is three euros." in out


async def test_an_account_is_rehearsed_with_its_own_settings(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:9")
    second = {"name": "garden", "access_token": "t", "phone_number_id": "2", "app_secret": "s"}
    with (tmp_path / "config.toml").open("a") as config:
        config.write("[[accounts]]\n" + "".join(f'{key} = "{value}"\n' for key, value in second.items()))
        config.write('handoff.words = ["colleague please"]\nhandoff.notice = "Ben will write to you."\n')

    status, out, _ = await rehearse(tmp_path, "scripted.toml", "--account", "garden")
    assert status == 1
    assert "Ben will write to you." in out
    status, out, _ = await rehearse(tmp_path, "scripted.toml")
    assert status == 0, out
    status, _, error = await rehearse(tmp_path, "scripted.toml", "--account", "none")
    assert (status, "no account is called none" in error) == (2, True)


async def test_a_real_model_that_does_not_answer_is_a_fault(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:9")

    status, out, _ = await rehearse(tmp_path, "unscripted.toml")

    assert status == 1
    assert "(fails: no connection" in out
    assert "✗ no model answered: no connection" in out
    assert "Someone from our team will get back to you soon." in out


async def test_neither_the_journal_nor_meta_nor_the_tools_are_touched(tmp_path: Path) -> None:
    asked = list[str]()

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", note)
    async with business(tmp_path / "data") as wabot:
        await wabot.meta.say("Hello", from_=ANA)
        await wabot.meta.until(lambda meta: bool(meta.sent))
    model = OpenAIStandIn()
    async with served(app) as graph, served(model.app()) as url:
        configure(tmp_path, url, graph, mongo={"uri": "mongodb://127.0.0.1:9"})
        before = {file: os.stat(file).st_mtime_ns for file in (tmp_path / "data").iterdir()}
        status, out, error = await rehearse(tmp_path, "unscripted.toml", "scripted.toml")

    assert (status, error) == (0, ""), out
    assert {file: os.stat(file).st_mtime_ns for file in (tmp_path / "data").iterdir()} == before
    assert asked == []


async def test_a_talk_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "odd.toml").write_text('[[turn]]\nsayz = "x"\n')

    for file, words in (("odd.toml", "odd.toml, turn 1 (line 1): unknown key sayz"), ("none.toml", "No such file")):
        status, out, error = await rehearse(tmp_path, file)
        assert (status, out) == (1, "")
        assert words in error
        assert len(error.splitlines()) == 1
