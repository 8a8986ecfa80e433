"""/outbox, /batches, opt-outs, /metrics, /healthz and /readyz, as the contract has them."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from tests.web.shapes import refusal
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import error
from wabot.web.outbox import CSV_COLUMNS


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Business]:
    """wabot; what it sends to EVA stays in the outbox."""
    later = {"backoff_base_seconds": 60, "backoff_max_seconds": 60}
    async with business(tmp_path / "data", delivery=later) as b:
        b.meta.behaviour.always(EVA, error(131016))
        yield b


async def queue(b: Business, *numbers: str) -> dict[str, Any]:
    """A batch, as far as it got without waiting for what Meta does not take."""
    wait = "respond-async" if EVA in numbers else "wait=5"
    answer = await b.post("/initiate-bulk", {"numbers": list(numbers)}, headers={"Prefer": wait})
    return dict(answer.json)


async def tried(b: Business, count: int = 1) -> None:
    """Wait until sends came back from Meta and wait for another try."""
    await b.meta.until(lambda meta: len(meta.attempts) >= count)
    while any(lane["state"] == "running" for lane in (await b.get("/outbox")).json["outbox"]):
        await asyncio.sleep(0.01)


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


async def test_what_is_done_can_neither_be_tried_again_nor_cancelled(wabot: Business) -> None:
    outbox_id = (await queue(wabot, ANA))["results"][0]["outbox_id"]
    for verb in ("retry", "cancel"):
        assert "done" in refusal(await wabot.post(f"/outbox/{outbox_id}/{verb}"), 409)
    assert len(wabot.meta.attempts) == 1


async def test_a_batch_has_counts_and_results(patient: Business) -> None:
    batch = await queue(patient, ANA, "12", EVA, ANA)
    await tried(patient, 2)
    answer = await patient.get(f"/batches/{batch['batch_id']}")
    assert answer.status == 200
    results = answer.json["results"]
    assert {key: answer.json[key] for key in ("batch_id", "total", "successful", "failed", "queued")} == {
        "batch_id": batch["batch_id"], "total": 4, "successful": 2, "failed": 1, "queued": 1,
    }  # fmt: skip
    assert [(result["number"], result["status"]) for result in results] == [
        (ANA, "sent"), ("12", "failed"), (EVA, "queued"), (ANA, "sent"),
    ]  # fmt: skip


async def test_a_batch_comes_as_a_table_too(patient: Business) -> None:
    batch = await queue(patient, ANA, "12", EVA)
    await tried(patient, 2)
    answer = await patient.get(f"/batches/{batch['batch_id']}", params={"format": "csv"})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert list(table[0]) == list(CSV_COLUMNS)
    assert [(row["number"], row["status"], row["error_code"]) for row in table] == [
        (ANA, "sent", ""), ("12", "failed", "invalid_number"), (EVA, "queued", ""),
    ]  # fmt: skip
    assert table[0]["wamid"] == patient.meta.sent[0].wamid
    assert table[1]["error"] == "Invalid phone number"


@pytest.mark.parametrize(
    "evil",
    [
        "=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "\r=1", '=HYPERLINK("http://x","y")', "\n=1", "\r\n@x", " =1",
        "\u2028=1", "\ufeff=1", "\u200e-1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x", ";=1", "; -1", "\tx", "\n",
    ],
)  # fmt: skip
async def test_no_cell_of_a_table_is_a_formula(wabot: Business, evil: str) -> None:
    batch = await queue(wabot, evil, "12")
    answer = await wabot.get(f"/batches/{batch['batch_id']}", params={"format": "csv"})
    table = list(csv.reader(io.StringIO(answer.body.decode(), newline="")))
    assert table[1][0] == "'" + evil
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in table for cell in row)
    assert batch["results"][0]["number"] == evil  # what is read by a program stays what it was


@pytest.mark.parametrize(
    ("evil", "shown"),
    [("a;=1", "a;'=1"), ("a,-1", "a,'-1"), ("a\n\uff1d1", "a\n'\uff1d1"), ("a;b; @c", "a;b;' @c"), ("a-b=c", "a-b=c")],
)
async def test_nor_is_what_other_programs_take_for_a_cell(wabot: Business, evil: str, shown: str) -> None:
    batch = await queue(wabot, evil)
    answer = await wabot.get(f"/batches/{batch['batch_id']}", params={"format": "csv"})
    assert list(csv.reader(io.StringIO(answer.body.decode(), newline="")))[1][0] == shown


async def test_an_unknown_batch_or_format_is_refused(wabot: Business) -> None:
    batch = await queue(wabot, ANA)
    refusal(await wabot.get("/batches/nothing"), 404)
    refusal(await wabot.get(f"/batches/{batch['batch_id']}", params={"format": "xlsx"}), 422)


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
    undone = await wabot.post(f"/merges/{merge['id']}/undo")
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


async def test_healthz_says_that_the_process_lives(wabot: Business) -> None:
    answer = await wabot.get("/healthz")
    assert (answer.status, answer.json["status"]) == (200, "ok")


async def test_readyz_says_how_everything_is(wabot: Business) -> None:
    answer = await wabot.get("/readyz")
    assert answer.status == 200
    assert answer.json["journal"] == "ok"
    assert answer.json["lanes"] == {"reply": "running", "send": "running"}
    assert [answer.json[name] for name in ("mongo", "graph", "llm")] == ["ok", "unknown", "unknown"]
    await queue(wabot, ANA)
    assert (await wabot.get("/readyz")).json["graph"] == "ok"


async def test_trouble_at_meta_shows_and_does_not_make_us_unready(wabot: Business) -> None:
    wabot.meta.behaviour.always(ANA, error(190))
    await wabot.post("/initiate-bulk", {"numbers": [ANA]}, headers={"Prefer": "wait=0"})
    await wabot.meta.until(lambda meta: bool(meta.attempts))
    while (answer := await wabot.get("/readyz")).json["lanes"]["send"] != "paused":
        await asyncio.sleep(0.01)
    assert answer.status == 200
    assert answer.json["graph"] == "down"
    assert answer.json["paused"].keys() == {"send"}


async def test_a_lane_that_stopped_makes_us_unready(wabot: Business) -> None:
    lane = wabot.running.service._lanes  # the only way to break one
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
