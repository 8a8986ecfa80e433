"""Opt-outs and merges, as the contract has them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, Business
from tests.web.shapes import queue, refusal, tried
from wabot.journal import contact_list_and_search
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import undelivered


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


CONTACT = {"number", "bsuid", "name", "assistant", "window_closes_at", "stopped", "attention", "last_message"}
ON = {"state": "on", "until": None, "reason": None}


async def says(wabot: Business, text: str, number: str = ANA) -> None:
    """Somebody writes, and wabot has it."""
    await wabot.meta.say(text, from_=number)


async def answered(wabot: Business, count: int, number: str = ANA) -> None:
    """Meta has so many messages for somebody, and wabot knows that it has."""
    while len((await wabot.get("/outbox", params={"number": number, "state": "done"})).json["outbox"]) < count:
        await asyncio.sleep(0.01)


async def test_a_contact_is_shown(wabot: Business) -> None:
    refusal(await wabot.get(f"/contacts/{ANA}"), 404)
    refusal(await wabot.get("/contacts/12"), 422)
    await says(wabot, "Hello")
    await answered(wabot, 1)
    found = (await wabot.get(f"/contacts/+{ANA}")).json
    assert found.keys() == CONTACT
    assert (found["number"], found["stopped"], found["assistant"], found["attention"]) == (ANA, None, ON, None)
    assert 86_000 < found["window_closes_at"] - time.time() <= 86_400
    assert (found["last_message"]["direction"], found["last_message"]["to"]) == ("out", ANA)
    await wabot.post(f"/contacts/{BEN}/opt-out")
    found = (await wabot.get(f"/contacts/{BEN}")).json
    assert (found["stopped"], found["window_closes_at"], found["last_message"]) == ("all", None, None)


@pytest.mark.parametrize(("code", "stopped"), [(131026, "unreachable"), (131050, "marketing")])
async def test_why_somebody_gets_no_more_is_shown(wabot: Business, code: int, stopped: str) -> None:
    wabot.meta.behaviour.script(ANA, [undelivered(code)])
    await queue(wabot, ANA)
    while (await wabot.get(f"/contacts/{ANA}")).json["stopped"] is None:
        await asyncio.sleep(0.01)
    assert (await wabot.get(f"/contacts/{ANA}")).json["stopped"] == stopped
    assert (await queue(wabot, ANA))["failed"] == 1
    assert len(wabot.meta.attempts) == 1


async def test_while_the_assistant_is_paused_it_says_nothing_and_afterwards_it_answers_what_is_new(
    wabot: Business,
) -> None:
    await says(wabot, "Hello")
    await answered(wabot, 1)
    paused = await wabot.post(f"/contacts/{ANA}/pause", {"reason": "Eva answers"})
    assert paused.status == 200
    assert paused.json["assistant"]["state"] == "paused"
    assert paused.json["assistant"]["reason"] == "Eva answers"
    assert 43_000 < paused.json["assistant"]["until"] - time.time() <= 43_200
    await says(wabot, "Is anybody there?")
    assert (await wabot.get("/outbox", params={"kind": "reply", "number": ANA, "state": "queued"})).json["count"] == 0
    resumed = await wabot.post(f"/contacts/{ANA}/resume")
    assert (resumed.status, resumed.json["assistant"]) == (200, ON)
    await says(wabot, "And now?")
    await answered(wabot, 2)
    assert len(wabot.meta.sent) == 2


@pytest.mark.parametrize("body", [None, {}, {"hours": None}, {"hours": 0.5}])
async def test_a_pause_has_hours_or_none(wabot: Business, body: Any) -> None:
    request = {"json": body} if body is not None else {}
    found = await wabot.ask("POST", f"/contacts/{ANA}/pause", **request)
    assert found.json["assistant"]["state"] == "paused"
    until = found.json["assistant"]["until"]
    hours = 12 if body is None else body.get("hours", 12)
    assert until is None if hours is None else abs(until - time.time() - hours * 3600) < 60


@pytest.mark.parametrize(
    "body", [{"hours": 0}, {"hours": -1}, {"hours": "x"}, {"hours": True}, {"hour": 1}, {"reason": ""}]
)
async def test_a_pause_is_well_formed(wabot: Business, body: Any) -> None:
    refusal(await wabot.post(f"/contacts/{ANA}/pause", body), 422)


async def test_nobody_unknown_is_resumed(wabot: Business) -> None:
    refusal(await wabot.post(f"/contacts/{ANA}/resume"), 404)


async def test_what_the_assistant_had_queued_is_not_said_after_a_person_took_over(patient: Business) -> None:
    await says(patient, "Hello", EVA)
    await tried(patient)
    await patient.post(f"/contacts/{EVA}/pause", {"hours": 1})
    while True:
        (send,) = (await patient.get("/outbox", params={"number": EVA})).json["outbox"]
        if send["state"] != "running":
            break
    assert (send["state"], send["error_code"]) == ("cancelled", "taken_over")


async def test_a_colleague_who_writes_may_take_over(wabot: Business) -> None:
    await says(wabot, "Hello")
    await answered(wabot, 1)
    sent = await wabot.post("/messages", {"number": ANA, "text": "Eva here.", "takeover": True})
    assert (sent.status, sent.json["status"]) == (200, "sent")
    assistant = (await wabot.get(f"/contacts/{ANA}")).json["assistant"]
    assert (assistant["state"], assistant["reason"]) == ("paused", "staff")
    await wabot.post(f"/contacts/{ANA}/pause", {"hours": None})
    await wabot.post("/messages", {"number": ANA, "text": "Still here.", "takeover": True})
    assert (await wabot.get(f"/contacts/{ANA}")).json["assistant"]["until"] is None


async def listed(wabot: Business, **query: str) -> list[str]:
    """The numbers of a list."""
    found = (await wabot.get("/contacts", params=query)).json
    assert found["count"] == len(found["contacts"])
    return [contact["number"] for contact in found["contacts"]]


async def test_contacts_are_listed_latest_talk_first(wabot: Business) -> None:
    for number, text in ((ANA, "Do you have tulips?"), (BEN, "ÖFFNUNGSZEITEN?"), (EVA, "Hello")):
        await says(wabot, text, number)
        await answered(wabot, 1, number)
    await says(wabot, "And roses?", ANA)
    await answered(wabot, 2, ANA)
    assert await listed(wabot) == [ANA, EVA, BEN]
    first = (await wabot.get("/contacts", params={"limit": "2"})).json
    assert [contact["number"] for contact in first["contacts"]] == [ANA, EVA]
    assert first["contacts"][0].keys() == CONTACT
    assert isinstance(first["contacts"][0]["last_message"]["raw"], dict)
    one = (await wabot.get(f"/contacts/{ANA}")).json
    assert {**first["contacts"][0], "last_message": one["last_message"]} == one
    assert await listed(wabot, cursor=first["next_cursor"]) == [BEN]
    assert await listed(wabot, search="tulip") == [ANA]
    assert await listed(wabot, search="öffnungs") == [BEN]
    assert await listed(wabot, search=f"+{EVA[:4]}") == [EVA]
    assert await listed(wabot, search="nothing of the sort") == []
    refusal(await wabot.get("/contacts", params={"limit": "0"}), 422)
    refusal(await wabot.get("/contacts", params={"cursor": "x"}), 422)


async def test_who_waits_for_a_person_is_listed(wabot: Business) -> None:
    await says(wabot, "Hello", ANA)
    await says(wabot, "agent", BEN)
    await answered(wabot, 1, ANA)
    assert await listed(wabot, attention="true") == [BEN]
    await says(wabot, "It is about my tulips", BEN)
    await says(wabot, "Tulips, please", ANA)
    assert await listed(wabot, attention="true", search="tulips") == [BEN]
    assert await listed(wabot, attention="true", search=f"+{BEN}") == [BEN]
    assert await listed(wabot, attention="true", search="roses") == []
    await wabot.post(f"/contacts/{BEN}/resume")
    assert await listed(wabot, attention="true") == []


async def test_names_and_numbers_are_searched_always_and_texts_among_the_newest(
    wabot: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_list_and_search, "SEARCHED", 2)
    monkeypatch.setattr(contact_list_and_search, "STEP", 1)
    await wabot.post(f"/contacts/{BEN}/pause")
    await wabot.meta.say("An old word: tulips", from_=BEN, name="Ben")
    for nth in range(2):
        await wabot.post(f"/contacts/{ANA}/pause")
        await wabot.meta.say(f"A new word: roses {nth}", from_=ANA, name="Ana")
    assert await listed(wabot, search="roses") == [ANA]
    assert await listed(wabot, search="tulips") == []
    assert await listed(wabot, search="ben") == [BEN]
    assert await listed(wabot, search=BEN[-6:]) == [BEN]


@pytest.mark.parametrize("search", ["tulpen", "TULPEN", "straße", "strasse", "ÄRGER", "फूल", "+91 9216", "100%", "A_B"])
async def test_a_search_knows_no_case_in_any_script_and_no_wildcards(wabot: Business, search: str) -> None:
    await wabot.meta.say("Tulpen in der Straße? Ärger! फूल 100% A_B", from_=ANA, name="Ana")
    await wabot.meta.say("Nothing of the kind: 1000, AxB", from_=BEN, name="Ben")
    found = (await wabot.get("/contacts", params={"search": search})).json["contacts"]
    assert [each["number"] for each in found] == [ANA]
