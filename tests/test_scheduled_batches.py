"""A bulk request may only be tried (`dry_run`), or be sent later (`send_at`)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from tests.process import eventually
from tests.test_template_list import WABA


def at(seconds: float, *, hours: float = 5.5) -> str:
    """The time in so many seconds, as a clock with this offset shows it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours))).isoformat()


async def state(b: Business, batch_id: str) -> str:
    answer = await b.get(f"/batches/{batch_id}")
    assert answer.status == 200
    return str(answer.json["state"])


async def test_a_dry_run_says_what_would_be_sent_and_queues_nothing(tmp_path: Path) -> None:
    fast = {"messages_per_second": 4}
    async with business(tmp_path / "data", whatsapp=WABA, delivery=fast) as b:
        await b.post(f"/contacts/{EVA}/opt-out")
        await b.meta.say("hello", from_=BEN)
        preference = {"wa_id": BEN, "category": "marketing_messages", "value": "stop", "timestamp": int(time.time())}
        await b.meta.news("user_preferences", {
            "metadata": {"phone_number_id": b.meta.phone_number_id}, "user_preferences": [preference],
        })  # fmt: skip
        given = [{"type": "body", "parameters": [{"type": "text", "text": "x"}]}]
        template = {"name": "invitation", "language": "en_US", "components": given}
        numbers = [ANA, "+" + ANA, EVA, BEN, "12", "491711234568"]
        asked = {"numbers": numbers, "template": template, "dry_run": True}
        answer = await b.post("/initiate-bulk", asked, headers={"Idempotency-Key": "k"})
        assert (answer.status, answer.json) == (200, {
            "total": 6, "duplicates": 1, "invalid": 1, "opted_out": 2, "unreachable": 0, "would_send": 2,
            "category": "MARKETING", "seconds": 0.5,
        })  # fmt: skip
        assert (await b.get("/batches")).json["count"] == 0
        real = await b.post("/initiate-bulk", {**asked, "dry_run": False}, headers={"Idempotency-Key": "k"})
        assert (real.json["successful"], sum(sent.to != BEN for sent in b.meta.sent)) == (3, 2)
        wrong = await b.post("/initiate-bulk", {**asked, "template": {"name": "no"}})
        assert wrong.json["error"]["details"][0]["reason"] == "unknown_template"


async def test_a_dry_run_knows_of_people_who_were_forgotten_and_no_category_without_meta(wabot: Business) -> None:
    await wabot.post(f"/contacts/{ANA}/opt-out")
    await wabot.ask("DELETE", f"/contacts/{ANA}")
    answer = await wabot.post("/initiate-bulk", {"numbers": [ANA, BEN], "dry_run": True})
    assert (answer.json["opted_out"], answer.json["would_send"], answer.json["category"]) == (1, 1, None)
    assert answer.json["seconds"] == 0


async def test_a_scheduled_batch_that_is_asked_for_again_after_its_time_is_the_same_batch(wabot: Business) -> None:
    asked = {"numbers": [ANA], "send_at": at(2)}
    first = await wabot.post("/initiate-bulk", asked, headers={"Idempotency-Key": "k"})
    assert first.status == 202
    await eventually(lambda: len(wabot.meta.sent) == 1)
    again = await wabot.post("/initiate-bulk", asked, headers={"Idempotency-Key": "k"})
    assert (again.status, again.json.get("batch_id")) == (200, first.json["batch_id"])
    assert len(wabot.meta.sent) == 1


async def test_a_scheduled_batch_leaves_when_its_time_has_come_also_after_a_restart(tmp_path: Path) -> None:
    async with business(tmp_path / "data") as b:
        begun, due = time.monotonic(), time.time() + 6
        answer = await b.post("/initiate-bulk", {"numbers": [ANA, BEN], "send_at": at(6)})
        assert (answer.status, answer.json["queued"], answer.json["state"]) == (202, 2, "scheduled")
        assert time.monotonic() - begun < 3, "it waited"
        batch_id = answer.json["batch_id"]
        assert (await b.get("/batches")).json["batches"][0]["state"] == "scheduled"
        other = await b.post("/messages", {"number": ANA, "template": {"name": "hello_world"}})
        assert other.json["status"] == "sent", "it waits behind what is not due"
        assert len(b.meta.sent) == 1
    async with business(tmp_path / "data", meta=b.meta) as b:
        assert await state(b, batch_id) == "scheduled"
        assert len(b.meta.sent) == 1
        await eventually(lambda: len(b.meta.sent) > 1)
        assert time.time() >= due, "it left too early"
        await eventually(lambda: len(b.meta.sent) == 3)
        await eventually(lambda: settled(b, batch_id))


async def settled(b: Business, batch_id: str) -> bool:
    return await state(b, batch_id) == "settled"


async def test_a_scheduled_batch_can_be_cancelled(wabot: Business) -> None:
    answer = await wabot.post("/initiate-bulk", {"numbers": [ANA, BEN], "send_at": at(3)})
    batch_id = answer.json["batch_id"]
    cancelled = await wabot.post(f"/batches/{batch_id}/cancel")
    assert (cancelled.status, cancelled.json["state"], cancelled.json["failed"]) == (200, "cancelled", 2)
    due = time.time() + 3.2
    await wabot.post("/initiate-bulk", {"numbers": [EVA], "send_at": at(3.2)})
    await eventually(lambda: len(wabot.meta.sent) > 0)
    assert time.time() >= due, "it left too early"
    assert [sent.to for sent in wabot.meta.sent] == [EVA]
    found = (await wabot.get(f"/batches/{batch_id}")).json
    assert {line["error_code"] for line in found["results"]} == {"cancelled"}


async def test_a_large_batch_is_scheduled_too_and_who_opts_out_meanwhile_gets_nothing(wabot: Business) -> None:
    numbers = [f"4917112{n:05}" for n in range(1000, 1600)]
    answer = await wabot.post("/initiate-bulk", {"numbers": numbers, "send_at": at(4)})
    assert (answer.status, answer.json["state"], answer.json["queued"]) == (202, "scheduled", 600)
    assert (await wabot.get("/outbox")).json["count"] == 0
    await wabot.post(f"/contacts/{numbers[0]}/opt-out")
    await eventually(lambda: settled(wabot, answer.json["batch_id"]))
    assert len(wabot.meta.sent) == 599


async def test_the_same_key_with_another_time_is_another_request(wabot: Business) -> None:
    when, key = at(60), {"Idempotency-Key": "k"}
    first = await wabot.post("/initiate-bulk", {"numbers": [ANA], "send_at": when}, headers=key)
    again = await wabot.post("/initiate-bulk", {"numbers": [ANA], "send_at": when}, headers=key)
    assert (again.status, again.json["batch_id"]) == (202, first.json["batch_id"])
    other = await wabot.post("/initiate-bulk", {"numbers": [ANA], "send_at": at(90)}, headers=key)
    assert other.status == 422


@pytest.mark.parametrize(
    "when",
    ["2027-03-01T09:00:00", "tomorrow", 1_800_000_000, "", "9999-12-31T23:59:59-23:59", at(-70), at(31 * 86400)],
    ids=["no offset", "words", "a number", "empty", "beyond", "past", "too far"],
)
async def test_a_time_that_makes_no_sense_is_refused(wabot: Business, when: Any) -> None:
    answer = await wabot.post("/initiate-bulk", {"numbers": [ANA], "send_at": when})
    assert answer.status == 422
    assert "send_at" in answer.json["error"]["message"]
    assert (await wabot.get("/batches")).json["count"] == 0


async def test_a_time_that_has_just_passed_means_now(wabot: Business) -> None:
    answer = await wabot.post("/initiate-bulk", {"numbers": [ANA], "send_at": at(-30, hours=-8)})
    assert answer.status == 202
    await eventually(lambda: len(wabot.meta.sent) == 1)


async def test_in_quiet_hours_bulk_waits_and_whoever_writes_is_answered(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    async with business(tmp_path / "data", bulk={"quiet_hours": hours}, api={"wait_seconds": 0}) as b:
        batch = (await b.post("/initiate-bulk", {"numbers": [ANA]})).json
        await b.meta.say("hello", from_=ANA)
        await eventually(lambda: len(b.meta.sent) == 1)
        sent = await b.post("/messages", {"number": ANA, "text": "Good evening"}, headers={"Prefer": "wait=5"})
        assert (sent.status, sent.json["status"]) == (200, "sent")
        (held,) = (await b.get("/outbox", params={"batch_id": batch["batch_id"]})).json["outbox"]
        assert (held["state"], held["why"]) == ("held", f"Is held: Quiet hours until {now + timedelta(hours=2):%H:%M}")
        assert await state(b, batch["batch_id"]) == "running"
        assert len(b.meta.sent) == 2
