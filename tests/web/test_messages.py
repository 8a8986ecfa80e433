"""POST /messages, as the contract has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from tests.process import eventually
from tests.web.shapes import refusal
from wabot.core.message_check import MEDIA, TYPES
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import accept, error

IMAGE = {"type": "image", "image": {"link": "https://example.com/tulip.jpg", "caption": "A tulip"}}
BUTTONS = {
    "type": "interactive",
    "interactive": {
        "type": "button",
        "body": {"text": "Tulips?"},
        "action": {"buttons": [{"type": "reply", "reply": {"id": "y", "title": "Yes"}}]},
    },
}


TEMPLATE = {"name": "invitation", "language": {"code": "en_US"}}
WRONG_COMPONENTS: list[Any] = [
    "abc",
    5,
    {"type": "body"},
    [1],
    ["body"],
    [{"type": "body", "parameters": "x"}],
    [{}, None],
]


async def write(wabot: Business, number: str = ANA, text: str = "Hi") -> str:
    """Somebody writes, and is answered; the wamid of what they wrote."""
    before = len(wabot.meta.sent)
    await wabot.meta.say(payloads.text(text), from_=number)
    await wabot.meta.until(lambda meta: len(meta.sent) > before)
    messages = (await wabot.post("/get", {"number": number})).json["messages"]
    return str(next(m["id"] for m in messages if m["direction"] == "in" and m["body"] == text))


def reason(answer: Any) -> str:
    """Why it was refused."""
    refusal(answer, 422)
    return str(answer.json["error"]["details"][0]["reason"])


async def ask(wabot: Business, **body: Any) -> Any:
    return await wabot.post("/messages", {"number": f"+{ANA}", **body})


async def test_a_text_reaches_who_wrote_within_a_day(wabot: Business) -> None:
    await write(wabot)
    answer = await ask(wabot, text="We open at nine.")
    assert answer.status == 200
    line = answer.json
    assert line.keys() == {"number", "success", "status", "outbox_id", "response"}
    assert (line["number"], line["success"], line["status"]) == (ANA, True, "sent")
    sent = wabot.meta.sent[-1]
    assert (sent.to, sent.payload["text"]["body"]) == (ANA, "We open at nine.")
    assert line["response"]["messages"] == [{"id": sent.wamid}]
    assert answer.headers["Location"] == f"/outbox/{line['outbox_id']}"
    assert (await wabot.get(answer.headers["Location"])).json["state"] == "done"


@pytest.mark.parametrize(("message", "body"), [(IMAGE, "A tulip"), (BUTTONS, "Tulips?")])
async def test_any_of_metas_messages_is_sent_as_it_is_and_quotes(
    wabot: Business, message: Mapping[str, Any], body: str
) -> None:
    wamid = await write(wabot)
    answer = await ask(wabot, message=message, reply_to=wamid)
    assert answer.status == 200, answer.json
    payload = wabot.meta.sent[-1].payload
    assert payload["context"] == {"message_id": wamid}
    assert payload[message["type"]] == message[message["type"]]
    newest = (await wabot.post("/get", {"number": ANA, "limit": 1})).json["messages"][0]
    assert (newest["body"], newest["type"]) == (body, message["type"])


EVERY_TYPE: list[dict[str, Any]] = [
    {"type": "text", "text": {"body": "Hi", "preview_url": True}},
    *({"type": kind, kind: {"link": f"https://example.com/{kind}"}} for kind in MEDIA),
    {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}},
    {"type": "location", "location": {"latitude": "52.5", "longitude": 13.4, "name": "Shop", "address": "Here 1"}},
    {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ben", "first_name": "Ben"}}]},
    {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}},
    {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}},
    {
        "type": "interactive",
        "interactive": {
            "type": "list", "body": {"text": "Which day?"},
            "action": {"button": "Days", "sections": [{"rows": [{"id": "1", "title": "Monday"}]}]},
        },
    },
    {
        "type": "interactive",
        "interactive": {
            "type": "cta_url", "body": {"text": "See"},
            "action": {"name": "cta_url", "parameters": {"display_text": "Shop", "url": "https://example.com"}},
        },
    },
    {
        "type": "interactive",
        "interactive": {
            "type": "location_request_message", "body": {"text": "Where are you?"}, "action": {"name": "send_location"},
        },
    },
]  # fmt: skip


async def test_every_type_of_metas_messages_is_taken_and_sent_as_it_is(wabot: Business) -> None:
    await write(wabot)
    wabot.meta.receipts = False  # one that says that nobody can fetch the file might come before the answer
    for message in EVERY_TYPE:
        answer = await ask(wabot, message=message)
        assert (answer.status, answer.json["status"]) == (200, "sent"), (message, answer.json)
        sent = wabot.meta.sent[-1].payload
        assert (sent["type"], sent[message["type"]]) == (message["type"], message[message["type"]])
    assert {message["type"] for message in EVERY_TYPE} == set(TYPES)
    told = (await wabot.post("/get", {"number": ANA, "limit": len(EVERY_TYPE)})).json["messages"]
    assert [one["type"] for one in reversed(told)] == [message["type"] for message in EVERY_TYPE]


async def test_a_template_reaches_anybody(wabot: Business) -> None:
    answer = await wabot.post("/messages", {"number": BEN, "template": {"name": "hello_world"}})
    assert (answer.status, answer.json["status"]) == (200, "sent")
    assert wabot.meta.sent[-1].type == "template"


async def test_outside_the_window_nothing_but_a_template_is_queued(wabot: Business) -> None:
    answer = await ask(wabot, text="Hello?")
    assert reason(answer) == "window_closed"
    assert "template" in answer.json["error"]["message"]
    assert (await wabot.get("/outbox")).json["outbox"] == []


@pytest.mark.parametrize(("ago", "status"), [(86400 - 30, 200), (86400 + 1, 422)])
async def test_the_window_counts_from_what_they_wrote_last(wabot: Business, ago: float, status: int) -> None:
    await wabot.meta.say("Hello", from_=ANA, timestamp=time.time() - ago)
    await wabot.meta.say("Before that", from_=ANA, timestamp=time.time() - ago - 600)
    assert (await ask(wabot, text="Hi")).status == status


async def test_who_opted_out_gets_nothing(wabot: Business) -> None:
    await write(wabot)
    await wabot.post(f"/contacts/{ANA}/opt-out")
    assert reason(await ask(wabot, text="Hello?")) == "opted_out"
    assert reason(await ask(wabot, template={"name": "hello_world"})) == "opted_out"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": "  "},
        {"text": "x" * 4097},
        {"text": "a", "template": {"name": "t"}},
        {"text": 5},
        {"template": {}},
        {"message": {}},
        {"message": {"type": "image"}},
        {"message": {"type": "image", "image": {}}},
        {"message": {"type": "image", "image": {"link": "C:\\tulips.jpg"}}},
        {"message": {"type": "document", "document": {"link": "ftp://example.com/prices.pdf"}}},
        {"message": {"type": "audio", "audio": {"link": "https://example.com/a.ogg", "caption": "Listen"}}},
        {"message": {"type": "sticker", "sticker": {"link": "https://example.com/a.webp", "caption": "A tulip"}}},
        {"message": {"type": "image", "image": {"link": "https://example.com/a.png", "filename": "a.png"}}},
        {"message": {"type": "poem", "poem": {}}},
        {"message": {"type": ["text"], "text": {"body": "x"}}},
        {"message": {**IMAGE, "to": BEN}},
        {"message": {"type": "interactive", "interactive": {"type": "button", "action": {"buttons": []}}}},
        {"message": {"type": "text", "text": {"body": "   "}}},
        {"message": {"type": "text", "text": {"body": "x" * 4097}}},
        {"message": {"type": "location", "location": {"latitude": None, "longitude": None}}},
        {"message": {"type": "location", "location": {"latitude": "north", "longitude": "13.4"}}},
        {"message": {"type": "location", "location": {"latitude": 52.5, "longitude": 181}}},
        {"message": {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ben"}}, 5]}},
        {"message": {"type": "interactive", "interactive": {"type": "flow", "action": {"x": "a" * 131_072}}}},
        *({"message": {"type": "template", "template": {**TEMPLATE, "components": each}}} for each in WRONG_COMPONENTS),
        {"text": "a", "colour": "red"},
        {"text": "a", "reply_to": "wamid.unknown"},
        {"text": "a", "takeover": "yes"},
    ],
)
async def test_what_meta_would_not_take_is_refused_at_once(wabot: Business, body: Mapping[str, Any]) -> None:
    await write(wabot)
    before = len(wabot.meta.attempts)
    assert reason(await ask(wabot, **body)) == "invalid_message"
    assert len(wabot.meta.attempts) == before


async def test_no_shape_of_a_template_is_more_than_can_be_judged(tmp_path: Path) -> None:
    async with business(tmp_path, whatsapp={"business_account_id": "200000000000002"}) as wabot:
        for components in WRONG_COMPONENTS:
            message = {"type": "template", "template": {**TEMPLATE, "components": components}}
            assert reason(await ask(wabot, message=message)) == "invalid_message"
        for index in ("9" * 5000, "²", "-1", 1.5, None):
            button = {"type": "button", "sub_type": "url", "index": index, "parameters": []}
            parameters = [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}, button]
            refused = await ask(wabot, message={"type": "template", "template": {**TEMPLATE, "components": parameters}})
            assert reason(refused) == "wrong_parameters"
        assert wabot.meta.attempts == []


@pytest.mark.parametrize("number", ["12", "", "nobody", None, [ANA]])
async def test_a_number_must_be_one(wabot: Business, number: object) -> None:
    assert reason(await wabot.post("/messages", {"number": number, "text": "Hi"})) == "invalid_number"


async def test_a_message_of_another_talk_cannot_be_quoted(wabot: Business) -> None:
    await write(wabot)
    wamid = await write(wabot, BEN)
    assert reason(await ask(wabot, text="a", reply_to=wamid)) == "invalid_message"


async def test_the_same_key_is_the_same_message_and_a_refusal_uses_no_key_up(wabot: Business) -> None:
    key = {"Idempotency-Key": "k1"}
    body = {"number": ANA, "text": "Once"}
    assert reason(await wabot.post("/messages", body, headers=key)) == "window_closed"
    await write(wabot)
    first = await wabot.post("/messages", body, headers=key)
    again = await wabot.post("/messages", body, headers=key)
    assert (first.status, again.status, again.json) == (200, 200, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert [sent.payload["text"]["body"] for sent in wabot.meta.sent if sent.type == "text"].count("Once") == 1
    refusal(await wabot.post("/messages", {**body, "text": "Twice"}, headers=key), 422)
    refusal(await wabot.post("/initiate-bulk", {"numbers": [ANA]}, headers=key), 422)


async def test_the_same_key_while_the_first_is_on_its_way_is_one_message(wabot: Business) -> None:
    await write(wabot)
    wabot.meta.behaviour.script(ANA, [accept(delay=0.5)])
    key, body = {"Idempotency-Key": "k1"}, {"number": ANA, "text": "Once"}
    first = asyncio.create_task(wabot.post("/messages", body, headers=key))
    await eventually(lambda: has_open(wabot))
    others = [wabot.post("/messages", body, headers=key) for _ in range(3)]
    other = await wabot.post("/messages", {**body, "text": "Twice"}, headers=key)
    refusal(other, 422)
    answers = [await first, *await asyncio.gather(*others)]
    assert [answer.status for answer in answers] == [200] * 4
    assert len({answer.json["outbox_id"] for answer in answers}) == 1
    assert [sent.payload.get("text", {}).get("body") for sent in wabot.meta.sent].count("Once") == 1


async def has_open(wabot: Business) -> bool:
    return any(job["state"] in ("queued", "running") for job in (await wabot.get("/outbox")).json["outbox"])


async def test_what_is_refused_takes_nobody_over_and_what_is_repeated_nobody_again(wabot: Business) -> None:
    async def assistant() -> str:
        return str((await wabot.get(f"/contacts/{ANA}")).json["assistant"]["state"])

    await write(wabot)
    await ask(wabot, text="Hi", takeover=True, reply_to="wamid.unknown")
    assert await assistant() == "on"
    key = {"Idempotency-Key": "k1"}
    for expected in ("paused", "on"):
        answer = await wabot.post("/messages", {"number": ANA, "text": "Hi", "takeover": True}, headers=key)
        assert (answer.status, await assistant()) == (200, expected)
        await wabot.post(f"/contacts/{ANA}/resume")


async def test_an_unknown_account_is_404_and_queues_nothing(wabot: Business) -> None:
    body = {"number": BEN, "template": {"name": "hello_world"}}
    refusal(await wabot.post("/messages", {**body, "account": "shop"}), 404)
    refusal(await wabot.post("/messages?account=shop", body), 404)
    assert (await wabot.get("/outbox")).json["count"] == 0
    assert (await wabot.post("/messages", {**body, "account": "main"})).json["status"] == "sent"


async def test_a_failure_is_told_as_in_a_batch(wabot: Business) -> None:
    wabot.meta.behaviour.always(EVA, error(131026))
    answer = await wabot.post("/messages", {"number": EVA, "template": {"name": "hello_world"}})
    assert answer.status == 200
    assert (answer.json["success"], answer.json["status"], answer.json["error_code"]) == (False, "failed", 131026)
    assert answer.json["error"]


async def test_who_does_not_wait_is_told_that_it_is_queued(patient: Business) -> None:
    body = {"number": EVA, "template": {"name": "hello_world"}}
    answer = await patient.post("/messages", body, headers={"Prefer": "respond-async"})
    assert (answer.status, answer.headers["Preference-Applied"]) == (202, "respond-async")
    answer = await patient.post("/messages", body, headers={"Prefer": "wait=0"})
    assert (answer.status, answer.json["status"], answer.json["success"]) == (202, "queued", False)


async def test_single_messages_are_no_batches(wabot: Business) -> None:
    await wabot.post("/messages", {"number": BEN, "template": {"name": "hello_world"}})
    assert (await wabot.get("/batches")).json == {"count": 0, "batches": []}


async def test_it_overtakes_bulk_and_keeps_the_order_of_its_contact(tmp_path: Any) -> None:
    async with business(tmp_path, delivery={"messages_per_second": 5, "pair_burst": 100}) as wabot:
        await write(wabot)
        bulk = asyncio.create_task(wabot.post("/initiate-bulk", {"numbers": [f"4930123{n:04d}" for n in range(30)]}))
        await wabot.meta.until(lambda meta: any(sent.to.startswith("4930") for sent in meta.sent))
        for n in range(3):
            await ask(wabot, text=f"Now {n}")
        told = [sent.payload["text"]["body"] for sent in wabot.meta.sent if sent.to == ANA and sent.type == "text"]
        assert told == ["Now 0", "Now 1", "Now 2"]
        assert sum(sent.to.startswith("4930") for sent in wabot.meta.sent) < 30
        bulk.cancel()


async def test_of_who_was_forgotten_the_same_key_tells_no_outbox_id(wabot: Business) -> None:
    key = {"Idempotency-Key": "k1"}
    body = {"number": BEN, "template": {"name": "hello_world"}}
    assert (await wabot.post("/messages", body, headers=key)).status == 200
    await wabot.ask("DELETE", f"/contacts/{BEN}")
    again = await wabot.post("/messages", body, headers=key)
    assert (again.status, again.json["error_code"], "outbox_id" in again.json) == (200, "forgotten", False)
    assert "Location" not in again.headers
