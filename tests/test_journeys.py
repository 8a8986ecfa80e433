"""The way of a message through the real process: `python run.py` between Meta, MongoDB and a model.

Every test ends every process it started, and none of them may have written an error, a traceback or a warning.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.business import ANA, BEN, EVA
from tests.mongo_server import mongo_server
from tests.process import PATIENCE, RUN, Process, World, eventually, free_port, served, world
from tests.stand_ins import GeminiStandIn, ModelStandIn, OpenAIStandIn
from wabot.sandbox.behaviour import LOST, Answer, accept, error, undelivered

CLARA = "5511987654321"
BSUID = "IN.13491208655302741918"


def openai(url: str) -> dict[str, Any]:
    """Settings of the assistant."""
    return {"provider": "openai", "base_url": f"{url}/v1", "model": "tiny", "api_key": "k-of-openai"}


def gemini(url: str) -> dict[str, Any]:
    """Settings of the assistant."""
    return {"provider": "gemini", "base_url": url, "api_key": "k-of-google"}


def turns_of(model: ModelStandIn) -> list[list[tuple[str, str]]]:
    """Every conversation that a model was shown: (role, text), without the system prompt."""
    shown = []
    for asked in model.asked:
        if isinstance(model, OpenAIStandIn):
            shown.append([(m["role"], m["content"]) for m in asked.json["messages"] if m["role"] != "system"])
        else:
            shown.append([(m["role"], m["parts"][0]["text"]) for m in asked.json["contents"]])
    return shown


@asynccontextmanager
async def full_world(place: Path, model: ModelStandIn, **sections: Any) -> AsyncIterator[World]:
    """Meta, a model, and a MongoDB server: what a business has."""
    async with mongo_server(place / "mongo") as mongo, served(model.app()) as url:
        chosen = openai(url) if isinstance(model, OpenAIStandIn) else gemini(url)
        sections["assistant"] = {**chosen, **sections.get("assistant", {})}
        async with world(place, mongo={"uri": mongo.uri}, **sections) as w:
            yield w


async def is_well(w: World, *parts: str) -> bool:
    """Whether wabot says so of these parts of its world."""
    ready = await w.get("/readyz")
    return all(ready[part] == "ok" for part in parts or ("journal", "mongo", "graph", "llm"))


async def has_said(w: World, number: str, count: int) -> None:
    """wabot knows so many messages with somebody: what Meta accepted is written down a moment later."""

    async def complete() -> bool:
        return len(await w.said_with(number)) == count

    await eventually(complete)


async def has(w: World, *texts: str, number: str = ANA, timeout: float = PATIENCE) -> None:
    """Meta accepted just these for a number, in this order."""
    await w.meta.until(lambda _: len(w.texts(number)) >= len(texts), timeout)
    assert w.texts(number) == list(texts)


@pytest.mark.parametrize(("model", "us"), [(OpenAIStandIn(), "assistant"), (GeminiStandIn(), "model")])
async def test_a_new_contact_gets_the_template_and_a_known_one_the_models_answer_to_the_whole_talk(
    tmp_path: Path, model: ModelStandIn, us: str
) -> None:
    async with full_world(tmp_path, model) as w:
        await w.start()

        await w.meta.say("Hi", from_=ANA)
        await has(w, "[hello_world]")
        model.text = "Three euros."
        await w.meta.say("What is a tulip?", from_=ANA)
        await has(w, "[hello_world]", "Three euros.")
        await w.meta.say("Thanks", from_=ANA)
        await has(w, "[hello_world]", "Three euros.", "Three euros.")

        opening, question, answer, thanks = turns_of(model)[-1][-4:]
        assert opening == (us, "[template hello_world]")
        assert [question, answer, thanks] == [("user", "What is a tulip?"), (us, "Three euros."), ("user", "Thanks")]
        assert len(model.asked) == 2
        await eventually(lambda: len(w.told(ANA, "read")) == 3)
        said = await w.said_with(f"+{ANA[:2]} {ANA[2:]}")
        assert [(m["direction"], m["body"]) for m in said] == [
            ("in", "Hi"),
            ("out", "[template hello_world]"),
            ("in", "What is a tulip?"),
            ("out", "Three euros."),
            ("in", "Thanks"),
            ("out", "Three euros."),
        ]
        assert {m["status"] for m in said if m["direction"] == "out"} == {"read"}
        await eventually(lambda: is_well(w))


async def test_a_customer_of_the_earlier_service_is_known(tmp_path: Path) -> None:
    """Their documents are in MongoDB; the journal has never seen them."""
    model = OpenAIStandIn()
    async with full_world(tmp_path, model) as w:
        from motor.motor_asyncio import AsyncIOMotorClient

        client: Any = AsyncIOMotorClient(w.sections["mongo"]["uri"])
        old = {"id": "wamid.old", "from": ANA, "to": "15550001111", "timestamp": "1700000000", "type": "text"}
        document = old | {"body": "Do you sell tulips?", "raw": {}, "participant_numbers": [ANA, "15550001111"]}
        await client["chat_db"]["user_chat"].insert_one(document)
        client.close()
        await w.start()

        await w.meta.say("And roses?", from_=ANA)

        await has(w, "Hello from the model")
        assert turns_of(model) == [[("user", "Do you sell tulips?\nAnd roses?")]]
        assert [m["body"] for m in await w.said_with(ANA)][:2] == ["Do you sell tulips?", "And roses?"]


async def test_bubbles_are_answered_together_and_once(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    async with (
        served(model.app()) as url,
        world(tmp_path, assistant={**openai(url), "quiet_seconds": 0.4}, first_contact={"answer": "ai"}) as w,
    ):
        await w.start()

        for text in ("Hello", "I have", "a question"):
            await w.meta.say(text, from_=ANA)
        await has(w, "Hello from the model")
        await w.restart()

        assert turns_of(model) == [[("user", "Hello\nI have\na question")]]
        assert w.texts() == ["Hello from the model"]


async def test_who_waits_for_the_model_sees_that_we_read_and_type(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    async with (
        served(model.app()) as url,
        world(tmp_path, assistant={**openai(url), "quiet_seconds": 0.1}, first_contact={"answer": "ai"}) as w,
    ):
        await w.start()
        first, _ = await w.meta.say("Hello", from_=ANA)
        await has(w, "Hello from the model")
        second, _ = await w.meta.say("And?", from_=ANA)
        await has(w, "Hello from the model", "Hello from the model")

        assert [(seen.wamid, seen.typing) for seen in w.meta.seen] == [(first, True), (second, True)]


async def test_what_a_message_refers_to_reaches_the_model_and_an_answer_to_several_says_to_which(
    tmp_path: Path,
) -> None:
    model = OpenAIStandIn()
    advertisement = {"source_type": "ad", "source_id": "1", "headline": "Monsoon sale", "body": "Up to 40% off"}
    product = {"referred_product": {"catalog_id": "7", "product_retailer_id": "SKU-7"}}
    async with (
        served(model.app()) as url,
        world(tmp_path, assistant={**openai(url), "quiet_seconds": 0.4}, first_contact={"answer": "ai"}) as w,
    ):
        await w.start()

        await w.meta.say("Is it still on?", from_=ANA, referral=advertisement)
        await has(w, "Hello from the model")
        quoted = {"from": w.meta.business_number, "id": w.meta.sent[0].wamid}
        await w.meta.say("Who are you?", from_=ANA, context=quoted)
        last, _ = await w.meta.say("And this?", from_=ANA, context=product)
        await has(w, "Hello from the model", "Hello from the model")

        assert [text for role, text in turns_of(model)[-1] if role == "user"] == [
            '[came from the advertisement "Monsoon sale: Up to 40% off"]\nIs it still on?',
            '[answering: "Hello from the model"]\nWho are you?\n[about the product SKU-7]\nAnd this?',
        ]
        contexts = [sent.payload.get("context") for sent in w.meta.sent]
        assert contexts == [None, {"message_id": last}]
        bodies = [m["body"] for m in await w.said_with(ANA) if m["direction"] == "in"]
        assert bodies == ["Is it still on?", "Who are you?", "And this?"]


async def test_what_meta_delivers_again_is_not_answered_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()

        wamid, _ = await w.meta.say("Hi", from_=ANA, times=5)
        await has(w, "[hello_world]")
        assert await w.meta.say("Hi", from_=ANA, wamid=wamid, times=2) == (wamid, 200)
        await w.restart()
        assert await w.meta.say("Hi", from_=ANA, wamid=wamid) == (wamid, 200)
        await w.meta.say("prices?", from_=ANA)

        await has(w, "[hello_world]", "A visit costs 25 €, and the first one is free.")
        assert [m["body"] for m in await w.said_with(ANA) if m["direction"] == "in"] == ["Hi", "prices?"]


async def test_somebody_without_a_number_is_answered_by_their_id(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()

        await w.meta.say("Hi", user_id=BSUID)
        await has(w, "[hello_world]", number=BSUID)
        await w.meta.say("hours?", user_id=BSUID)
        await has(w, "[hello_world]", "We are open Monday to Friday, 9:00 to 18:00.", number=BSUID)

        assert [(sent.payload.get("recipient"), "to" in sent.payload) for sent in w.meta.sent] == [(BSUID, False)] * 2
        await has_said(w, BSUID, 4)


async def test_one_person_stays_one_through_a_hidden_number_a_new_bsuid_and_a_new_number(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()
        ana = w.meta.people.of(ANA)

        await w.meta.say("Hi", from_=ANA)
        await has(w, "[hello_world]")
        ana.username, ana.hides_number = "ana.k", True
        await w.meta.say("prices?", from_=ANA)
        await w.meta.until(lambda m: len(m.sent) == 2)
        assert await w.meta.change_user_id(ana) == 200
        await w.meta.say("thanks", user_id=ana.user_id)
        await w.meta.until(lambda m: len(m.sent) == 3)
        ana.hides_number = False
        assert await w.meta.change_number(ana, EVA) == 200
        await w.meta.say("hours?", from_=EVA)
        await w.meta.until(lambda m: len(m.sent) == 4)

        assert w.texts()[1:] == [
            "A visit costs 25 €, and the first one is free.",
            "You are welcome!",
            "We are open Monday to Friday, 9:00 to 18:00.",
        ]
        await has_said(w, EVA, 10)  # four questions, four answers, and two notes of WhatsApp's
        assert [sent.to for sent in w.meta.sent] == [ANA, ANA, ANA, EVA]


async def test_mongodb_may_be_away_at_the_start_and_is_told_everything_when_it_comes(tmp_path: Path) -> None:
    async with (
        mongo_server(tmp_path / "mongo", started=False) as mongo,
        world(tmp_path, mongo={"uri": mongo.uri}, first_contact={"answer": "ai"}) as w,
    ):
        await w.start()
        for number in (ANA, BEN):
            assert (await w.meta.say("Hi there", from_=number))[1] == 200
        await w.meta.until(lambda meta: len(meta.sent) == 2)
        await w.wabot.until(lambda: len(w.wabot.events("send.settled")) == 2)
        status, answer = await w.post("/get", {"number": ANA})
        assert (status, answer["partial"], answer["count"]) == (200, True, 2)
        assert (await w.get("/readyz"))["mongo"] == "down"

        await mongo.start()
        await w.wabot.event("archive.found")
        assert "partial" not in (await w.post("/get", {"number": ANA}))[1]
        await w.meta.say("hours?", from_=ANA)
        await has(w, "Hello, and welcome! How can I help you?", "We are open Monday to Friday, 9:00 to 18:00.")

        documents = await _archived(mongo.uri, ANA, 4)
        assert [d["body"] for d in documents if d["direction"] == "in"] == ["Hi there", "hours?"]
        assert {type(d["timestamp"]) for d in documents} == {str}


async def _archived(uri: str, number: str, count: int) -> list[dict[str, Any]]:
    """What MongoDB has of somebody, oldest first, once it has so much and knows that all was read."""
    from motor.motor_asyncio import AsyncIOMotorClient

    client: Any = AsyncIOMotorClient(uri)
    found: list[dict[str, Any]] = []

    async def complete() -> bool:
        cursor = client["chat_db"]["user_chat"].find({"participant_numbers": number}).sort("timestamp", 1)
        found[:] = await cursor.to_list(None)
        return len(found) == count and all(d["status"] in ("received", "read") for d in found)

    try:
        await eventually(complete)
    finally:
        client.close()
    return found


async def test_a_model_that_is_away_is_asked_again_until_it_is_back(tmp_path: Path) -> None:
    port, model = free_port(), OpenAIStandIn()
    patient = {"attempts": 50, "backoff_base_seconds": 0.1, "backoff_max_seconds": 0.3}
    chosen = openai(f"http://127.0.0.1:{port}")
    async with world(tmp_path, assistant=chosen, first_contact={"answer": "ai"}, delivery=patient) as w:
        await w.start()
        assert (await w.meta.say("Hi there", from_=ANA))[1] == 200
        await w.wabot.until(lambda: len(w.wabot.events("reply.settled")) >= 2)
        assert (await w.get("/readyz"))["llm"] == "down"

        async with served(model.app(), port):
            await has(w, "Hello from the model")
            assert await is_well(w, "llm")


async def test_a_model_that_stays_away_is_spoken_for_once(tmp_path: Path) -> None:
    chosen = openai(f"http://127.0.0.1:{free_port()}") | {"fallback_text": "One moment, please."}
    async with world(tmp_path, assistant=chosen, first_contact={"answer": "ai"}, delivery={"attempts": 3}) as w:
        await w.start()
        await w.meta.say("Hi there", from_=ANA)
        await has(w, "One moment, please.")
        await eventually(lambda: w.told(ANA, "read"))
        assert w.texts() == ["One moment, please."]


async def test_what_is_owed_while_meta_is_away_is_sent_when_it_is_back(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()
        await w.close_meta()
        for number in (ANA, BEN, EVA):
            assert (await w.meta.say("Hi", from_=number))[1] == 200
        status, batch = await w.post("/initiate-bulk", {"numbers": ["919000000001"]}, Prefer="wait=0")
        assert (status, batch["queued"]) == (202, 1)
        await w.wabot.until(lambda: len(w.wabot.events("send.settled")) >= 3)
        assert (await w.get("/readyz"))["graph"] == "down"
        await w.meta.close()

        await w.open_meta()

        await w.meta.until(lambda meta: len(meta.sent) == 4, PATIENCE)
        assert sorted(w.texts()) == ["[hello_world]"] * 4
        await eventually(lambda: _is_complete(w, batch["batch_id"]))
        assert await is_well(w, "graph")


async def test_an_outage_that_answers_fails_no_send(tmp_path: Path) -> None:
    """Every answer is 131000, of which a message alone is tried three times; what waited then leaves together."""
    async with world(tmp_path, delivery={"attempts": 3}) as w:
        w.meta.behaviour.always("*", error(131000))
        await w.start()
        numbers = [f"9190000000{n:02d}" for n in range(50)]
        _, batch = await w.post("/initiate-bulk", {"numbers": numbers}, Prefer="respond-async")
        await w.wabot.event("lane.paused")
        ready = await w.get("/readyz")
        assert (ready["graph"], ready["lanes"]["send"]) == ("down", "paused")
        asked = len(w.meta.attempts)
        await w.meta.until(lambda meta: len(meta.attempts) > asked, PATIENCE)  # a probe
        assert len(w.meta.attempts) <= asked + 2, "one at a time"

        w.meta.behaviour.clear()

        await w.meta.until(lambda meta: len(meta.sent) == 1, PATIENCE)
        began = time.monotonic()
        await eventually(lambda: _is_complete(w, batch["batch_id"]))
        assert time.monotonic() - began < 5
        assert await is_well(w, "graph")


async def test_a_payment_that_fails_after_the_answers_fails_no_send(tmp_path: Path) -> None:
    """Meta takes everything, and then says of each that the payment failed, while a send has one try."""
    numbers = [f"9190000000{n:02d}" for n in range(12)]
    async with world(tmp_path, delivery={"attempts": 1, "concurrency": 4}) as w:
        w.meta.behaviour.always("*", undelivered(131042))
        await w.start()
        _, batch = await w.post("/initiate-bulk", {"numbers": numbers}, Prefer="respond-async")
        await w.wabot.event("lane.paused")
        w.meta.behaviour.clear()

        await eventually(lambda: _is_delivered(w, numbers), 60)

        answer = await w.get(f"/batches/{batch['batch_id']}")
        assert (answer["successful"], answer["failed"]) == (12, 0)
        for line in (await w.get("/outbox", batch_id=batch["batch_id"], limit=20))["outbox"]:
            assert (line["state"], line["error"]) == ("done", None)
        assert [len(w.wabot.events(f"lane.{what}")) for what in ("paused", "resumed")] == [1, 1]


async def test_what_the_account_holds_up_after_the_answer_is_retried_at_once_by_hand(tmp_path: Path) -> None:
    patient = {"backoff_base_seconds": 300, "backoff_max_seconds": 300}
    async with world(tmp_path, delivery=patient) as w:
        w.meta.behaviour.script("*", [undelivered(131042)])
        await w.start()
        await w.post("/initiate-bulk", {"numbers": [ANA]}, Prefer="respond-async")
        await w.wabot.event("lane.paused")
        (held,) = (await w.get("/outbox", state="held"))["outbox"]
        assert (held["error_code"], held["attempts"]) == (131042, 1)

        status, _ = await w.post(f"/outbox/{held['outbox_id']}/retry", None)

        assert status == 200
        await eventually(lambda: _is_delivered(w, [ANA]))


async def _is_delivered(w: World, numbers: list[str]) -> bool:
    status, answer = await w.post("/get-bulk", {"numbers": numbers, "limit": 1})
    assert status == 200
    said = [message for result in answer["results"] for message in result["messages"]]
    return len(said) == len(numbers) and all(message["status"] in ("delivered", "read") for message in said)


async def test_a_wrong_phone_number_id_fails_no_send_and_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        right = w.sections["whatsapp"]["phone_number_id"]
        w.sections["whatsapp"]["phone_number_id"] = "100000000000009"
        await w.start()
        _, batch = await w.post("/initiate-bulk", {"numbers": [ANA, BEN, EVA]}, Prefer="respond-async")
        await w.wabot.event("lane.paused")
        assert "does not exist" in (await w.get("/readyz"))["paused"]["send"]
        assert (await w.get(f"/batches/{batch['batch_id']}"))["queued"] == 3

        w.sections["whatsapp"]["phone_number_id"] = right
        await w.restart()

        await eventually(lambda: _is_complete(w, batch["batch_id"]))


async def test_sigterm_ends_what_is_in_flight_and_leaves_the_rest_for_the_next_start(tmp_path: Path) -> None:
    async with world(tmp_path, delivery={"concurrency": 2}) as w:
        w.meta.behaviour.default = accept(delay=0.5)
        await w.start()
        numbers = [f"9190000000{n:02d}" for n in range(20, 30)]
        status, batch = await w.post("/initiate-bulk", {"numbers": numbers}, Prefer="respond-async")
        assert (status, batch["queued"]) == (202, 10)
        await w.meta.until(lambda meta: len(meta.sent) == 2)

        began = time.monotonic()
        assert await w.wabot.stop() == 0
        assert time.monotonic() - began < 10
        assert len(w.meta.attempts) == 2
        assert [line["state"] for line in w.wabot.events("send.settled")] == ["done"] * 2

        w.meta.behaviour.default = accept()
        await w.start()
        await w.meta.until(lambda meta: len(meta.sent) == 10)
        await eventually(lambda: _is_complete(w, batch["batch_id"]))
        assert sorted(sent.to for sent in w.meta.sent) == numbers


async def _is_complete(w: World, batch_id: str) -> bool:
    batch = await w.get(f"/batches/{batch_id}")
    return bool(batch["successful"] == batch["total"])


async def test_a_model_that_hangs_holds_up_the_end_for_less_than_ten_seconds(tmp_path: Path) -> None:
    """Gemini is asked in a thread, which nobody can interrupt."""
    model = GeminiStandIn(delay=60)
    async with (
        served(model.app()) as url,
        world(tmp_path, assistant=gemini(url), first_contact={"answer": "ai"}) as w,
    ):
        await w.start()
        assert (await w.meta.say("Hi there", from_=ANA))[1] == 200
        await eventually(lambda: model.asked)

        began = time.monotonic()
        assert await w.wabot.stop() == 0
        assert time.monotonic() - began < 10

        model.delay = 0
        await w.start()
        await has(w, "Hello from the model")


async def test_who_waits_for_outcomes_is_answered_at_the_end_and_the_send_in_flight_is_finished(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.meta.behaviour.default = accept(delay=0.6)
        await w.start()
        asked = asyncio.create_task(w.post("/initiate-bulk", {"numbers": [ANA]}))
        await w.meta.until(lambda meta: len(meta.sent) == 1)

        assert await w.wabot.stop() == 0

        status, batch = await asked
        assert (status, batch["queued"]) == (202, 1)
        await w.start()
        assert (await w.get(f"/batches/{batch['batch_id']}"))["successful"] == 1
        assert len(w.meta.attempts) == 1


REFUSALS: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    "no app secret": ({"whatsapp": {"app_secret": ""}}, r"whatsapp\.app_secret: missing: .*APP_SECRET"),
    "no token": ({"whatsapp": {"access_token": ""}}, r"whatsapp\.access_token: missing: .*ACCESS_TOKEN"),
    "no number": ({"whatsapp": {"phone_number_id": ""}}, r"whatsapp\.phone_number_id: missing: .*PHONE_NUMBER_ID"),
    "open without keys": (
        {"server": {"host": "0.0.0.0", "api_keys": []}},
        r"server\.api_keys: missing: .*other machines",
    ),
    "a short key": ({"server": {"api_keys": ["hunter2"]}}, r"server\.api_keys\.0: must have at least 16 .*openssl.*"),
    "a misspelt key": ({"server": {"prot": 1}}, r"server\.prot: unknown key \(did you mean port\?\)"),
    "a wrong type": ({"delivery": {"concurrency": "many"}}, r"delivery\.concurrency: must be a valid integer"),
}


@pytest.mark.parametrize(("sections", "line"), REFUSALS.values(), ids=list(REFUSALS))
async def test_a_configuration_that_cannot_work_is_refused_in_one_clear_line(
    tmp_path: Path, sections: dict[str, dict[str, Any]], line: str
) -> None:
    async with world(tmp_path) as w:
        for name, values in sections.items():
            w.sections[name].update(values)
        process = await w.spawn()
        assert await process.ended() == 2
        assert re.fullmatch(f"wabot: {line}.*\n", "".join(process.said)), process.said


async def test_a_second_instance_on_the_same_journal_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        first = await w.start()

        second = await w.spawn()

        assert await second.ended() == 1
        assert re.fullmatch(r"wabot: another wabot already uses .*wabot\.db: stop it, .*\n", "".join(second.said))
        w.processes.reverse()
        assert w.wabot is first
        await w.meta.say("Hi", from_=ANA)
        await has(w, "[hello_world]")


async def test_a_journal_that_cannot_be_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.journal.parent.mkdir()
        w.journal.write_bytes(b"not a database, for sure. " * 400)
        process = await w.spawn()
        assert await process.ended() == 1
        assert re.fullmatch(r"wabot: the journal cannot be read \(.*\): move wabot\.db, .*backup.*\n", process.said[0])


async def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.sections["server"]["port"] = w.meta_port
        process = await w.spawn()
        assert await process.ended() == 1
        last = process.said[-1]
        assert re.fullmatch(r"wabot: cannot listen on .*Address already in use.*server\.port \(PORT\)\n", last), last


async def test_settings_that_everybody_may_read_are_warned_of_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (tmp_path / ".env").write_text("PORT=0\n")
        (tmp_path / ".env").chmod(0o644)
        await w.start()
        (warned,) = w.wabot.events("settings.readable")
        assert (warned["level"], warned["file"], warned["remedy"].partition(":")[0]) == (
            "warning",
            ".env",
            "chmod 600 .env",
        )
        assert w.config.stat().st_mode & 0o777 == 0o600, "a file of one's own is not"


async def test_running_as_root_is_warned_of_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()
        warnings = [line["level"] for line in w.wabot.events("root.used")]
        assert warnings == (["warning"] if os.geteuid() == 0 else [])


async def test_the_sandbox_serves_where_nobody_types(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        wabot = await Process.spawn(
            [RUN, "--sandbox"],
            cwd=tmp_path,
            clock=time.time,
            PORT="0",
            WABOT_ASSISTANT__QUIET_SECONDS="0",
        )
        w.processes.append(wabot)
        await wabot.until(lambda: any("journal " in text for text in wabot.said))
        ours, meta = re.findall(r"http://127\.0\.0\.1:\d+(?=\s)", "".join(wabot.said))[:2]
        wabot.url = ours
        assert (await w.get("/healthz"))["status"] == "ok"

        async with w.client.post(f"{meta}/sandbox/say", json={"from": BEN, "text": "hi"}) as response:
            assert (await response.json())["webhook_status"] == 200
        await wabot.event_text("send.settled")

        assert [m["direction"] for m in await w.said_with(BEN)] == ["in", "out"]
        unknown = {"numbers": [BEN], "template": {"name": "no_such_template", "language": "en_US"}}
        status, refused = await w.post("/initiate-bulk", unknown)
        assert (status, refused["error"]["details"][0]["reason"]) == (422, "unknown_template")
        assert await wabot.stop() == 0


async def test_the_sandbox_touches_nothing_real_and_speaks_as_ones_own_prompt_says(tmp_path: Path) -> None:
    model = OpenAIStandIn()
    async with served(model.app()) as url, world(tmp_path) as w:
        (tmp_path / "prompt.txt").write_text("Speak like a pirate.")
        w.sections["server"]["data_dir"] = "data"
        w.sections["assistant"] |= openai(url) | {"prompt_file": "prompt.txt"}
        w.sections["first_contact"] = {"answer": "ai"}
        w.sections["mongo"] = {"uri": "mongodb://127.0.0.1:1/"}
        await w.start()
        await w.post("/initiate-bulk", {"numbers": [ANA]}, Prefer="respond-async")
        await w.meta.until(lambda meta: len(meta.sent) == 1)

        sandbox = await w.spawn(
            arguments=["--sandbox"], PORT="0", WABOT_SERVER__DATA_DIR="data", MONGO_URI="mongodb://127.0.0.1:1/"
        )
        await sandbox.until(lambda: any("journal " in text for text in sandbox.said))
        ours, meta = re.findall(r"http://127\.0\.0\.1:\d+(?=\s)", "".join(sandbox.said))[:2]
        sandbox.url = ours
        async with w.client.post(f"{meta}/sandbox/say", json={"from": BEN, "text": "hi"}) as response:
            assert (await response.json())["webhook_status"] == 200
        await eventually(lambda: bool(model.asked))

        assert "Speak like a pirate." in str(model.asked[0].json)
        assert (await w.get("/readyz"))["mongo"] == "embedded"
        assert (await w.get("/outbox", number=ANA))["count"] == 0
        assert await sandbox.stop() == 0
        assert (tmp_path / "data" / "sandbox" / "wabot.db").exists()
        w.sections["server"]["data_dir"] = "data/sandbox"
        refused = await w.spawn()
        assert await refused.ended() == 1
        assert "the sandbox's journal: choose another server.data_dir" in refused.said[-1]


async def test_one_can_chat_with_the_sandbox(tmp_path: Path) -> None:
    async with _phone(tmp_path) as seen:
        seen.type("hello")
        seen.press("how much")
        await seen.shows(r"🤖 Hello World.*Welcome and congratulations.*✓✓ read\s+> how much\Z")
        seen.type(" is it?")
        await seen.shows(r"🤖 A visit costs 25 €.*✓ sent.*✓✓ delivered.*✓✓ read")


@asynccontextmanager
async def _phone(place: Path) -> AsyncIterator[_Screen]:
    """The sandbox in a terminal, in which one can type; left by /quit."""
    screen, keyboard = pty.openpty()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(RUN),
        "--sandbox",
        cwd=place,
        env=_terminal(),
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
    )
    os.close(keyboard)
    seen = _Screen(screen)
    try:
        await seen.shows("You are 919876500100")
        yield seen
        seen.type("/quit")
        assert await asyncio.wait_for(child.wait(), PATIENCE) == 0
        assert not re.search(r"Traceback|Warning|error ", seen.text)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        seen.close()


async def test_who_paused_the_sends_of_the_sandbox_mends_them_from_the_phone(tmp_path: Path) -> None:
    async with _phone(tmp_path) as seen:
        seen.type("/from 919876500010")
        seen.type("hello")
        await seen.shows(r"refused: a message to 919876500010 \(190\)   /mend makes Meta accept")
        seen.type("/from 919876500100")
        seen.type("hello")
        seen.type("/mend")
        await seen.shows(r"to 919876500010: Hello World")
        await seen.shows(r"🤖 Hello World")


async def test_the_sandbox_starts_clean_and_goes_on_only_if_asked(tmp_path: Path) -> None:
    """What was paused, held, stopped or queued in the last run would otherwise be in the way of who tries it again."""
    journal = tmp_path / "data" / "sandbox" / "wabot.db"

    async def run(*options: str) -> int:
        wabot = await Process.spawn([RUN, "--sandbox", *options], cwd=tmp_path, clock=time.time, PORT="0")
        try:
            await wabot.until(lambda: any("journal " in text for text in wabot.said))
            ours = re.findall(r"http://127\.0\.0\.1:\d+(?=\s)", "".join(wabot.said))[0]
            async with ClientSession() as client:
                async with client.get(f"{ours}/outbox") as response:
                    before = (await response.json())["count"]
                async with client.post(f"{ours}/contacts/{BEN}/opt-out") as response:
                    assert response.status == 200
                numbers = {"numbers": ["919876500010", ANA]}
                async with client.post(f"{ours}/initiate-bulk", json=numbers, headers={"Prefer": "wait=0"}) as response:
                    assert response.status == 202
        finally:
            await wabot.kill()
        assert wabot.complaints == []
        return int(before)

    assert await run() == 0
    assert await run("--keep") == 2
    assert await run() == 0
    with closing(sqlite3.connect(journal)) as db:
        assert db.execute("SELECT count(*) FROM contacts").fetchone() == (3,)


def _terminal() -> dict[str, str]:
    from tests.process import environment

    quick = {"PORT": "0", "WABOT_ASSISTANT__QUIET_SECONDS": "0.1"}
    return environment(TERM="xterm-256color", COLUMNS="200", **quick)


class _Screen:
    """The other end of a terminal."""

    def __init__(self, descriptor: int) -> None:
        self.text = ""
        self._descriptor = descriptor
        self._news = asyncio.Event()
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def type(self, line: str) -> None:
        """Type a line; what is awaited from now on comes after it."""
        self.text = ""
        self.press(line + "\n")

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._descriptor, keys.encode())

    async def shows(self, pattern: str) -> None:
        """Wait until it does, escape sequences aside."""
        async with asyncio.timeout(PATIENCE):
            while not re.search(pattern, re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", self.text), re.DOTALL):
                self._news.clear()
                await self._news.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        try:
            self.text += os.read(self._descriptor, 65536).decode(errors="replace")
        except OSError:  # the child has gone, and its side of the terminal with it
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._news.set()


async def test_the_outbox_can_be_worked_from_the_terminal_while_wabot_runs(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.meta.behaviour.script(ANA, [error(132012)])
        w.meta.behaviour.script(BEN, [Answer(delay=30, cut=True, receipts=LOST)])
        wabot = await w.start()
        port = wabot.url.rpartition(":")[2]
        await w.post("/initiate-bulk", {"numbers": [ANA, BEN]}, Prefer="respond-async")
        await w.post("/initiate-bulk", {"numbers": [BEN]}, Prefer="respond-async")
        await wabot.event("send.settled")
        await w.meta.until(lambda meta: len(meta.attempts) == 2)

        listed = await _terminal_says(w, port, "outbox", "list")
        rows = [line.split() for line in listed.splitlines()]
        assert [(row[3], row[4]) for row in rows] == [(BEN, "waiting"), (BEN, "running"), (ANA, "failed")]
        assert "Parameter format does not match" in listed
        last, _, first = [row[0] for row in rows]
        only = await _terminal_says(w, port, "outbox", "list", "--state", "failed", "--number", f"+{ANA}")
        assert [line.split()[0] for line in only.splitlines()] == [first]
        undelivered = await _terminal_says(w, port, "outbox", "list", "--message", "undelivered", "--json")
        assert [send["outbox_id"] for send in json.loads(undelivered)["outbox"]] == [first]

        assert '"state": "cancelled"' in await _terminal_says(w, port, "outbox", "cancel", last)
        assert '"attempts": 1' in await _terminal_says(w, port, "outbox", "show", first)
        retried = await _terminal_says(w, port, "outbox", "retry", first)
        assert re.search(r'"state": "(queued|running|done)"', retried), "it may have left by now"
        await has(w, "[hello_world]")
        await has(w, "[hello_world]", number=BEN)

        assert await _terminal_says(w, port, "outbox", "retry", "--error-code", "131047") == "tried again: 0\n"
        many = await _terminal_says(w, port, "outbox", "retry", "--batch-id", "none", "--may-repeat", "--json")
        assert json.loads(many) == {"retried": 0, "left": 0}
        for wrong in ((), (first, "--may-repeat"), ("",)):
            assert "give an outbox id" in await _terminal_says(w, port, "outbox", "retry", *wrong, status=2)

        again = await _terminal_says(w, port, "outbox", "cancel", last, status=1)
        assert again == "wabot: a send that is cancelled cannot be cancelled\n"
        assert "no such send" in await _terminal_says(w, port, "outbox", "show", "nonsense", status=1)


async def test_with_no_key_configured_one_is_made_that_opens_the_api_and_that_the_terminal_knows(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, server={"api_keys": []}) as w:
        wabot = await w.start()
        file = w.journal.with_name("api-key")
        key, port = file.read_text().strip(), wabot.url.rpartition(":")[2]

        assert [(line["file"], len(key)) for line in wabot.events("key.made")] == [(str(file), 43)]
        assert file.stat().st_mode & 0o777 == 0o600
        async with w.client.get(f"{wabot.url}/outbox", headers={"X-API-Key": key}) as response:
            assert response.status == 200
        async with w.client.get(f"{wabot.url}/outbox", headers={"Host": "127.0.0.1"}) as response:
            assert response.status == 401
        assert await _terminal_says(w, port, "outbox", "list") == "wabot: there are no such sends\n"

        again = await w.restart()
        assert again.events("key.made") == []
        assert file.read_text().strip() == key
        assert key not in "".join(wabot.said + again.said)


async def test_asking_for_the_outbox_of_a_wabot_that_does_not_run_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        said = await _terminal_says(w, str(free_port()), "outbox", "list", status=1)
        away, journal = said.splitlines()
        assert re.match(r"wabot: wabot does not answer at http://127\.0\.0\.1:\d+: is it running\?", away)
        assert journal.startswith("wabot: there is no journal in ")


async def _terminal_says(w: World, port: str, *arguments: str, status: int = 0) -> str:
    process = await w.spawn(arguments=arguments, PORT=port)
    w.processes.remove(process)
    assert await process.ended() == status, process.said
    return "".join(process.said)


async def test_a_backup_of_a_running_journal_is_whole_and_starts_as_a_journal_of_its_own(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with world(tmp_path / "one") as w:
        wabot = await w.start()
        numbers = [f"9190000{n:05d}" for n in range(300)]
        await w.post("/initiate-bulk", {"numbers": numbers}, Prefer="respond-async")

        said = await _terminal_says(w, wabot.url.rpartition(":")[2], "backup", str(copy))

        assert said == f"wabot: the journal was copied to {copy}\n"
        assert copy.stat().st_mode & 0o777 == 0o600
        with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("SELECT count(*) FROM jobs").fetchone() == (300,)
            assert db.execute("SELECT count(*) FROM messages").fetchone() == (300,)
        assert "exists already" in await _terminal_says(w, "1", "backup", str(copy), status=1)
        await w.meta.until(lambda meta: len(meta.sent) == 300)
        await w.wabot.kill()
        await _terminal_says(w, "1", "backup", str(copy.with_name("after a kill.db")))
        await w.start()
        assert await w.wabot.stop() == 0
        await _terminal_says(w, "1", "backup", str(copy.with_name("stopped.db")))

    async with world(tmp_path / "two") as w:
        w.journal.parent.mkdir()
        copy.rename(w.journal)
        await w.start()
        assert (await w.get("/outbox", limit=1))["count"] == 1


@pytest.mark.parametrize("made", ["by backup", "by hand"])
async def test_what_is_restored_as_the_readme_says_says_nothing_twice_and_asks_a_person(
    tmp_path: Path, made: str
) -> None:
    """What was queued at the backup left since; a late receipt of the lost time comes when the copy is in place."""
    copy = tmp_path / "copy.db"
    async with world(tmp_path, assistant={"quiet_seconds": 5, "quiet_max_seconds": 5}) as w:
        wabot = await w.start()
        await w.meta.say("Hi", from_=BEN)
        await w.close_meta()
        await w.post("/initiate-bulk", {"numbers": [ANA]}, Prefer="respond-async")
        if made == "by backup":
            await _terminal_says(w, wabot.url.rpartition(":")[2], "backup", str(copy))
        else:
            await w.wabot.kill()
            with closing(sqlite3.connect(w.journal)) as db:
                db.execute("VACUUM INTO ?", (str(copy),))
            await w.start()
        await w.open_meta()
        await w.meta.until(lambda meta: {ANA, BEN} <= {sent.to for sent in meta.sent})
        await w.post("/initiate-bulk", {"numbers": [EVA]})
        lost = next(sent for sent in w.meta.sent if sent.to == EVA)
        said = len(w.meta.sent)
        assert await w.wabot.stop() == 0

        for suffix in ("", "-wal", "-shm"):
            w.journal.with_name(f"wabot.db{suffix}").unlink(missing_ok=True)
        copy.rename(w.journal)
        wabot = await w.start()

        (line,) = wabot.events("journal.restored")
        assert (line["sends_held"], line["replies_ended"]) == (1, 1)
        (parked,) = (await w.get("/outbox", state="parked"))["outbox"]
        assert (parked["number"], parked["error_code"]) == (ANA, "restored")
        await w.close_meta()
        await w.post("/initiate-bulk", {"numbers": [CLARA]}, Prefer="respond-async")
        assert await w.tell(lost) == 200
        (hers,) = (await w.get("/outbox", number=CLARA))["outbox"]
        assert hers["state"] in ("queued", "running")
        assert _job_of(hers["outbox_id"]) > _job_of(str(lost.tag).rpartition(":")[0]) + 10**9
        await w.open_meta()
        await w.meta.until(lambda meta: len(meta.sent) > said)
        await w.post(f"/outbox/{parked['outbox_id']}/retry", None)
        await w.meta.until(lambda meta: len(meta.sent) > said + 1)
        await w.restart()
        assert [sent.to for sent in w.meta.sent[said:]] == [CLARA, ANA]


def _job_of(outbox_id: str) -> int:
    """The number at its end."""
    return int(outbox_id.rpartition("-")[2])


async def test_what_came_while_the_phone_number_id_was_mistyped_is_answered_when_it_is_corrected(
    tmp_path: Path,
) -> None:
    """Three starts: right, with a typo, right again. Receipts count too, and old news is not answered any more."""
    async with world(tmp_path) as w:
        w.meta.behaviour.script(BEN, [accept(receipts=LOST)])
        await w.start()
        await w.post("/initiate-bulk", {"numbers": [BEN]})
        w.sections["whatsapp"]["phone_number_id"] = "100000000000010"
        await w.restart()
        for nth in range(20):
            _, status = await w.meta.say(f"{nth + 1} cakes, please", from_=ANA)
            assert status == 200
        await w.meta.say("Are you open today?", from_=EVA, timestamp=time.time() - 13 * 3600)
        assert await w.tell(w.meta.sent[0]) == 200
        assert (await w.post("/get", {"number": ANA}))[1]["count"] == 0
        ready = await w.get("/readyz")
        (found,) = [problem for problem in ready["problems"] if "100000000000001" in problem["what"]]
        assert "phone_number_id" in found["remedy"]
        await w.wabot.kill()

        w.sections["whatsapp"]["phone_number_id"] = "100000000000001"
        await w.start()

        await w.meta.until(lambda meta: len(meta.sent) == 2)
        (line,) = w.wabot.events("webhook.reclaimed")
        assert (line["webhooks"], line["stored"]) == (22, 21)
        assert len([m for m in await w.said_with(ANA) if m["direction"] == "in"]) == 20
        assert [m["body"] for m in await w.said_with(EVA)] == ["Are you open today?"]
        assert [m["status"] for m in await w.said_with(BEN)] == ["delivered"]
        await w.restart()
        assert w.wabot.events("webhook.reclaimed") == []
        assert [sent.to for sent in w.meta.sent] == [BEN, ANA]


async def test_two_hundred_people_within_a_second_are_all_acknowledged_and_answered(tmp_path: Path) -> None:
    model = OpenAIStandIn(delay=0.2)
    people = [f"9198{n:08d}" for n in range(200)]
    async with (
        served(model.app()) as url,
        world(tmp_path, assistant=openai(url), first_contact={"answer": "ai"}) as w,
    ):
        w.meta.behaviour.default = accept(delay=0.1)
        await w.start()

        answers = await asyncio.gather(*(w.meta.say("Hi there", from_=person) for person in people))

        assert {status for _, status in answers} == {200}
        await w.meta.until(lambda meta: len(meta.sent) >= 200)
        await eventually(lambda: len(w.wabot.events("send.settled")) == 200)
        assert sorted(sent.to for sent in w.meta.sent) == people


async def test_who_is_forgotten_while_mongodb_is_away_is_gone_when_it_returns(tmp_path: Path) -> None:
    async with mongo_server(tmp_path / "mongo") as mongo, world(tmp_path, mongo={"uri": mongo.uri}) as w:
        await w.start()
        await w.meta.say("My pin is tulip-seven", from_=ANA)
        await has(w, "[hello_world]")
        await _archived(mongo.uri, ANA, 2)
        await mongo.stop()
        async with w.client.delete(f"{w.wabot.url}/contacts/{ANA}") as response:
            assert (response.status, (await response.json())["archived"]) == (202, 0)
        await w.restart()
        assert (await w.post("/get", {"number": ANA}))[1]["messages"] == []
        await mongo.start()
        await _archived(mongo.uri, ANA, 0)
