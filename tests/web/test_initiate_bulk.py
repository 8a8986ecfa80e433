"""POST /initiate-bulk, as the contract has it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.business import ANA, BEN, EVA, KEY, Answer, Business, business
from tests.web.shapes import refusal
from wabot.sandbox.behaviour import error

LATER = {"backoff_base_seconds": 60, "backoff_max_seconds": 60}
"""What Meta does not take at once is tried again after this test."""

OUTBOX_ID = r"[0-9a-z]+-\d+"


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Business]:
    """wabot; what it sends to EVA stays in the outbox."""
    async with business(tmp_path / "data", delivery=LATER) as b:
        b.meta.behaviour.always(EVA, error(131016))
        yield b


async def ask(b: Business, value: dict[str, Any], **headers: str) -> Answer:
    return await b.post("/initiate-bulk", value, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def test_the_answer_has_the_shape_of_the_contract(patient: Business) -> None:
    answer = await ask(patient, {"numbers": ["+" + ANA, "12", EVA]}, Prefer="wait=1")
    assert answer.status == 202
    batch = answer.json
    sent, failed, queued = batch.pop("results")
    batch_id = batch.pop("batch_id")
    assert isinstance(batch_id, str)
    assert batch_id
    assert batch.pop("created_at") > 0
    template = {"name": "hello_world", "language": "en_US"}
    assert batch == {
        "state": "running", "template": template, "total": 3, "successful": 1, "failed": 1, "queued": 1
    }  # fmt: skip
    response = sent.pop("response")
    assert response["messages"] == [{"id": patient.meta.sent[0].wamid}]
    assert re.fullmatch(OUTBOX_ID, sent.pop("outbox_id"))
    assert sent == {"number": ANA, "success": True, "status": "sent"}
    assert failed == {
        "number": "12", "success": False, "status": "failed",
        "error": "Invalid phone number", "error_code": "invalid_number",
    }  # fmt: skip
    assert re.fullmatch(OUTBOX_ID, queued.pop("outbox_id"))
    assert queued == {"number": EVA, "success": False, "status": "queued"}


async def test_each_distinct_number_gets_one_template_message_and_all_settled_is_200(wabot: Business) -> None:
    answer = await ask(wabot, {"numbers": [ANA, BEN, EVA]})
    assert answer.status == 200
    assert (answer.json["successful"], answer.json["failed"], answer.json["queued"]) == (3, 0, 0)
    assert {sent.to for sent in wabot.meta.attempts} == {ANA, BEN, EVA}
    assert len(wabot.meta.attempts) == 3
    for sent in wabot.meta.sent:
        assert sent.payload["template"] == {"name": "hello_world", "language": {"code": "en_US"}}


async def test_the_answer_is_metas_own(wabot: Business) -> None:
    result = (await ask(wabot, {"numbers": [ANA]})).json["results"][0]
    assert result["response"] == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": wabot.meta.sent[0].payload["to"], "wa_id": ANA}],
        "messages": [{"id": wabot.meta.sent[0].wamid}],
    }


async def test_results_keep_the_order_asked(wabot: Business) -> None:
    numbers = [f"9198{n:08d}" for n in range(7000, 7060)]
    numbers = [*numbers[::2], "nobody", *numbers[1::2][::-1]]
    answer = await ask(wabot, {"numbers": numbers})
    assert [result["number"] for result in answer.json["results"]] == numbers


async def test_a_number_given_twice_is_sent_once_however_it_is_written(wabot: Business) -> None:
    answer = await ask(wabot, {"numbers": [ANA, "+91 92165-98210", BEN, f"({ANA[:2]}) {ANA[2:]}"]})
    assert answer.status == 200
    first, second, other, third = answer.json["results"]
    assert "duplicate" not in first
    assert "duplicate" not in other
    assert second == {**first, "duplicate": True}
    assert third == second
    assert answer.json["total"] == 4
    assert sorted(sent.to for sent in wabot.meta.attempts) == [ANA, BEN]


async def test_an_invalid_number_given_twice_is_no_duplicate_of_a_message(wabot: Business) -> None:
    answer = await ask(wabot, {"numbers": ["12", "12", ""]})
    assert answer.status == 200
    assert answer.json["failed"] == 3
    assert not any("duplicate" in result for result in answer.json["results"])
    assert not wabot.meta.attempts


@pytest.mark.parametrize(
    "written",
    ["+91 92165 98210", "91-9216-598210", "+91\u00a092165\u201398210", "+91 (9216) 598210", "+91 [9216] 598210",
     "0091 9216598210", int(ANA)],
    ids=str,
)  # fmt: skip
async def test_numbers_are_taken_as_people_write_them_and_returned_as_digits(wabot: Business, written: object) -> None:
    result = (await ask(wabot, {"numbers": [written]})).json["results"][0]
    assert (result["number"], result["status"]) == (ANA, "sent")


async def test_people_without_a_number_are_named_by_their_user_id(wabot: Business) -> None:
    asked = ["IN.known12345", ANA, "IN.new12345", "IN.known12345", "IN.stopped12345"]
    await wabot.meta.say("Hi", user_id=asked[0])
    await wabot.post(f"/contacts/{asked[-1]}/opt-out")
    tried = (await ask(wabot, {"numbers": asked, "dry_run": True})).json
    assert (tried["invalid"], tried["duplicates"], tried["opted_out"], tried["would_send"]) == (0, 1, 1, 3)
    answer = await ask(wabot, {"numbers": asked})
    assert [line["number"] for line in answer.json["results"]] == asked
    assert [line["status"] for line in answer.json["results"]] == [*["sent"] * 4, "failed"]
    assert answer.json["results"][-1]["error_code"] == "opted_out"
    bulk = [sent for sent in wabot.meta.sent if sent.wamid in answer.body.decode()]
    assert sorted(sent.to for sent in bulk) == sorted(asked[:3])
    found = (await wabot.get(f"/contacts/{asked[2]}")).json
    assert (found["number"], found["bsuid"]) == (None, asked[2])
    assert (await wabot.get("/outbox", params={"number": asked[2]})).json["count"] == 1


@pytest.mark.parametrize("number", [919216598210.0, True, None, [ANA], {"number": ANA}, "9" * 201])
async def test_what_is_no_number_at_all_refuses_the_request(wabot: Business, number: object) -> None:
    assert "numbers.1" in refusal(await ask(wabot, {"numbers": [ANA, number]}), 422)
    assert not wabot.meta.attempts


async def test_metas_refusal_comes_in_plain_words_with_its_code_as_an_integer(wabot: Business) -> None:
    wabot.meta.behaviour.always(BEN, error(131030))
    answer = await ask(wabot, {"numbers": [ANA, BEN]})
    assert answer.status == 200
    failed = answer.json["results"][1]
    assert failed.keys() == {"number", "success", "status", "outbox_id", "error", "error_code"}
    assert failed["error_code"] == 131030
    assert failed["success"] is False
    assert isinstance(failed["error"], str)
    assert failed["error"]
    assert (answer.json["successful"], answer.json["failed"]) == (1, 1)


async def test_a_batch_takes_a_template_of_its_own(wabot: Business) -> None:
    wabot.meta.templates.lenient = True
    components = [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}]
    template = {"name": "order_ready", "language": "de", "components": components}
    assert (await ask(wabot, {"numbers": [ANA], "template": template})).json["successful"] == 1
    assert wabot.meta.sent[0].payload["template"] == {
        "name": "order_ready", "language": {"code": "de"}, "components": components,
    }  # fmt: skip


async def test_each_recipient_may_have_components_of_their_own(wabot: Business) -> None:
    wabot.meta.templates.lenient = True

    def hello(name: str) -> list[dict[str, Any]]:
        return [{"type": "body", "parameters": [{"type": "text", "text": name}]}]

    answer = await ask(
        wabot,
        {
            "recipients": [
                {"number": ANA, "components": hello("Ana")},
                {"number": BEN},
                {"number": EVA, "components": []},
            ],
            "template": {"name": "hello", "components": hello("friend")},
        },
    )
    assert answer.json["successful"] == 3
    said = {sent.to: sent.payload["template"].get("components") for sent in wabot.meta.sent}
    assert said == {ANA: hello("Ana"), BEN: hello("friend"), EVA: None}


async def test_the_default_template_is_that_of_the_first_contact(tmp_path: Path) -> None:
    components = ({"type": "body", "parameters": [{"type": "text", "text": "Hi"}]},)
    first = {"template": "welcome", "language": "pt_BR", "components": components}
    async with business(tmp_path, first_contact=first) as b:
        b.meta.templates.lenient = True
        await ask(b, {"recipients": [{"number": ANA}]})
        assert b.meta.sent[0].payload["template"] == {
            "name": "welcome", "language": {"code": "pt_BR"}, "components": list(components),
        }  # fmt: skip


async def test_ten_thousand_recipients_are_accepted_in_one_request(tmp_path: Path) -> None:
    numbers = [f"9198{n:08d}" for n in range(20_000, 30_000)]
    async with business(tmp_path, delivery={"messages_per_second": 1}) as b:
        answer = await ask(b, {"numbers": numbers}, Prefer="respond-async")
        assert answer.status == 202
        assert answer.json["total"] == 10_000
        assert [result["number"] for result in answer.json["results"]] == numbers
        assert "10000" in refusal(await ask(b, {"numbers": [*numbers, ANA]}), 422)
        assert (await b.get(f"/batches/{answer.json['batch_id']}")).json["total"] == 10_000


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"numbers": []},
        {"recipients": []},
        {"numbers": [ANA], "recipients": [{"number": BEN}]},
        {"numbers": ANA},
        {"numbers": None},
        {"number": ANA},
        {"numbers": [ANA], "tempalte": {}},
        {"numbers": [ANA], "template": {"language": "en"}},
        {"numbers": [ANA], "template": {"name": ""}},
        {"numbers": [ANA], "template": {"name": "a", "components": {"type": "body"}}},
        {"numbers": [ANA], "template": {"name": "a", "components": [{"type": "body", "parameters": 5}]}},
        {"recipients": [{"number": ANA, "components": "text"}]},
        {"recipients": [ANA]},
        {"recipients": [{}]},
    ],
    ids=str,
)
async def test_a_request_that_makes_no_sense_is_refused_whole(wabot: Business, value: dict[str, Any]) -> None:
    answer = await ask(wabot, value)
    refusal(answer, 422)
    details = answer.json["error"]["details"]
    assert details
    assert all(detail.keys() - {"index"} == {"field", "message"} for detail in details)  # index: of a recipient
    assert not wabot.meta.attempts


async def test_whoever_prefers_not_to_wait_is_answered_202_at_once(patient: Business) -> None:
    answer = await ask(patient, {"numbers": [EVA]}, Prefer="respond-async")
    assert answer.status == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.json["queued"] == 1
    assert answer.headers["Location"] == f"/batches/{answer.json['batch_id']}"
    assert (await patient.get(answer.headers["Location"])).json == answer.json


async def test_whoever_prefers_to_wait_a_second_waits_a_second(patient: Business) -> None:
    async def one(preference: str) -> None:
        started = asyncio.get_running_loop().time()
        answer = await ask(patient, {"numbers": [EVA]}, Prefer=preference)
        assert answer.status == 202
        assert 0.9 < asyncio.get_running_loop().time() - started < 4
        assert answer.headers["Preference-Applied"] == "wait=1"

    await asyncio.gather(*map(one, ("wait=1", 'Wait = "1"', "handling=lenient, wait=1", "wait=1; strict")))


async def test_a_preference_to_wait_for_no_time_does_not_wait(patient: Business) -> None:
    async with asyncio.timeout(1):
        assert (await ask(patient, {"numbers": [EVA]}, Prefer="wait=0")).status == 202


async def test_nobody_waits_longer_than_it_takes_and_the_longest_wait_is_bounded(wabot: Business) -> None:
    async with asyncio.timeout(4):
        answer = await ask(wabot, {"numbers": [ANA]}, Prefer="wait=99999999999")
    assert answer.status == 200
    assert answer.headers["Preference-Applied"] == "wait=300"


@pytest.mark.parametrize(
    "preference", [None, "wait=soon", "wait=-1", "wait=", "return=minimal", "respond-asynchronously"]
)
async def test_without_a_preference_the_wait_is_that_of_the_settings(tmp_path: Path, preference: str | None) -> None:
    async with business(tmp_path, delivery=LATER, api={"wait_seconds": 0.3}) as b:
        b.meta.behaviour.always(EVA, error(131016))
        started = asyncio.get_running_loop().time()
        answer = await ask(b, {"numbers": [EVA]}, **({"Prefer": preference} if preference else {}))
        assert answer.status == 202
        assert 0.25 < asyncio.get_running_loop().time() - started < 3
        assert "Preference-Applied" not in answer.headers


async def test_what_is_still_queued_is_sent_later(wabot: Business) -> None:
    wabot.meta.behaviour.script(EVA, [error(131016)] * 2)
    answer = await ask(wabot, {"numbers": [EVA]}, Prefer="respond-async")
    assert answer.json["queued"] == 1
    await wabot.meta.until(lambda meta: bool(meta.sent))
    while (batch := (await wabot.get(answer.headers["Location"])).json)["queued"]:
        await asyncio.sleep(0.01)
    assert batch["results"][0]["response"]["messages"] == [{"id": wabot.meta.sent[0].wamid}]


async def test_the_same_key_and_body_give_the_same_batch_and_one_message(wabot: Business) -> None:
    first = await ask(wabot, {"numbers": [ANA, "12"]}, Idempotency_Key="order-7")
    again = await ask(wabot, {"numbers": [ANA, "12"]}, Idempotency_Key="order-7")
    quoted = await ask(wabot, {"numbers": [ANA, "12"]}, Idempotency_Key='"order-7"')
    assert first.status == again.status == 200
    assert again.json == first.json == quoted.json
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(wabot.meta.attempts) == 1


async def test_the_same_key_twenty_times_at_once_is_one_message(wabot: Business) -> None:
    answers = await asyncio.gather(*(ask(wabot, {"numbers": [ANA]}, Idempotency_Key="once") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["batch_id"] for answer in answers}) == 1
    assert len(wabot.meta.attempts) == 1


@pytest.mark.parametrize(
    "other", [{"numbers": [ANA, BEN]}, {"numbers": [BEN]}, {"numbers": [ANA], "template": {"name": "other"}}], ids=str
)
async def test_the_same_key_with_another_body_is_refused(wabot: Business, other: dict[str, Any]) -> None:
    await ask(wabot, {"numbers": [ANA]}, Idempotency_Key="order-7")
    assert "Idempotency-Key" in refusal(await ask(wabot, other, Idempotency_Key="order-7"), 422)
    assert [sent.to for sent in wabot.meta.attempts] == [ANA]


async def test_another_key_or_none_is_another_batch(wabot: Business) -> None:
    answers = [
        await ask(wabot, {"numbers": [ANA]}, **headers)
        for headers in ({}, {}, {"Idempotency_Key": "a"}, {"Idempotency_Key": "A"})
    ]
    assert len({answer.json["batch_id"] for answer in answers}) == 4
    assert len(wabot.meta.attempts) == 4


async def test_a_key_is_remembered_over_a_restart(tmp_path: Path) -> None:
    async with business(tmp_path) as b:
        first = await ask(b, {"numbers": [ANA, "12"]}, Idempotency_Key="order-7")
        meta = b.meta
    async with business(tmp_path, meta=meta) as b:
        again = await ask(b, {"numbers": [ANA, "12"]}, Idempotency_Key="order-7")
        assert again.json == first.json
        refusal(await ask(b, {"numbers": [BEN]}, Idempotency_Key="order-7"), 422)
    assert len(meta.attempts) == 1


async def test_a_batch_that_was_queued_before_a_restart_is_sent_after_it(tmp_path: Path) -> None:
    async with business(tmp_path, delivery={"backoff_base_seconds": 0.5, "backoff_max_seconds": 0.5}) as b:
        b.meta.behaviour.script(EVA, [error(131016)])
        first = await ask(b, {"numbers": [EVA]}, Idempotency_Key="k", Prefer="respond-async")
        await b.meta.until(lambda meta: bool(meta.attempts))
        meta = b.meta
    async with business(tmp_path, meta=meta) as b:
        again = await ask(b, {"numbers": [EVA]}, Idempotency_Key="k")
        assert again.status == 200
        assert again.json["batch_id"] == first.json["batch_id"]
        assert again.json["successful"] == 1
    assert len(meta.sent) == 1


@pytest.mark.parametrize("key", ["", " ", '""', "k" * 256, "a\tb"])
async def test_a_key_that_is_none_is_refused(wabot: Business, key: str) -> None:
    assert "Idempotency-Key" in refusal(await ask(wabot, {"numbers": [ANA]}, Idempotency_Key=key), 422)
    assert not wabot.meta.attempts


async def test_a_key_of_255_characters_is_fine(wabot: Business) -> None:
    assert (await ask(wabot, {"numbers": [ANA]}, Idempotency_Key="k" * 255)).status == 200


async def test_whoever_waits_longer_for_a_batch_is_not_forgotten_when_another_stops_waiting(patient: Business) -> None:
    long = asyncio.create_task(ask(patient, {"numbers": [EVA]}, Idempotency_Key="k", Prefer="wait=60"))
    await patient.meta.until(lambda meta: bool(meta.attempts))
    short = await ask(patient, {"numbers": [EVA]}, Idempotency_Key="k", Prefer="wait=1")
    assert short.status == 202
    await patient.post(f"/outbox/{short.json['results'][0]['outbox_id']}/cancel")
    async with asyncio.timeout(5):
        answer = await long
    assert (answer.status, answer.json["failed"]) == (200, 1)


async def test_whoever_waits_when_the_service_stops_is_answered_at_once(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with ClientSession(headers={"X-API-Key": KEY}) as client:
        async with business(tmp_path, delivery=LATER) as b:
            b.meta.behaviour.always(EVA, error(131016))
            request = client.post(b.url + "/initiate-bulk", json={"numbers": [EVA]}, headers={"Prefer": "wait=60"})
            waiting = asyncio.create_task(request)  # type: ignore[arg-type]
            await b.meta.until(lambda meta: bool(meta.attempts))
            stopped = loop.time()
        assert loop.time() - stopped < 2
        async with await waiting as response:
            assert response.status == 202
            assert (await response.json())["queued"] == 1
