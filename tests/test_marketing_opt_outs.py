"""Who stopped marketing with WhatsApp's own button gets no marketing templates, and all others."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from tests.console.signed_in import visitor
from tests.process import eventually
from tests.test_scheduled_batches import at, settled
from tests.test_template_list import WABA
from wabot.sandbox.behaviour import error

GIVEN = [{"type": "body", "parameters": [{"type": "text", "text": "x"}]}]
OFFER = {"name": "invitation", "language": "en_US", "components": GIVEN}
HELLO = {"name": "hello_world", "language": "en_US"}
CODE = {
    "name": "verification_code",
    "language": "en_US",
    "components": [
        {"type": "body", "parameters": [{"type": "text", "text": "1234"}]},
        {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "1234"}]},
    ],
}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Business]:
    async with business(tmp_path / "data", whatsapp=WABA) as b:
        await stop_marketing(b)
        yield b


async def stop_marketing(b: Business, number: str = BEN) -> None:
    preference = {"wa_id": number, "category": "marketing_messages", "value": "stop", "timestamp": int(time.time())}
    await b.meta.news("user_preferences", {
        "metadata": {"phone_number_id": b.meta.phone_number_id}, "user_preferences": [preference],
    })  # fmt: skip


async def bulk(b: Business, template: dict[str, Any], **more: Any) -> list[tuple[str, Any]]:
    answer = await b.post("/initiate-bulk", {"numbers": [ANA, BEN], "template": template, **more})
    assert answer.status == 200, answer.json
    return [(line["status"], line.get("error_code")) for line in answer.json["results"]]


async def figures(b: Business, template: dict[str, Any]) -> tuple[Any, ...]:
    asked = {"numbers": [ANA, BEN], "template": template, "dry_run": True}
    found = (await b.post("/initiate-bulk", asked)).json
    return found["opted_out"], found["would_send"], found["category"]


async def test_a_bulk_of_marketing_leaves_them_out(shop: Business) -> None:
    assert await figures(shop, OFFER) == (1, 1, "MARKETING")
    assert await bulk(shop, OFFER) == [("sent", None), ("failed", "opted_out")]
    assert [sent.to for sent in shop.meta.sent] == [ANA]


@pytest.mark.parametrize(("template", "category"), [(HELLO, "UTILITY"), (CODE, "AUTHENTICATION")])
async def test_a_bulk_of_another_category_reaches_them(shop: Business, template: dict[str, Any], category: str) -> None:
    assert await figures(shop, template) == (0, 2, category)
    assert await bulk(shop, template) == [("sent", None)] * 2
    assert sorted(sent.to for sent in shop.meta.sent) == [ANA, BEN]


async def test_single_messages_are_held_to_the_same(shop: Business) -> None:
    refused = await shop.post("/messages", {"number": BEN, "template": OFFER})
    assert refused.status == 422
    assert refused.json["error"]["details"][0]["reason"] == "opted_out"
    assert refused.json["error"]["message"].startswith("this person opted out of marketing")
    assert (await shop.get("/outbox")).json["count"] == 0
    for template in (HELLO, CODE):
        assert (await shop.post("/messages", {"number": BEN, "template": template})).json["status"] == "sent"
    await shop.meta.say("hello", from_=BEN)
    assert (await shop.post("/messages", {"number": BEN, "text": "We open at nine."})).json["status"] == "sent"


async def test_a_template_of_which_meta_cannot_say_what_it_is_counts_as_marketing(wabot: Business) -> None:
    await stop_marketing(wabot)
    assert await figures(wabot, HELLO) == (1, 1, None)
    assert await bulk(wabot, HELLO) == [("sent", None), ("failed", "opted_out")]
    refused = await wabot.post("/messages", {"number": BEN, "template": HELLO})
    assert refused.json["error"]["details"][0]["reason"] == "opted_out"
    assert "Meta cannot be asked" in refused.json["error"]["message"]


async def test_the_category_is_known_also_where_templates_are_not_checked(tmp_path: Path) -> None:
    async with business(tmp_path / "data", whatsapp=WABA, bulk={"check_templates": False}) as b:
        await stop_marketing(b)
        assert await figures(b, HELLO) == (0, 2, "UTILITY")
        assert await bulk(b, HELLO) == [("sent", None)] * 2
        assert await bulk(b, OFFER) == [("sent", None), ("failed", "opted_out")]


async def test_what_was_queued_before_is_held_to_it_also_after_a_restart(tmp_path: Path) -> None:
    hours = {"whatsapp": WABA, "api": {"wait_seconds": 0}}
    async with business(tmp_path / "data", **hours) as b:
        batches = [
            (await b.post("/initiate-bulk", {"numbers": [ANA, BEN], "template": each, "send_at": at(3)})).json[
                "batch_id"
            ]
            for each in (OFFER, HELLO)
        ]
        await stop_marketing(b)
    async with business(tmp_path / "data", meta=b.meta, **hours) as b:
        for each in batches:
            await eventually(lambda each=each: settled(b, each))
        failed = (await b.get(f"/batches/{batches[0]}")).json["results"][1]
        assert (failed["number"], failed["error_code"]) == (BEN, "opted_out")
        names = sorted((sent.to, sent.payload["template"]["name"]) for sent in b.meta.sent)
        assert names == [(ANA, "hello_world"), (ANA, "invitation"), (BEN, "hello_world")]


async def test_who_stops_it_while_a_send_is_queued_gets_no_marketing(tmp_path: Path) -> None:
    async with business(tmp_path / "data", whatsapp=WABA, api={"wait_seconds": 0}) as b:
        b.meta.behaviour.always(EVA, error(131042))  # no payment method: the lane pauses
        await b.post("/messages", {"number": EVA, "template": HELLO})
        await eventually(lambda: has_problems(b))
        answers = [await b.post("/initiate-bulk", {"numbers": [BEN], "template": each}) for each in (OFFER, HELLO)]
        await stop_marketing(b)
        b.meta.behaviour.clear()
        await b.post("/lanes/send/probe")
        for answer in answers:
            await eventually(lambda answer=answer: settled(b, answer.json["batch_id"]))
        assert [sent.payload["template"]["name"] for sent in b.meta.sent if sent.to == BEN] == ["hello_world"]


async def has_problems(b: Business) -> bool:
    return bool((await b.get("/readyz")).json["problems"])


@pytest.mark.parametrize(
    ("template", "words"),
    [("invitation", ["Send one message", "Opted out 1"]), ("sample_shipping_confirmation", ["Send 2 messages"])],
)
async def test_the_console_counts_as_the_api_does(shop: Business, template: str, words: list[str]) -> None:
    async with visitor(shop) as v:
        table = f"number,1\n+{ANA},Ana\n+{BEN},Ben\n"
        page = await v.post("/console/batches/new", {"table": table, "template": f"{template}/en_US", "send_at": ""})
        assert [word for word in words if word not in page.text] == []


async def test_the_consoles_figures_add_up(shop: Business) -> None:
    shop.meta.behaviour.always(EVA, error(131026))
    await shop.post("/messages", {"number": EVA, "template": HELLO})
    async with visitor(shop) as v:
        table = f"number,1\n+{ANA},Ana\n+{ANA},Ana\n+{BEN},Ben\n+{EVA},Eva\n12,Nobody\n"
        page = await v.post("/console/batches/new", {"table": table, "template": "invitation/en_US", "send_at": ""})
    figures = [
        "Would be sent 1",
        "Lines 5",
        "Given twice 1",
        "No phone number 1",
        "Opted out 1",
        "Not reachable by Meta before 1",
    ]
    assert [figure for figure in figures if figure not in page.text] == []
