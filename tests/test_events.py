"""What happens is told to the owner's programs: real HTTP servers that fail, hang and cut. See receiver.py."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from tests.journal.test_opening import FIRST_SCHEMA
from tests.process import eventually, world
from tests.receiver import SECRET, Receiver, receiver
from tests.test_problem_sources import BANNED, REINSTATED
from tests.web.shapes import queue
from wabot.core.jobs import Kind
from wabot.core.messages import SERVICE_WINDOW_SECONDS
from wabot.core.owner_events import Endpoint, unknown
from wabot.journal import opening
from wabot.journal.journal import FILE_NAME
from wabot.sandbox.behaviour import accept, error
from wabot.settings.errors import SettingsError
from wabot.settings.loading import Settings, load

READ = accept(receipts=["sent", "delivered", "read"])


async def events_of(wabot: Business, **query: Any) -> list[dict[str, Any]]:
    answer = await wabot.get("/events", params=query)
    assert (answer.status, answer.json["count"]) == (200, len(answer.json["events"]))
    return list(answer.json["events"])


async def test_a_talk_is_told_message_by_message_as_get_and_contacts_show_it(tmp_path: Path) -> None:
    async with receiver() as shop, business(tmp_path, events=[shop.table()]) as wabot:
        wabot.meta.behaviour.always(ANA, READ)
        await wabot.meta.say("Hi", from_=ANA)
        await eventually(lambda: shop.told("message.read"))

        told = [one.type for one in shop.heard]
        assert told == [f"message.{word}" for word in ("received", "sent", "delivered", "read")]
        assert len({one.id for one in shop.heard}) == 4
        received, *_, read = shop.heard
        assert set(received.body) >= {"type", "timestamp", "data"}
        assert received.body["timestamp"].endswith("Z")
        shown = (await wabot.post("/get", {"number": ANA})).json["messages"]
        assert received.data["message"] == shown[1]
        assert read.data["message"]["status"] == "read"
        assert {**read.data["message"], "status_times": 0} == {**shown[0], "status_times": 0}
        contact = (await wabot.get(f"/contacts/{ANA}")).json
        assert set(received.data["contact"]) == set(contact)
        assert (read.data["contact"]["number"], read.data["contact"]["assistant"]["state"]) == (ANA, "on")
        assert read.data["contact"]["window_closes_at"] == float(shown[1]["timestamp"]) + SERVICE_WINDOW_SECONDS


async def test_a_journal_of_the_first_version_tells_what_happens_from_then_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db, db:
        db.executescript(FIRST_SCHEMA.read_text("utf-8"))
        db.execute(f"PRAGMA application_id = {opening.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO contacts (id, wa_id, created_at) VALUES (1, ?, 1)", (ANA,))
        db.execute("INSERT INTO identities VALUES (?, 1)", (ANA,))
        db.execute(
            "INSERT INTO messages (contact_id, direction, origin, wamid, timestamp, type, body, raw, person, status)"
            " VALUES (1, 'in', 'person', 'wamid.old', 1, 'text', 'Long ago', '{}', ?, 'received')", (ANA,),
        )  # fmt: skip
    async with receiver() as shop, business(tmp_path, events=[shop.table()]) as wabot:
        await wabot.meta.say("Hi", from_=ANA)
        await eventually(lambda: shop.told("message.sent"))
        assert [one.data["message"]["body"] for one in shop.told("message.received")] == ["Hi"]
        talk = (await wabot.post("/get", {"number": ANA})).json["messages"]
        assert [message["body"] for message in talk[1:]] == ["Hi", "Long ago"]


async def test_without_endpoints_nothing_is_written(tmp_path: Path) -> None:
    async with business(tmp_path) as wabot:
        await queue(wabot, ANA)
        assert await events_of(wabot) == []
        assert (await wabot.post("/lanes/event/probe")).json["state"] == "stopped"


async def test_wishes_pauses_and_batches_are_told(tmp_path: Path) -> None:
    async with receiver() as shop, business(tmp_path, events=[shop.table("contact.*", "batch.settled")]) as wabot:
        wabot.meta.behaviour.always(BEN, error(131026))
        batch = await queue(wabot, ANA, BEN)
        await eventually(lambda: shop.told("batch"))
        (settled,) = shop.told("batch")
        assert settled.data.items() >= {"batch_id": batch["batch_id"], "state": "settled", "total": 2}.items()
        assert (settled.data["successful"], settled.data["failed"], settled.data["queued"]) == (1, 1, 0)
        await wabot.meta.say("STOP", from_=ANA)
        await wabot.meta.say("START", from_=ANA)
        await wabot.post(f"/contacts/{ANA}/pause", {})
        await wabot.post(f"/contacts/{ANA}/resume")
        await eventually(lambda: shop.told("contact.resumed"))
        about = [(one.type, one.data["contact"]["stopped"]) for one in shop.told("contact")]
        words = ("opted_out", "all"), ("opted_in", None), ("resumed", None)
        assert about == [(f"contact.{word}", stopped) for word, stopped in words]


async def test_a_pause_that_ends_by_its_time_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    async with receiver() as shop:
        chosen = {"events": [shop.table("contact.resumed")]}
        async with business(tmp_path, **chosen) as wabot:
            await wabot.post(f"/contacts/{ANA}/pause", {"hours": 1 / 3600})
            await wabot.post(f"/contacts/{BEN}/pause", {"hours": 3 / 3600})
            await eventually(lambda: shop.told("contact.resumed"))
        async with business(tmp_path, **chosen):
            await eventually(lambda: len(shop.told("contact.resumed")) == 2)
            await asyncio.sleep(1.5)  # time for one too many
        about = [(one.data["contact"]["number"], one.data["contact"]["assistant"]["state"]) for one in shop.told()]
        assert about == [(ANA, "on"), (BEN, "on")]


async def test_a_message_that_cannot_be_delivered_is_told_with_its_error(tmp_path: Path) -> None:
    async with receiver() as shop, business(tmp_path, events=[shop.table("message.failed")]) as wabot:
        wabot.meta.behaviour.always(BEN, error(131026))
        await queue(wabot, BEN)
        await eventually(shop.told)
        (failed,) = shop.told()
        assert (failed.data["message"]["status"], failed.data["message"]["error_code"]) == ("failed", 131026)
        assert failed.data["message"]["error"]


async def test_pauses_of_lanes_and_news_of_the_account_are_told(tmp_path: Path) -> None:
    types = ("lane.*", "account.alert", "template.paused")
    async with receiver() as shop, business(tmp_path, events=[shop.table(*types)]) as wabot:
        await wabot.meta.news("account_update", BANNED)
        await eventually(lambda: shop.told("lane.paused"))
        await wabot.meta.news("account_update", REINSTATED)
        await eventually(lambda: shop.told("lane.resumed"))
        assert {one.data["standing"] for one in shop.told("account.alert")} == {"blocked", "lifted"}
        assert [one.data["lane"] for one in shop.told("lane")] == ["send", "send"]
        name = {"message_template_name": "promo", "message_template_language": "en_US"}
        await wabot.meta.news("message_template_status_update", {**name, "event": "PAUSED"})
        await eventually(lambda: shop.told("template.paused"))
        assert [one.data["name"] for one in shop.told("template.paused")] == ["promo"]


@pytest.mark.parametrize("trouble", [0, 302, 400, 429, 500, 503])
async def test_what_an_endpoint_refuses_is_told_again_with_the_same_id(tmp_path: Path, trouble: int) -> None:
    """The redirect's target is never asked."""
    async with (
        receiver(lambda _, count: trouble if count == 0 else 200) as shop,
        business(tmp_path, events=[shop.table("message.received")]) as wabot,
    ):
        await wabot.meta.say("Hi", from_=ANA)
        await eventually(shop.told)
        first, second = shop.heard
        assert (first.id, first.body) == (second.id, second.body)
        await eventually(lambda: events_done(wabot))
        (event,) = await events_of(wabot)
        assert (event["attempts"], event["error"], event["type"]) == (2, None, "message.received")


async def events_done(wabot: Business, count: int = 1) -> bool:
    return len(await events_of(wabot, state="done")) == count


async def test_events_about_one_contact_wait_for_each_other_and_others_pass(tmp_path: Path) -> None:
    blocked = True

    def answer(body: dict[str, Any], _: int) -> int:
        return 500 if blocked and body["data"]["message"]["from"] == ANA else 200

    async with receiver(answer) as shop, business(tmp_path, events=[shop.table("message.received")]) as wabot:
        for text in ("one", "two", "three"):
            await wabot.meta.say(text, from_=ANA)
        await wabot.meta.say("other", from_=BEN)
        await eventually(shop.told)
        assert {one.data["message"]["body"] for one in shop.heard} == {"one", "other"}
        waiting = await events_of(wabot, state="waiting")
        assert len(waiting) == 2
        outbox = (await wabot.get("/outbox", params={"kind": "event", "state": "waiting", "number": ANA})).json
        assert [one["why"] for one in outbox["outbox"]] == ["Waits behind an older event about the same person"] * 2
        blocked = False
        assert (await wabot.post("/lanes/event/probe")).json["state"] == "running"
        await eventually(lambda: len(shop.told()) == 4)
        told = [one.data["message"]["body"] for one in shop.told() if one.data["message"]["from"] == ANA]
        assert told == ["one", "two", "three"]


async def test_an_endpoint_that_hangs_delays_neither_another_nor_a_reply(tmp_path: Path) -> None:
    async with (
        receiver(lambda *_: -1) as dead,
        receiver() as alive,
        business(tmp_path, events=[dead.table(), alive.table()]) as wabot,
    ):
        for number in (ANA, BEN, EVA):
            await wabot.meta.say("Hi", from_=number)
        await eventually(lambda: len(alive.told("message.sent")) == 3)
        assert len(wabot.meta.sent) == 3


async def test_the_first_retry_comes_within_ten_seconds_however_patient_sends_are(tmp_path: Path) -> None:
    slow = {"backoff_base_seconds": 300, "backoff_max_seconds": 300}
    async with (
        receiver(lambda _, count: 500 if count == 0 else 200) as shop,
        business(tmp_path, events=[shop.table("message.received")], delivery=slow) as wabot,
    ):
        await wabot.meta.say("Hi", from_=ANA)
        await eventually(lambda: shop.heard)
        event: dict[str, Any] = {"state": ""}
        while event["state"] != "queued" or not event["attempts"]:
            (event,) = await events_of(wabot)
            await asyncio.sleep(0.01)
        assert 0 < event["due_at"] - time.time() <= 10


async def test_an_event_names_its_account(tmp_path: Path) -> None:
    north = {"name": "north", "phone_number_id": "100000000000009", "access_token": "sandbox-token",
             "app_secret": "sandbox-secret", "verify_token": "v"}  # fmt: skip
    async with (
        receiver() as shop,
        business(tmp_path, events=[shop.table("message.received")], accounts=[north]) as wabot,
    ):
        await wabot.meta.say("To main", from_=ANA)
        wabot.meta.phone_number_id = north["phone_number_id"]
        await wabot.meta.say("To north", from_=ANA)
        await eventually(lambda: len(shop.told()) == 2)
        told = {one.data["message"]["body"]: one.body["account"] for one in shop.told()}
        assert told == {"To main": "main", "To north": "north"}
        theirs = await events_of(wabot, account="north")
        assert [event["type"] for event in theirs] == ["message.received"]


async def test_a_flood_for_a_dead_endpoint_delays_no_reply_and_takes_no_memory(tmp_path: Path) -> None:
    """Events wait in the journal, and a dead endpoint is tried a few at a time."""
    async with receiver(lambda *_: 503) as dead, business(tmp_path, events=[dead.table()]) as wabot:
        numbers = [f"4930{n:07}" for n in range(1000, 1400)]
        batch = await wabot.post("/initiate-bulk", {"numbers": numbers}, headers={"Prefer": "respond-async"})
        assert batch.status == 202
        await wabot.meta.say("Hi", from_=ANA)
        await eventually(lambda: len(wabot.meta.sent) == 401)
        assert any(each.to == ANA for each in wabot.meta.sent)
        metrics = (await wabot.get("/metrics")).body.decode()
        waiting = re.search(r"wabot_events_open\{[^}]*\} ([0-9.]+)", metrics)
        assert waiting
        assert float(waiting[1]) > 300
        assert wabot.running.account.lanes[Kind.EVENT].in_flight <= 16


async def test_410_switches_an_endpoint_off_until_the_restart_and_is_a_problem(tmp_path: Path) -> None:
    gone = True
    async with receiver(lambda *_: 410 if gone else 200) as shop:
        table = shop.table("message.received")
        async with business(tmp_path, events=[table]) as wabot:
            await wabot.meta.say("Hi", from_=ANA)
            await eventually(lambda: shop.heard)
            await wabot.meta.say("Hi", from_=BEN)
            await eventually(lambda: errors(wabot, "off", 2))
            (problem,) = (await wabot.get("/readyz")).json["problems"]
            assert shop.url in problem["what"]
            await wabot.post("/lanes/event/probe")
            await asyncio.sleep(0.2)
            assert len(shop.heard) == 1
        gone = False
        async with business(tmp_path, events=[table]) as wabot:
            await eventually(lambda: len(shop.told()) == 2)
            assert (await wabot.get("/readyz")).json["problems"] == []


async def errors(wabot: Business, words: str, count: int) -> bool:
    return sum(words in (event["error"] or "") for event in await events_of(wabot)) == count


async def test_after_three_days_an_event_has_failed_is_kept_and_can_be_retried(tmp_path: Path) -> None:
    status = 500
    async with (
        receiver(lambda *_: status) as shop,
        business(tmp_path, events=[shop.table("message.received")]) as wabot,
    ):
        await wabot.meta.say("Hi", from_=ANA)
        await eventually(lambda: errors(wabot, "HTTP 500", 1))
        await wabot.journal.writer(lambda db: db.execute("UPDATE events SET expires_at = 1, due_at = 1"))
        await wabot.post("/lanes/event/probe")
        await eventually(lambda: failed(wabot))
        (event,) = await events_of(wabot, state="failed")
        assert event.items() >= {"endpoint": shop.table()["url"], "error": "HTTP 500", "number": ANA}.items()
        status = 200
        assert (await wabot.post(f"/events/{event['id']}/retry")).json["state"] == "queued"
        await eventually(shop.told)
        assert shop.told()[0].id == shop.heard[0].id == event["webhook_id"]
        await eventually(lambda: events_done(wabot))
        assert (await wabot.post(f"/events/{event['id']}/retry")).status == 409
        assert (await wabot.post("/events/none-1/retry")).status == 404


async def failed(wabot: Business) -> bool:
    return bool(await events_of(wabot, state="failed"))


async def test_events_are_paged(tmp_path: Path) -> None:
    async with receiver() as shop, business(tmp_path, events=[shop.table("message.received")]) as wabot:
        for number in (ANA, BEN, EVA):
            await wabot.meta.say("Hi", from_=number)
        page = (await wabot.get("/events", params={"limit": 2})).json
        rest = (await wabot.get("/events", params={"limit": 2, "cursor": page["next_cursor"]})).json
        assert [one["number"] for one in page["events"] + rest["events"]] == [EVA, BEN, ANA]
        assert "next_cursor" not in rest
        assert (await wabot.get("/events", params={"cursor": "nothing"})).status == 422


async def test_events_of_an_endpoint_that_is_no_longer_configured_are_cancelled(tmp_path: Path) -> None:
    async with receiver(lambda *_: 500) as old, receiver() as new:
        async with business(tmp_path, events=[old.table("message.received")]) as wabot:
            await wabot.meta.say("Hi", from_=ANA)
            await eventually(lambda: old.heard)
        async with business(tmp_path, events=[new.table("message.received")]) as wabot:
            (event,) = await events_of(wabot, state="cancelled")
            assert "no longer" in event["error"]
            assert (await wabot.post(f"/events/{event['id']}/retry")).status == 409


async def test_who_is_forgotten_is_forgotten_in_events_too(tmp_path: Path) -> None:
    async with receiver(lambda *_: 500) as shop, business(tmp_path, events=[shop.table()]) as wabot:
        await wabot.meta.say("a word that nobody may find", from_=ANA)
        await eventually(lambda: shop.heard)
        assert (await wabot.ask("DELETE", f"/contacts/{ANA}")).status == 200
        await eventually(lambda: none_left(wabot))
        counts = await wabot.journal.writer(lambda db: db.execute("SELECT count(*) FROM event_bodies").fetchone()[0])
        assert counts == 0


async def none_left(wabot: Business) -> bool:
    return await events_of(wabot) == []


async def test_metrics_count_posts_by_endpoint(tmp_path: Path) -> None:
    async with (
        receiver(lambda _, count: 500 if count == 0 else 200) as shop,
        business(tmp_path, events=[shop.table("message.received")]) as wabot,
    ):
        await wabot.meta.say("Hi", from_=ANA)
        await eventually(lambda: events_done(wabot))
        metrics = (await wabot.get("/metrics")).body.decode()
        for result in ("told", "failed"):
            name = f'wabot_event_posts_total{{endpoint="{shop.table()["url"]}",result="{result}"}} 1.0'
            assert name in metrics


async def test_whenever_it_is_killed_everything_is_told_in_order(tmp_path: Path) -> None:
    """A real process, killed again and again, and a receiver that fails, hangs and cuts."""
    troubles = itertools.cycle([200, 500, 0, 200, -1, 200, 503])

    async with receiver(lambda *_: next(troubles)) as shop, world(tmp_path) as w:
        env = {"WABOT_EVENTS": json.dumps([shop.table("message.received", "message.sent")])}
        said: dict[str, list[str]] = {ANA: [], BEN: []}
        for turn in range(6):
            await w.start(**env)
            for number, texts in said.items():
                texts.append(f"{number} {turn}")
                assert (await w.meta.say(texts[-1], from_=number))[1] == 200
            await asyncio.sleep(0.1 * turn)
            await w.wabot.kill()
        troubles = itertools.cycle([200])
        await w.start(**env)
        await eventually(lambda: set(first_told(shop)) >= {text for texts in said.values() for text in texts})
        for number, texts in said.items():
            assert [text for text in first_told(shop) if text.startswith(number)] == texts
        await eventually(lambda: {one.data["message"]["id"] for one in shop.told("message.sent")}
                         >= {sent.wamid for sent in w.meta.sent})  # fmt: skip
        ids = {}
        for one in shop.heard:
            assert ids.setdefault(one.id, one.body) == one.body, "an id is that of one event"


def first_told(shop: Receiver) -> list[str]:
    """The texts that were taken, each where it came first."""
    return list(dict.fromkeys(one.data["message"]["body"] for one in shop.told("message.received")))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"url": "ftp://x", "secret": SECRET}, "events.0.url"),
        ({"url": "http://x", "secret": "guess"}, "events.0.secret"),
        ({"url": "http://x", "secret": SECRET, "types": ["message.recieved"]}, "message.received"),
        ({"url": "http://x", "secret": SECRET, "types": ["mess*"]}, "no type of event"),
        ({"url": "http://x", "secret": SECRET, "types": []}, "empty"),
        ({"url": "http://x", "secret": SECRET, "kind": 1}, "events.0.kind: unknown key"),
        ({"secret": SECRET}, "events.0.url"),
    ],
)
def test_what_no_endpoint_can_be_is_refused_at_the_start(table: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, env_file=None, environ={"WABOT_EVENTS": json.dumps([table])}, whole=False)
    assert why in str(refused.value)
    assert "guess" not in str(refused.value)


def test_types_are_names_or_all_of_a_kind() -> None:
    assert unknown(["*", "message.*", "batch.settled", "lane.*"]) == []
    assert unknown(["batch.*", "message", "message.*.x", "x.*", ""]) == ["message", "message.*.x", "x.*", ""]
    some = Endpoint("http://me:secret@x:1/a?token=1", SECRET, ("message.*", "lane.paused"))
    assert [some.wants(one) for one in ("message.read", "lane.paused", "lane.resumed")] == [True, True, False]
    assert some.name == "http://x:1/a"


def test_no_secret_of_an_endpoint_is_shown() -> None:
    settings = Settings(events=({"url": "http://x", "secret": SECRET},))  # type: ignore[arg-type]
    assert SECRET in set(settings.secrets())
