"""/outbox, /metrics, /healthz and /readyz, as the contract has them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from tests.web.shapes import queue, refusal, tried
from wabot.adapters.canned import Canned
from wabot.core.exceptions import AssistantFailed
from wabot.sandbox.behaviour import Answer, Receipts, accept, error


async def test_a_send_is_shown_with_what_became_of_it(wabot: Business) -> None:
    batch = await queue(wabot, ANA)
    outbox_id = batch["results"][0]["outbox_id"]
    listed = (await wabot.get("/outbox")).json
    assert listed["count"] == 1
    send = listed["outbox"][0]
    assert (send["outbox_id"], send["number"], send["state"]) == (outbox_id, ANA, "done")
    assert (send["batch_id"], send["message_id"]) == (batch["batch_id"], wabot.meta.sent[0].wamid)
    one = await wabot.get(f"/outbox/{outbox_id}")
    assert one.status == 200
    assert one.json["content"]["template"]["name"] == "hello_world"
    assert one.json["response"] == batch["results"][0]["response"]
    assert one.json.items() >= {key: send[key] for key in ("outbox_id", "number", "state", "batch_id")}.items()


async def test_the_outbox_is_listed_newest_first_and_filtered(patient: Business) -> None:
    first, second = await queue(patient, ANA, BEN), await queue(patient, BEN, EVA)
    await tried(patient, 4)

    async def listed(**query: Any) -> list[tuple[str, str]]:
        answer = await patient.get("/outbox", params=query)
        assert answer.status == 200
        assert answer.json["count"] == len(answer.json["outbox"])
        return [(send["number"], send["state"]) for send in answer.json["outbox"]]

    assert await listed() == [(EVA, "queued"), (BEN, "done"), (BEN, "done"), (ANA, "done")]
    assert await listed(state="queued") == [(EVA, "queued")]
    assert await listed(number=f"+{BEN}") == [(BEN, "done")] * 2
    assert await listed(batch_id=first["batch_id"]) == [(BEN, "done"), (ANA, "done")]
    assert await listed(batch_id=second["batch_id"], number=BEN, state="done") == [(BEN, "done")]
    assert await listed(batch_id="nothing") == []
    assert await listed(number="4915112345678") == []
    assert await listed(limit=1) == [(EVA, "queued")]


async def test_pages_follow_one_another_and_lose_nothing(wabot: Business) -> None:
    numbers = [f"9198{n:08d}" for n in range(7000, 7010)]
    await queue(wabot, *numbers)
    shown: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = (await wabot.get("/outbox", params=query)).json
        shown += [send["number"] for send in page["outbox"]]
        if "next_cursor" not in page:
            break
        query["cursor"] = page["next_cursor"]
    assert shown == numbers[::-1]


@pytest.mark.parametrize(
    "query",
    [
        {"state": "lost"}, {"limit": "0"}, {"limit": "1001"}, {"limit": "-1"}, {"limit": "x"}, {"number": "12"},
        {"kind": "letter"}, {"message": "lost"}, {"kind": "reply", "message": "unread"},
        {"kind": "event", "batch_id": "any"},
        {"cursor": "junk"}, {"cursor": "-"}, {"cursor": "x-1"}, {"cursor": "1"}, {"cursor": "x" * 101}, {"page": "2"},
    ],
    ids=str,
)  # fmt: skip
async def test_a_listing_that_makes_no_sense_is_refused(wabot: Business, query: dict[str, str]) -> None:
    refusal(await wabot.get("/outbox", params=query), 422)


@pytest.mark.parametrize(
    "tail", ["-0", "--1", "-1x", "-" + "9" * 19, "-" + "9" * 5000, "-٣", "-1.5", "- 1", "-+1", "-01"]
)
async def test_an_id_that_is_none_is_unknown(wabot: Business, tail: str) -> None:
    outbox_id = wabot.journal.name + tail
    for method, path in (("GET", ""), ("POST", "/retry"), ("POST", "/cancel")):
        refusal(await wabot.ask(method, f"/outbox/{outbox_id}{path}"), 404)
    refusal(await wabot.get("/outbox", params={"cursor": outbox_id[:200]}), 422)


async def test_an_id_of_another_journal_is_unknown(wabot: Business) -> None:
    await queue(wabot, ANA)
    for outbox_id in ("zzzzzzzz-1", "-1", "1", f"{wabot.journal.name}-77", wabot.journal.name):
        refusal(await wabot.get(f"/outbox/{outbox_id}"), 404)


async def test_a_reply_is_not_in_the_outbox_but_what_comes_of_it_is(wabot: Business) -> None:
    await wabot.meta.say("Hi", from_=ANA)
    await wabot.meta.until(lambda meta: bool(meta.sent))
    sends = (await wabot.get("/outbox")).json["outbox"]
    assert [send["number"] for send in sends] == [ANA]


async def test_replies_that_are_owed_are_listed_with_why_they_wait(tmp_path: Path) -> None:
    async with business(tmp_path / "data", assistant={"quiet_seconds": 60}) as wabot:
        await wabot.meta.say("Hi", from_=ANA)
        await wabot.meta.say("Hi", from_=BEN, user_id="IN.7")
        listed = (await wabot.get("/outbox", params={"kind": "reply"})).json
        assert listed["count"] == 2
        newest, reply = listed["outbox"]
        assert (newest["number"], newest["bsuid"]) == (BEN, "IN.7")
        assert (reply["kind"], reply["number"], reply["state"], reply["attempts"]) == ("reply", ANA, "queued", 0)
        assert reply["why"] == "Quiet window: the person may still be writing"
        assert reply["due_at"] > reply["created_at"]
        assert (reply["error"], reply["settled_at"]) == (None, None)
        assert (await wabot.get(f"/outbox/{reply['outbox_id']}")).json == reply
        refusal(await wabot.post(f"/outbox/{reply['outbox_id']}/cancel"), 404)
        page = (await wabot.get("/outbox", params={"kind": "reply", "limit": 1})).json
        rest = await wabot.get("/outbox", params={"kind": "reply", "cursor": page["next_cursor"]})
        assert [job["outbox_id"] for job in rest.json["outbox"]] == [reply["outbox_id"]]
        assert (await wabot.get("/outbox", params={"kind": "reply", "number": BEN})).json["count"] == 1


async def test_a_reply_that_a_model_does_not_give_says_what_the_model_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> str:
        raise AssistantFailed("the model refuses the key")

    monkeypatch.setattr(Canned, "answer", refuse)
    later = {"backoff_base_seconds": 60, "backoff_max_seconds": 60}
    async with business(tmp_path / "data", delivery=later, first_contact={"answer": "ai"}) as wabot:
        await wabot.meta.say("Hi", from_=ANA)
        while not (reply := (await wabot.get("/outbox", params={"kind": "reply"})).json["outbox"][0])["error"]:
            await asyncio.sleep(0.01)
        assert "the model refuses the key" in reply["why"]
        assert (reply["state"], reply["attempts"]) == ("queued", 1)


async def test_what_was_answered_is_listed_by_its_state_and_is_owed_no_more(wabot: Business) -> None:
    await wabot.meta.say("Hi", from_=ANA)
    await wabot.meta.until(lambda meta: bool(meta.sent))
    while (await wabot.get("/outbox", params={"kind": "reply"})).json["count"]:
        await asyncio.sleep(0.01)
    (reply,) = (await wabot.get("/outbox", params={"kind": "reply", "state": "done"})).json["outbox"]
    assert (reply["number"], reply["why"]) == (ANA, None)


async def test_sends_are_listed_by_what_became_of_them_at_the_customers(tmp_path: Path) -> None:
    async with business(tmp_path / "data") as wabot:
        wabot.meta.behaviour.always(ANA, accept(receipts=["sent"]))
        wabot.meta.behaviour.always(BEN, accept(receipts=["sent", "delivered"]))
        wabot.meta.behaviour.always(EVA, accept(receipts=["sent", "delivered", "read"]))
        await queue(wabot, ANA, BEN)
        await queue(wabot, EVA)

        async def numbers(fate: str) -> set[str]:
            return {send["number"] for send in (await wabot.get("/outbox", params={"message": fate})).json["outbox"]}

        while await numbers("unread") != {ANA, BEN} or await numbers("undelivered") != {ANA}:
            await asyncio.sleep(0.01)


async def test_a_queued_send_can_be_cancelled_once(patient: Business) -> None:
    outbox_id = (await queue(patient, EVA))["results"][0]["outbox_id"]
    await tried(patient)
    answer = await patient.post(f"/outbox/{outbox_id}/cancel")
    assert (answer.status, answer.json["state"], answer.json["error_code"]) == (200, "cancelled", "cancelled")
    assert "cancelled" in refusal(await patient.post(f"/outbox/{outbox_id}/cancel"), 409)
    batch = (await patient.get(f"/batches/{answer.json['batch_id']}")).json
    assert (batch["queued"], batch["failed"]) == (0, 1)
    assert batch["results"][0]["error_code"] == "cancelled"


async def test_a_failed_send_can_be_tried_again(wabot: Business) -> None:
    wabot.meta.behaviour.script(BEN, [error(131030)])
    batch = await queue(wabot, BEN)
    assert batch["failed"] == 1
    outbox_id = batch["results"][0]["outbox_id"]
    answer = await wabot.post(f"/outbox/{outbox_id}/retry")
    assert (answer.status, answer.json["outbox_id"]) == (200, outbox_id)
    await wabot.meta.until(lambda meta: len(meta.told) == 3)
    assert (await wabot.get(f"/outbox/{outbox_id}")).json["state"] == "done"
    assert (await wabot.get(f"/batches/{batch['batch_id']}")).json["successful"] == 1


async def test_failed_sends_are_tried_again_in_bulk_and_what_may_arrive_twice_is_left(wabot: Business) -> None:
    wabot.meta.behaviour.script(ANA, [error(131030)])
    wabot.meta.behaviour.script(BEN, [error(132012)])
    wabot.meta.behaviour.always(EVA, Answer(cut=True, receipts=Receipts(())))
    batch = await queue(wabot, ANA, BEN)
    other = await queue(wabot, EVA)
    while (await wabot.get("/outbox", params={"number": EVA})).json["outbox"][0]["state"] != "in_doubt":
        await asyncio.sleep(0.01)
    answer = await wabot.post("/outbox/retry", {"batch_id": batch["batch_id"], "error_code": "131030"})
    assert (answer.status, answer.json) == (200, {"retried": 1, "left": 0})
    assert (await wabot.post("/outbox/retry", {"error_code": 132012})).json == {"retried": 1, "left": 0}
    await wabot.meta.until(lambda meta: len(meta.sent) == 2)
    assert (await wabot.post("/outbox/retry", {"batch_id": other["batch_id"]})).json["retried"] == 0
    assert (await wabot.get(f"/batches/{batch['batch_id']}")).json["failed"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"batch": "b"}, {"may_repeat": "yes"}, {"may_repeat": 1}, {"may_repeat": None}, {"batch_id": ""},
        {"batch_id": 7}, {"error_code": ""}, {"error_code": True}, {"error_code": 1.5}, {"error_code": [131026]},
        {"error_code": 2**63}, {"error_code": "9" * 19}, {"number": ANA}, {"state": "failed"},
    ],
    ids=str,
)  # fmt: skip
async def test_a_bulk_retry_that_makes_no_sense_is_refused(wabot: Business, body: dict[str, Any]) -> None:
    refusal(await wabot.post("/outbox/retry", body), 422)


async def test_a_bulk_retry_of_nothing_is_no_error(wabot: Business) -> None:
    for body in ({}, {"batch_id": "nothing"}, {"error_code": None, "batch_id": None}, {"error_code": "9" * 18}):
        assert (await wabot.post("/outbox/retry", body)).json == {"retried": 0, "left": 0}


async def test_what_is_done_can_neither_be_tried_again_nor_cancelled(wabot: Business) -> None:
    outbox_id = (await queue(wabot, ANA))["results"][0]["outbox_id"]
    for verb in ("retry", "cancel"):
        assert "done" in refusal(await wabot.post(f"/outbox/{outbox_id}/{verb}"), 409)
    assert len(wabot.meta.attempts) == 1


async def test_healthz_says_that_the_process_lives(wabot: Business) -> None:
    answer = await wabot.get("/healthz")
    assert (answer.status, answer.json["status"]) == (200, "ok")


async def test_readyz_says_how_everything_is(wabot: Business) -> None:
    answer = await wabot.get("/readyz")
    assert answer.status == 200
    assert answer.json["journal"] == "ok"
    assert answer.json["lanes"] == {"reply": "running", "send": "running"}
    assert [answer.json[name] for name in ("mongo", "graph", "llm")] == ["embedded", "unknown", "unknown"]
    await queue(wabot, ANA)
    assert (await wabot.get("/readyz")).json["graph"] == "ok"


async def test_trouble_at_meta_shows_and_does_not_make_us_unready(wabot: Business) -> None:
    wabot.meta.behaviour.always(ANA, error(190))
    await wabot.post("/initiate-bulk", {"numbers": [ANA]}, headers={"Prefer": "wait=0"})
    await wabot.meta.until(lambda meta: bool(meta.attempts))
    while (answer := await wabot.get("/readyz")).json["lanes"]["send"] != "paused":
        await asyncio.sleep(0.01)
    assert answer.status == 200
    assert answer.json["graph"] == "ok", "it answers: the token is bad, not Graph"
    assert answer.json["paused"].keys() == {"send"}


async def test_a_lane_that_stopped_makes_us_unready(wabot: Business) -> None:
    lane = wabot.running.account.service._lanes  # the only way to break one
    for one in lane.values():
        await one.drain(0)
    answer = await wabot.get("/readyz")
    refusal(answer, 503)
    assert answer.headers["Retry-After"]
    assert answer.json["ready"] is False
    assert answer.json["journal"] == "ok"
    assert answer.json["lanes"] == {"reply": "stopped", "send": "stopped"}


async def test_metrics_are_prometheus_text(wabot: Business) -> None:
    await queue(wabot, ANA)
    answer = await wabot.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    lines = answer.body.decode().splitlines()
    assert 'wabot_jobs_settled_total{kind="send",state="done"} 1.0' in lines
    assert 'wabot_lane_up{lane="send",state="running"} 1.0' in lines
    for name in (
        "wabot_job_seconds_count", "wabot_llm_seconds_count", "wabot_jobs_open", "wabot_jobs_oldest_seconds",
        "wabot_archive_lag_messages", "wabot_journal_bytes", "wabot_journal_commit_seconds",
    ):  # fmt: skip
        assert any(line.startswith(name) for line in lines), name
    assert ANA not in answer.body.decode()
