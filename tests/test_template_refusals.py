"""What Meta would refuse about a template message is refused at once, and nothing is queued."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, Business, business
from tests.process import eventually
from tests.test_template_list import NAMED, WABA, replaced
from wabot.core import template_check
from wabot.core.templates import of_node
from wabot.sandbox.graph import Refusal
from wabot.sandbox.meta import Meta


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Business]:
    async with business(tmp_path / "data", whatsapp=WABA) as running:
        yield running


def body(*texts: str, **names: str) -> list[dict[str, Any]]:
    given = [{"type": "text", "text": text} for text in texts]
    given += [{"type": "text", "parameter_name": name, "text": text} for name, text in names.items()]
    return [{"type": "body", "parameters": given}]


def bulk(name: str = "invitation", language: str = "en_US", components: Any = ()) -> dict[str, Any]:
    return {
        "numbers": [ANA, BEN],
        "template": {"name": name, "language": language, "components": list(components)},
    }


async def refused(b: Business, value: dict[str, Any], path: str = "/initiate-bulk") -> list[dict[str, Any]]:
    answer = await b.post(path, value)
    assert answer.status == 422, answer.json
    assert b.meta.sent == []
    assert (await b.get("/batches")).json["count"] == (await b.get("/outbox")).json["count"] == 0
    details: list[dict[str, Any]] = answer.json["error"]["details"]
    assert answer.json["error"]["message"]
    return details


async def test_a_template_that_the_account_does_not_have_is_refused(shop: Business) -> None:
    (one,) = await refused(shop, bulk("nothing"))
    assert one["reason"] == "unknown_template"
    (one,) = await refused(shop, bulk("hello_world", "de"))
    assert one["reason"] == "unknown_template"
    assert "en_US" in one["message"]


async def test_a_template_that_is_not_approved_is_refused(shop: Business) -> None:
    await shop.meta.set_template("hello_world", "en_US", status="PAUSED")
    (one,) = await refused(shop, bulk("hello_world"))
    assert one["reason"] == "template_not_approved"
    assert "PAUSED" in one["message"]


async def test_wrong_parameters_are_refused_with_what_is_expected(shop: Business) -> None:
    (one,) = await refused(shop, bulk())
    assert one["reason"] == "wrong_parameters"
    assert one["expected"] == [{"component": "body", "type": "text", "position": 1}]
    assert "index" not in one
    ok = await shop.post("/initiate-bulk", bulk(components=body("Ana")))
    assert (ok.status, ok.json["successful"]) == (200, 2)


async def test_each_wrong_recipient_is_named_by_index_and_nothing_is_queued(shop: Business) -> None:
    people: list[dict[str, Any]] = [{"number": f"4917112{n:05}", "components": body("x")} for n in range(300)]
    for n in (7, 8, 200):
        people[n]["components"] = body()
    people[9].pop("components")
    asked = {"recipients": people, "template": {"name": "invitation", "language": "en_US"}}
    details = await refused(shop, asked)
    assert [one["index"] for one in details] == [7, 8, 9, 200]
    assert {one["reason"] for one in details} == {"wrong_parameters"}
    for one in people:
        one["components"] = []
    assert [one["index"] for one in await refused(shop, asked)] == list(range(100))


async def test_a_refusal_does_not_use_up_the_key_and_what_is_queued_is_not_refused_later(shop: Business) -> None:
    key = {"Idempotency-Key": "k1"}
    assert (await shop.post("/initiate-bulk", bulk(), headers=key)).status == 422
    good = bulk(components=body("Ana"))
    first = await shop.post("/initiate-bulk", good, headers=key)
    assert first.status == 200
    await shop.meta.set_template("invitation", "en_US", status="DISABLED")
    again = await shop.post("/initiate-bulk", good, headers=key)
    assert (again.status, again.json["batch_id"]) == (200, first.json["batch_id"])
    assert (await shop.post("/initiate-bulk", good, headers={"Idempotency-Key": "k2"})).status == 422


async def test_meta_is_asked_afresh_before_a_refusal(shop: Business) -> None:
    assert (await shop.get("/templates")).status == 200
    shop.meta.templates.add("new_one", "en_US", "UTILITY", [{"type": "BODY", "text": "New"}])
    answer = await shop.post("/initiate-bulk", bulk("new_one"))
    assert (answer.status, answer.json["successful"]) == (200, 2)


async def test_a_single_message_is_refused_in_the_same_way(shop: Business) -> None:
    template = {"name": "invitation", "language": "en_US"}
    (one,) = await refused(shop, {"number": ANA, "template": template}, "/messages")
    assert one["reason"] == "wrong_parameters"
    (one,) = await refused(shop, {"number": ANA, "template": {"name": "no"}}, "/messages")
    assert one["reason"] == "unknown_template"
    sent = await shop.post("/messages", {"number": ANA, "template": {**template, "components": body("Ana")}})
    assert (sent.status, sent.json["status"]) == (200, "sent")


async def test_nothing_is_refused_where_meta_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_right(_meta: Meta, _call: Any) -> dict[str, Any]:
        raise Refusal(200, message="(#200) You do not have the necessary permissions")

    for place, sections in (
        ("none", {}), ("off", {"whatsapp": WABA, "bulk": {"check_templates": False}}), ("right", {"whatsapp": WABA}),
    ):  # fmt: skip
        if place == "right":
            replaced(monkeypatch, no_right)
        async with business(tmp_path / place, **sections) as b:  # type: ignore[arg-type]
            answer = await b.post("/initiate-bulk", bulk("nothing"))
            assert (answer.status, answer.json["failed"]) == (200, 2), place


TEMPLATE = of_node(
    {"name": "x", "language": "de", "status": "APPROVED", "components": NAMED, "parameter_format": "NAMED"}
)
PICTURE = {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x.example/a.png"}}]}
BUTTON = {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "42"}]}
COUPON = {
    "type": "button", "sub_type": "copy_code", "index": 2,
    "parameters": [{"type": "coupon_code", "coupon_code": "X1"}],
}  # fmt: skip
TEXTS = body(order="1", first_name="Ana")


@pytest.mark.parametrize(
    ("components", "complaint"),
    [
        ([PICTURE, *TEXTS, BUTTON, COUPON], None),
        ([{**PICTURE, "type": "HEADER"}, *TEXTS, {**BUTTON, "index": 1}, COUPON], None),
        ([*TEXTS, BUTTON, COUPON], "header"),
        (
            [{"type": "header", "parameters": [{"type": "video", "video": {"id": "1"}}]}, *TEXTS, BUTTON, COUPON],
            "image",
        ),
        ([PICTURE, *body("1", "Ana"), BUTTON, COUPON], "first_name"),
        ([PICTURE, *body(order="1"), BUTTON, COUPON], "body"),
        ([PICTURE, *body(order="", first_name="x"), BUTTON, COUPON], "body"),
        ([PICTURE, *TEXTS, COUPON], "button 1"),
        ([PICTURE, *TEXTS, BUTTON], "button 2"),
        ([PICTURE, *TEXTS, BUTTON, COUPON, {**BUTTON, "index": 3}], "button 3"),
        ([PICTURE, *TEXTS, BUTTON, COUPON, {**BUTTON, "index": "²"}], "button"),
    ],
)
def test_names_media_and_buttons_are_judged(components: list[dict[str, Any]], complaint: str | None) -> None:
    assert TEMPLATE is not None
    found = template_check.of_components(TEMPLATE, components)
    assert (found is None) if complaint is None else (found is not None and complaint in found.message)


async def test_ten_thousand_recipients_are_judged_quickly() -> None:
    assert TEMPLATE is not None
    started = time.process_time()
    assert template_check.of_recipients(TEMPLATE, [[PICTURE, *TEXTS, BUTTON, COUPON]] * 10_000) == []
    assert time.process_time() - started < 2


async def later(b: Business) -> str:
    """A batch that is queued in a second."""
    at = datetime.now(UTC) + timedelta(seconds=1)
    queued = await b.post("/initiate-bulk", {**bulk(components=body("Ana")), "send_at": at.isoformat()})
    assert queued.status == 202
    return str(queued.json["batch_id"])


async def results(b: Business, batch_id: str) -> list[dict[str, Any]]:
    return list((await b.get(f"/batches/{batch_id}")).json["results"])


async def test_a_template_that_is_deleted_before_a_batch_leaves_fails_each_send_with_metas_words(
    shop: Business,
) -> None:
    batch_id = await later(shop)
    template = shop.meta.templates.find("invitation", "en_US")
    assert template is not None
    shop.meta.templates.remove(template)

    async def holds() -> bool:
        return all(one["status"] == "failed" for one in await results(shop, batch_id))

    await eventually(holds)
    assert {one["error_code"] for one in await results(shop, batch_id)} == {132001}
    (first, second) = (await shop.get("/outbox", params={"batch_id": batch_id})).json["outbox"]
    assert "does not exist" in first["error"]
    assert first["error"] == second["error"]


async def test_a_template_that_is_paused_before_a_batch_leaves_holds_it_until_meta_approves_it(shop: Business) -> None:
    batch_id = await later(shop)
    await shop.meta.set_template("invitation", "en_US", status="PAUSED")

    async def held() -> bool:
        outbox = (await shop.get("/outbox", params={"batch_id": batch_id})).json["outbox"]
        return [one["state"] for one in outbox] == ["held", "held"] and "paused" in outbox[0]["why"]

    await eventually(held)
    await shop.meta.set_template("invitation", "en_US", status="APPROVED")
    await eventually(lambda: len(shop.meta.sent) == 2)
