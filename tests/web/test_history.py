"""POST /get and /get-bulk, as the contract has them."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from tests.business import ANA, BEN, EVA, Business, business
from tests.mongo_server import mongo_server
from tests.web.shapes import refusal
from wabot.adapters import mongo
from wabot.core import answer_size, json_limits
from wabot.journal import history
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import error
from wabot.web import history as web_history
from wabot.web.answers import Encoded

NOBODY = "4915112345678"
SILENT = {"answer": "ai"}


async def said(b: Business, count: int, person: str = ANA) -> list[str]:
    """`count` stickers, one second apart, the newest now: the ids, oldest first. Nobody answers to a reaction."""
    now = int(time.time())
    ids = [f"wamid.{person}-{n}" for n in range(count)]
    for n, wamid in enumerate(ids):
        reaction = payloads.reaction("wamid.other", f"{n}")
        assert (await b.meta.say(reaction, from_=person, wamid=wamid, timestamp=now - count + n))[1] == 200
    return ids


async def test_an_inbound_message_has_every_field_of_the_contract(wabot: Business) -> None:
    now = int(time.time())
    wamid, _ = await wabot.meta.say("Hello there", from_=ANA, timestamp=now)
    answer = await wabot.post("/get", {"number": "+" + ANA})
    assert answer.status == 200
    message = answer.json["messages"][-1]
    raw = message.pop("raw")
    assert (raw["id"], raw["text"]) == (wamid, {"body": "Hello there"})
    fields = ("id", "from", "to", "timestamp", "type", "body", "direction")
    assert {field: message[field] for field in fields} == {
        "id": wamid, "from": ANA, "to": wabot.meta.business_number, "timestamp": str(now), "type": "text",
        "body": "Hello there", "direction": "in",
    }  # fmt: skip
    assert "_id" not in message
    assert not answer.json.keys() - {"count", "messages"}


async def test_an_outbound_message_has_them_too_with_its_status_and_error(wabot: Business) -> None:
    before = int(time.time())
    await wabot.post("/initiate-bulk", {"numbers": [ANA]})
    await wabot.meta.until(lambda meta: len(meta.told) == 3)
    message = (await wabot.post("/get", {"number": ANA})).json["messages"][0]
    assert message["id"] == wabot.meta.sent[0].wamid
    assert message["to"] == ANA
    assert isinstance(message["from"], str)
    assert message["from"]
    assert isinstance(message["timestamp"], str)
    assert before <= int(message["timestamp"]) <= time.time() + 1
    assert (message["type"], message["direction"]) == ("template", "out")
    assert isinstance(message["body"], str)
    assert message["raw"]["template"]["name"] == "hello_world"
    assert message["status"] == "read"
    assert message["error"] is None


async def test_a_message_that_meta_took_and_failed_to_deliver_says_why(wabot: Business) -> None:
    await wabot.post("/initiate-bulk", {"numbers": ["919876540001"]})
    await wabot.meta.until(lambda meta: bool(meta.told))
    message = (await wabot.post("/get", {"number": "919876540001", "include": ["failed"]})).json["messages"][0]
    assert message["status"] == "failed"
    assert isinstance(message["error"], str)
    assert message["error_code"] == 131026


async def test_messages_come_newest_first_by_metas_clock(wabot: Business) -> None:
    ids = await said(wabot, 4)
    late = "wamid.late"
    await wabot.meta.say(payloads.reaction("wamid.x"), from_=ANA, wamid=late, timestamp=time.time() - 3600)
    messages = (await wabot.post("/get", {"number": ANA})).json["messages"]
    assert [message["id"] for message in messages] == [*reversed(ids), late]


@pytest.mark.parametrize(("limit", "count"), [(None, 5), (0, 5), (1, 1), (3, 3), (5, 5), (20, 5)])
async def test_limit_bounds_the_answer_and_nothing_or_0_means_all(
    wabot: Business, limit: int | None, count: int
) -> None:
    ids = await said(wabot, 5)
    answer = await wabot.post("/get", {"number": ANA} | ({} if limit is None else {"limit": limit}))
    assert answer.json["count"] == count
    assert [message["id"] for message in answer.json["messages"]] == ids[::-1][:count]


async def test_what_was_acknowledged_is_in_the_very_next_answer(wabot: Business) -> None:
    for n in range(20):
        wamid, status = await wabot.meta.say(payloads.reaction("wamid.x"), from_=ANA, wamid=f"wamid.{n}")
        assert status == 200
        messages = (await wabot.post("/get", {"number": ANA, "limit": 1})).json["messages"]
        assert messages[0]["id"] == wamid


async def test_messages_not_accepted_are_shown_only_where_they_are_asked_for(tmp_path: Path) -> None:
    async with business(tmp_path, delivery={"backoff_base_seconds": 60, "backoff_max_seconds": 60}) as b:
        b.meta.behaviour.script(ANA, [error(131030), error(131016)])
        assert (await b.post("/initiate-bulk", {"numbers": [ANA]})).json["failed"] == 1
        queued = await b.post("/initiate-bulk", {"numbers": [ANA]}, headers={"Prefer": "respond-async"})
        assert queued.json["queued"] == 1

        async def shown(*include: str) -> list[tuple[str, Any]]:
            answer = await b.post("/get", {"number": ANA, "include": list(include)})
            return [(message["status"], message["id"]) for message in answer.json["messages"]]

        assert await shown() == []
        assert await shown("failed") == [("failed", None)]
        assert await shown("queued") == [("queued", None)]
        assert await shown("queued", "failed") == [("queued", None), ("failed", None)]
        failed = (await b.post("/get", {"number": ANA, "include": ["failed"]})).json["messages"][0]
        assert isinstance(failed["error"], str)
        assert failed["error_code"] == 131030


async def test_an_unknown_number_has_no_messages(wabot: Business) -> None:
    answer = await wabot.post("/get", {"number": NOBODY})
    assert answer.status == 200
    assert answer.json == {"count": 0, "messages": []}


async def test_somebody_without_a_number_is_found_by_their_user_id(wabot: Business) -> None:
    user_id = "IN.AbCd1234567890"
    wamid, _ = await wabot.meta.say("Hi", user_id=user_id)
    answer = await wabot.post("/get", {"number": user_id})
    assert answer.json["messages"][-1]["id"] == wamid
    assert answer.json["messages"][-1]["from"] == user_id
    bulk = (await wabot.post("/get-bulk", {"numbers": [user_id]})).json["results"][0]
    assert (bulk["number"], bulk["success"]) == (user_id, True)


@pytest.mark.parametrize("number", ["12", "", "hello", "+", "999999999999999", "IN.", "91921659821٠", "9" * 40])
async def test_an_invalid_number_is_refused(wabot: Business, number: str) -> None:
    assert refusal(await wabot.post("/get", {"number": number}), 422) == "Invalid phone number"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"number": None},
        {"number": [ANA]},
        {"number": 919216598210.5},
        {"number": ANA, "limit": -1},
        {"number": ANA, "limit": "many"},
        {"number": ANA, "limit": 1.5},
        {"number": ANA, "limit": 10**30},
        {"number": ANA, "limit": None},
        {"number": ANA, "limit": True},
        {"number": ANA, "include": ["sent"]},
        {"number": ANA, "include": "failed"},
        {"number": ANA, "offset": 3},
    ],
    ids=str,
)
async def test_a_question_that_makes_no_sense_is_refused(wabot: Business, value: dict[str, Any]) -> None:
    refusal(await wabot.post("/get", value), 422)


async def test_many_histories_come_in_one_answer(wabot: Business) -> None:
    ana, ben = await said(wabot, 3, ANA), await said(wabot, 1, BEN)
    answer = await wabot.post("/get-bulk", {"numbers": ["+91 92165-98210", "12", NOBODY, BEN], "limit": 2})
    assert answer.status == 200
    results = answer.json.pop("results")
    assert answer.json == {"total_numbers": 4, "successful": 2, "failed": 2, "total_messages": 3}
    shown = [[message["id"] for message in result.pop("messages")] for result in results]
    assert shown == [ana[::-1][:2], [], [], ben]
    assert results == [
        {"number": ANA, "success": True, "count": 2},
        {"number": "12", "success": False, "count": 0, "error": "Invalid phone number"},
        {"number": NOBODY, "success": False, "count": 0, "error": "No messages found"},
        {"number": BEN, "success": True, "count": 1},
    ]


async def test_one_and_many_show_the_same_messages(wabot: Business) -> None:
    await said(wabot, 2)
    one = (await wabot.post("/get", {"number": ANA})).json
    many = (await wabot.post("/get-bulk", {"numbers": [ANA]})).json["results"][0]
    assert (many["count"], many["messages"]) == (one["count"], one["messages"])


async def test_a_thousand_numbers_are_fine_and_one_more_is_not(wabot: Business) -> None:
    numbers = [f"9198{n:08d}" for n in range(1000)]
    answer = await wabot.post("/get-bulk", {"numbers": numbers})
    assert (answer.status, answer.json["total_numbers"], answer.json["failed"]) == (200, 1000, 1000)
    refusal(await wabot.post("/get-bulk", {"numbers": [*numbers, ANA]}), 422)
    refusal(await wabot.post("/get-bulk", {"numbers": []}), 422)
    refusal(await wabot.post("/get-bulk", {"limit": 1}), 422)


async def test_documents_of_the_earlier_service_are_told_whole(tmp_path: Path) -> None:
    said_at = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
    common = {"participant_numbers": [ANA, "15550001111"], "type": "text", "raw": {"at": said_at}, "body": "Hi"}
    documents = [
        {**common, "id": "wamid.1", "from": ANA, "to": "15550001111", "timestamp": "1700000001"},
        {**common, "id": "wamid.2", "from": "15550001111", "to": ANA, "timestamp": "1700000002"},
    ]
    async with mongo_server(tmp_path / "mongo") as server:
        client: Any = AsyncIOMotorClient(server.uri)
        await client["chat_db"]["user_chat"].insert_many(documents)
        client.close()
        async with business(tmp_path / "data", mongo={"uri": server.uri}) as b:
            answer = await b.post("/get", {"number": ANA})
            assert "partial" not in answer.json
            theirs, ours = answer.json["messages"][::-1]
            assert (ours["id"], ours["direction"], ours["status"], ours["error"]) == ("wamid.2", "out", "sent", None)
            assert (theirs["id"], theirs["direction"], theirs["timestamp"]) == ("wamid.1", "in", "1700000001")
            assert theirs["raw"] == {"at": "2024-05-01 00:00:00"}
            assert "_id" not in theirs


async def test_with_mongodb_down_the_journal_answers_and_says_that_it_is_not_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo, "SELECT_MS", 50)
    async with business(tmp_path, mongo={"uri": "mongodb://127.0.0.1:1"}, first_contact=SILENT) as b:
        wamid, status = await b.meta.say(payloads.reaction("wamid.x"), from_=EVA)
        assert status == 200
        answer = await b.post("/get", {"number": EVA})
        assert answer.status == 200
        assert answer.json["partial"] is True
        assert [message["id"] for message in answer.json["messages"]] == [wamid]
        nobody = await b.post("/get", {"number": NOBODY})
        assert (nobody.status, nobody.json) == (200, {"count": 0, "messages": [], "partial": True})
        many = (await b.post("/get-bulk", {"numbers": [EVA, NOBODY]})).json["results"]
        assert [result["partial"] for result in many] == [True, True]
        assert many[1]["error"] == "No messages found"


async def test_who_is_asked_for_twice_is_looked_up_once_and_marked(wabot: Business) -> None:
    ids = await said(wabot, 3)
    looked_up = 0
    of_contact = wabot.journal.of_contact

    async def counted(*args: Any, **more: Any) -> Any:
        nonlocal looked_up
        looked_up += 1
        return await of_contact(*args, **more)

    wabot.journal.of_contact = counted  # type: ignore[method-assign]
    answer = await wabot.post("/get-bulk", {"numbers": [ANA, "+91 92165-98210", "12", "12"]})
    first, second, *invalid = answer.json["results"]
    assert looked_up == 1
    assert [message["id"] for message in first["messages"]] == ids[::-1]
    assert second == {**first, "duplicate": True}
    assert not any("duplicate" in result for result in (first, *invalid))
    assert answer.json["total_messages"] == 6


async def test_a_thousand_times_the_same_person_is_told_a_few_times(
    wabot: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_history, "REPEATED", 20_000)
    ids = await said(wabot, 10)
    answer = await wabot.post("/get-bulk", {"numbers": [ANA] * 1000})
    results = answer.json["results"]
    assert len(answer.body) < 200_000
    assert (answer.json["total_numbers"], answer.json["successful"], len(results)) == (1000, 1000, 1000)
    assert results[0]["count"] == len(ids)
    assert results[-1] == {"number": ANA, "success": True, "count": 0, "messages": [], "duplicate": True}
    assert answer.json["total_messages"] == sum(len(result["messages"]) for result in results)


@pytest.mark.parametrize("path", ["/get", "/get-bulk"])
async def test_more_than_an_answer_can_hold_is_refused_and_says_what_helps(
    wabot: Business, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE", 3)
    monkeypatch.setattr(answer_size.Room, "__init__", partialmethod(answer_size.Room.__init__, messages=8))
    await said(wabot, 6)
    await said(wabot, 6, BEN)
    question = {"number": ANA} if path == "/get" else {"numbers": [ANA, BEN]}
    answer = await wabot.post(path, question)
    if path == "/get":
        assert answer.json["count"] == 6
    else:
        assert "limit" in refusal(answer, 422)
        assert (await wabot.post(path, {**question, "limit": 4})).json["total_messages"] == 8


async def test_a_long_answer_comes_whole(wabot: Business) -> None:
    ids = await said(wabot, 700)
    answer = await wabot.post("/get", {"number": ANA})
    assert len(answer.body) > 100_000
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert [message["id"] for message in answer.json["messages"]] == ids[::-1]
    limited = await wabot.post("/get", {"number": ANA, "limit": 501})
    assert limited.json["messages"] == answer.json["messages"][:501]


def test_what_is_json_already_is_taken_as_it_is() -> None:
    entries: list[object] = [
        {"a": 1, "raw": json_limits.Json('{"b":[1]}'), "c": "\u00fc"},
        {"raw": json_limits.Json("[]")},
        {"a": 1},
        7,
    ]
    written = b",".join(Encoded(entries).entries)
    assert json.loads(b"[" + written + b"]") == [{"a": 1, "raw": {"b": [1]}, "c": "\u00fc"}, {"raw": []}, {"a": 1}, 7]


async def _pages(b: Business, number: str, limit: int, **asked: Any) -> list[list[str]]:
    """The ids of all pages of a history, each begun after the last message of the one before."""
    pages, before = list[list[str]](), dict[str, str]()
    while True:
        answer = await b.post("/get", {"number": number, "limit": limit, **asked, **before})
        assert answer.status == 200, answer
        page = [message["id"] or message["outbox_id"] for message in answer.json["messages"]]
        if not page:
            return pages
        pages.append(page)
        before = {"before": page[-1]}


async def _many_in_a_second(b: Business, count: int, each: int) -> None:
    """`count` reactions, `each` of them in the same second."""
    now = int(time.time()) - 1000
    for n in range(count):
        wamid = f"wamid.{(n * 7919) % count:04}"  # whose order is not that in which they come
        reaction = payloads.reaction("wamid.other", str(n))
        assert (await b.meta.say(reaction, from_=ANA, wamid=wamid, timestamp=now + n // each))[1] == 200


@pytest.mark.parametrize("limit", [1, 3, 7, 10])
async def test_page_by_page_each_message_comes_once_and_in_the_order_of_the_whole(wabot: Business, limit: int) -> None:
    await _many_in_a_second(wabot, 40, 7)
    whole = (await wabot.post("/get", {"number": ANA})).json["messages"]
    pages = await _pages(wabot, ANA, limit)
    assert [name for page in pages for name in page] == [message["id"] for message in whole]
    assert {len(page) for page in pages[:-1]} == {limit}


@pytest.mark.parametrize("pruned", [False, True])
async def test_pages_go_on_in_the_archive_where_many_were_said_in_one_second(tmp_path: Path, pruned: bool) -> None:
    async with (
        mongo_server(tmp_path / "mongo") as server,
        business(tmp_path / "data", mongo={"uri": server.uri}) as b,
    ):
        await _many_in_a_second(b, 60, 9)
        client: Any = AsyncIOMotorClient(server.uri)
        while await client["chat_db"]["user_chat"].count_documents({}) < 60:
            await asyncio.sleep(0.05)
        client.close()
        if pruned:  # every second message is left in the archive alone
            await b.journal.writer(lambda db: db.execute("DELETE FROM messages WHERE id % 2 = 0").rowcount)
        for limit in (4, 9, 25):
            pages = [name for page in await _pages(b, ANA, limit) for name in page]
            assert sorted(pages) == sorted(f"wamid.{n:04}" for n in range(60)), limit
        if pruned:
            gone = {f"wamid.{n:04}" for n in range(60)} - set(
                await b.journal._read(lambda db: [row["wamid"] for row in db.execute("SELECT wamid FROM messages")])
            )
            answer = await b.post("/get", {"number": ANA, "before": min(gone), "limit": 5})
            assert answer.json["count"] == 5
    async with business(tmp_path / "data", mongo={"uri": server.uri}) as b:  # MongoDB is away now
        answer = await b.post("/get", {"number": ANA, "before": "wamid.nobody-knows", "limit": 5})
        assert refusal(answer, 503).startswith("before: only the archive may know it")


async def test_a_page_after_a_message_of_nobody_or_of_somebody_else_is_refused(wabot: Business) -> None:
    await said(wabot, 2)
    (others, _) = await said(wabot, 2, BEN)
    for before in ("wamid.unknown", others, "x-1", f"{wabot.journal.name}-99999999999999999999"):
        assert refusal(await wabot.post("/get", {"number": ANA, "before": before}), 422).startswith(
            "before: not the id"
        )
    refusal(await wabot.post("/get", {"number": ANA, "before": ""}), 422)


async def test_a_message_that_has_no_id_of_metas_is_named_by_its_outbox_id(wabot: Business) -> None:
    wabot.meta.behaviour.always(EVA, error(131051))
    for _ in range(3):
        await wabot.post("/messages", {"number": EVA, "template": {"name": "hello_world"}})
    whole = (await wabot.post("/get", {"number": EVA, "include": ["failed"]})).json["messages"]
    assert [message["id"] for message in whole] == [None, None, None]
    pages = await _pages(wabot, EVA, 2, include=["failed"])
    assert [name for page in pages for name in page] == [message["outbox_id"] for message in whole]
