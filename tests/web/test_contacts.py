"""Opt-outs and merges, as the contract has them."""

from __future__ import annotations

import asyncio

import pytest

from tests.business import ANA, BEN, EVA, Business
from tests.web.shapes import queue, refusal, tried
from wabot.sandbox import payloads


async def test_whoever_opted_out_gets_nothing_until_they_opt_in(wabot: Business) -> None:
    answer = await wabot.post(f"/contacts/+{ANA}/opt-out")
    assert (answer.status, answer.json) == (200, {"number": ANA, "opted_out": True})
    refused = (await queue(wabot, ANA, BEN))["results"]
    assert (refused[0]["status"], refused[0]["error_code"]) == ("failed", "opted_out")
    assert "outbox_id" not in refused[0]
    assert refused[1]["status"] == "sent"
    answer = await wabot.post(f"/contacts/{ANA}/opt-in")
    assert (answer.status, answer.json) == (200, {"number": ANA, "opted_out": False})
    assert (await queue(wabot, ANA))["successful"] == 1


async def test_an_opt_out_cancels_what_is_queued(patient: Business) -> None:
    batch = await queue(patient, EVA)
    await tried(patient)
    await patient.post(f"/contacts/{EVA}/opt-out")
    result = (await patient.get(f"/batches/{batch['batch_id']}")).json["results"][0]
    assert (result["status"], result["error_code"]) == ("failed", "opted_out")


async def test_contacts_that_became_one_are_listed_and_can_be_parted(wabot: Business) -> None:
    await queue(wabot, ANA)
    await wabot.meta.say(payloads.text("Hi"), user_id="IN.1")
    await wabot.meta.say(payloads.text("Hi"), from_=ANA, user_id="IN.1")
    (merge,) = (await wabot.get("/merges")).json["merges"]
    assert (merge["numbers"], merge["bsuids"], merge["undone_at"]) == ([ANA, None], [None, "IN.1"], None)
    while (undone := await wabot.post(f"/merges/{merge['id']}/undo")).status == 409:
        await asyncio.sleep(0.01)  # a message of theirs is on its way
    assert (undone.status, undone.json["undone_at"] is not None) == (200, True)
    refusal(await wabot.post(f"/merges/{merge['id']}/undo"), 409)
    refusal(await wabot.post("/merges/99/undo"), 404)
    refusal(await wabot.post("/merges/x/undo"), 404)
    refusal(await wabot.get("/merges", params={"limit": "0"}), 422)


async def test_people_without_a_number_can_opt_out_by_their_user_id(wabot: Business) -> None:
    assert (await wabot.post("/contacts/IN.AbCd1234567890/opt-out")).json["number"] == "IN.AbCd1234567890"
    await wabot.meta.say("Hi", user_id="IN.AbCd1234567890")
    await wabot.meta.say(payloads.text("Hi"), from_=BEN)
    await wabot.meta.until(lambda meta: bool(meta.sent))
    assert [sent.to for sent in wabot.meta.attempts] == [BEN]


@pytest.mark.parametrize("number", ["12", "nobody", "%2B", "%00", "9" * 500])
async def test_nobody_can_opt_out_without_a_number(wabot: Business, number: str) -> None:
    refusal(await wabot.post(f"/contacts/{number}/opt-out"), 422)


async def test_who_asks_for_it_is_forgotten(wabot: Business) -> None:
    await wabot.meta.say("My pin is tulip-seven", from_=ANA)
    await wabot.meta.until(lambda meta: bool(meta.sent))
    while len((await wabot.post("/get", {"number": ANA})).json["messages"]) < 2:
        await asyncio.sleep(0.01)
    answer = await wabot.ask("DELETE", f"/contacts/+{ANA}")
    assert (answer.status, answer.json) == (200, {"messages": 2, "jobs": 2, "archived": 0, "media": 0})
    assert (await wabot.post("/get", {"number": ANA})).json == {"count": 0, "messages": []}
    files = [file for file in wabot.settings.server.data_dir.rglob("*") if file.is_file()]
    assert [file.name for file in files if b"tulip-seven" in file.read_bytes()] == []
    refusal(await wabot.ask("DELETE", f"/contacts/{ANA}"), 404)
    refusal(await wabot.ask("DELETE", "/contacts/12"), 422)
