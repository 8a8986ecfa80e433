"""Several numbers in one process: each with its own journal, lanes and keys, behind one HTTP server."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from motor.motor_asyncio import AsyncIOMotorClient
from prometheus_client.parser import text_string_to_metric_families

from tests.business import ANA, BEN, KEY, Answer, Business, business, settings
from tests.process import eventually
from wabot import cli
from wabot.assembly import start_and_stop
from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Kind
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta, serve
from wabot.settings.loading import Settings

SHOP_KEY = "key-of-the-shop-only"

CONFIG = """
[server]
data_dir = "{data}"
api_keys = ["the-key-of-the-tests"]
[whatsapp]
access_token = "sandbox-token"
phone_number_id = "100000000000001"
verify_token = "sandbox-verify"
app_secret = "sandbox-secret"
graph_api_base = "{main}"
[assistant]
provider = "canned"
[[accounts]]
name = "shop"
access_token = "shop-token"
phone_number_id = "111"
verify_token = "shop-verify"
app_secret = "shop-secret"
"""


@dataclass(frozen=True, slots=True)
class Agency:
    """A wabot with the accounts main and shop, each with a Meta of its own, and a client that has the service's key."""

    wabot: Business
    main: Meta
    shop: Meta


def two_numbers(data_dir: Path, urls: dict[str, str], **sections: Any) -> Settings:
    shop = {
        "name": "shop", "phone_number_id": "111", "business_account_id": "222", "access_token": "shop-token",
        "app_secret": "shop-secret", "verify_token": "shop-verify", "graph_api_base": f"{urls['shop']}/v26.0",
        "api_keys": [SHOP_KEY],
        **sections.pop("shop", {}),
    }  # fmt: skip
    whatsapp = {"graph_api_base": f"{urls['main']}/v26.0", **sections.pop("whatsapp", {})}
    return settings(data_dir, whatsapp=whatsapp, accounts=[shop], **sections)


@asynccontextmanager
async def agency(data_dir: Path, **sections: Any) -> AsyncIterator[Agency]:
    main = Meta(behaviour=Behaviour(), receipt_delay=0.0)
    shop = Meta(
        behaviour=Behaviour(), receipt_delay=0.0, phone_number_id="111", business_account_id="222",
        access_token="shop-token", app_secret="shop-secret", verify_token="shop-verify",
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        urls = {}
        for name, meta in (("main", main), ("shop", shop)):
            runner, urls[name] = await serve(meta)
            stack.push_async_callback(runner.cleanup)
        chosen = two_numbers(data_dir, urls, **sections)
        running = await stack.enter_async_context(start_and_stop.run(chosen, examine=False))
        main.webhook_url = f"{running.url}/webhook"
        shop.webhook_url = f"{running.url}/webhook"
        client = await stack.enter_async_context(ClientSession(running.url, headers={"X-API-Key": KEY}))
        yield Agency(Business(running.url, client, main, chosen, running), main, shop)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Agency]:
    async with agency(tmp_path) as one:
        yield one


async def until(count: Callable[[], Awaitable[int]], least: int) -> None:
    async with asyncio.timeout(20):
        while await count() < least:
            await asyncio.sleep(0.05)


def sent(meta: Meta) -> list[tuple[str, str]]:
    """(person, type) of what Meta accepted."""
    return [(one.to, one.type) for one in meta.sent]


def body_for(*numbers: Meta, texts: str = "Hi", from_: str = ANA) -> bytes:
    """One webhook with a message for each of these numbers."""
    entries = []
    for meta in numbers:
        wamid = payloads.new_wamid(from_, inbound=True)
        message = payloads.inbound(payloads.text(texts), wamid, time.time(), from_=from_, user_id=None)
        whole = meta.envelope(messages=[message], contacts=[payloads.contact(from_, None, "Ana")])
        entries += whole["entry"]
    return payloads.encode({"object": "whatsapp_business_account", "entry": entries})


async def deliver(wabot: Business, body: bytes, secret: str, path: str = "/webhook") -> Answer:
    return await wabot.post(path, data=body, headers={"X-Hub-Signature-256": payloads.sign(body, secret)})


async def texts_of(wabot: Business, account: str, number: str = ANA) -> list[str]:
    """What a person said, oldest first."""
    answer = await wabot.post("/get", {"number": number, "account": account})
    return [message["body"] for message in reversed(answer.json["messages"]) if message["direction"] == "in"]


async def test_each_number_answers_its_own_people(both: Agency) -> None:
    await both.main.say("Hi", from_=ANA)
    await both.shop.say("Hi", from_=BEN)
    await eventually(lambda: sent(both.main) and sent(both.shop))
    assert (sent(both.main), sent(both.shop)) == ([(ANA, "template")], [(BEN, "template")])


async def test_a_webhook_that_mixes_numbers_goes_to_the_journal_of_each(tmp_path: Path) -> None:
    async with agency(tmp_path, shop={"app_secret": "sandbox-secret"}) as both:
        answer = await deliver(both.wabot, body_for(both.main, both.shop), "sandbox-secret")
        assert (answer.status, answer.json) == (200, {"received": 2, "stored": 2})
        for account in ("main", "shop"):
            assert "Hi" in await texts_of(both.wabot, account)
    assert (tmp_path / "accounts" / "shop" / "wabot.db").exists()


async def test_a_part_counts_only_for_the_account_whose_secret_signed_it(both: Agency) -> None:
    answer = await deliver(both.wabot, body_for(both.main, both.shop), "shop-secret")
    assert (answer.status, answer.json) == (200, {"received": 1, "stored": 1})
    assert (await texts_of(both.wabot, "main"), await texts_of(both.wabot, "shop")) == ([], ["Hi"])
    assert (await deliver(both.wabot, body_for(both.shop), "another-secret")).status == 401


async def test_each_number_has_an_address_of_its_own(both: Agency) -> None:
    body, path = body_for(both.shop), f"/webhook/{both.shop.phone_number_id}"
    assert (await deliver(both.wabot, body, "sandbox-secret", path)).status == 401
    assert (await deliver(both.wabot, body, "shop-secret", path)).json == {"received": 1, "stored": 1}
    for token, where, status in (
        ("shop-verify", path, 200), ("sandbox-verify", path, 403), ("shop-verify", "/webhook", 200),
        ("sandbox-verify", "/webhook", 200), ("x", "/webhook", 403), ("", "/webhook", 403),
        ("shop-verify", "/webhook/999", 403),
    ):  # fmt: skip
        query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "7"}
        assert (await both.wabot.get(where, params=query)).status == status, (token, where)


async def test_what_is_about_a_whole_waba_goes_to_each_of_its_numbers(tmp_path: Path) -> None:
    shared = {"business_account_id": "222", "app_secret": "sandbox-secret"}
    async with agency(tmp_path, shop=shared, whatsapp={"business_account_id": "222"}) as both:
        change = {
            "field": "account_update",
            "value": {
                "event": "ACCOUNT_RESTRICTION",
                "restriction_info": [
                    {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": int(time.time()) + 3600}
                ],
            },
        }
        entry = {"id": "222", "time": int(time.time()), "changes": [change]}
        body = payloads.encode({"object": "whatsapp_business_account", "entry": [entry]})
        assert (await deliver(both.wabot, body, "sandbox-secret")).status == 200
        for account in both.wabot.running.accounts:
            assert "account" in account.watch.problems, account.name


async def test_requests_name_their_account_and_answers_too(both: Agency) -> None:
    wabot = both.wabot
    batch = await wabot.post("/initiate-bulk", {"numbers": [BEN], "account": "shop"})
    assert (batch.json["account"], batch.json["successful"]) == ("shop", 1)
    assert sent(both.shop) == [(BEN, "template")]
    where = batch.headers["Location"]
    assert (await wabot.get(where)).json["total"] == 1
    assert (await wabot.get(where.partition("?")[0])).status == 404, "main has no such batch"
    assert (await wabot.get("/outbox", params={"account": "shop"})).json["count"] == 1
    assert (await wabot.get("/outbox")).json == {"account": "main", "count": 0, "outbox": []}
    assert (await wabot.get("/outbox", params={"account": "nobody"})).status == 404
    assert (await wabot.post("/get", {"number": ANA, "account": "nobody"})).status == 404
    assert (await wabot.post("/get", {"number": ANA, "account": 7})).status == 422


async def test_a_key_of_an_account_opens_that_account_only(both: Agency) -> None:
    async with ClientSession(both.wabot.url, headers={"X-API-Key": SHOP_KEY}) as client:
        shop = replace(both.wabot, client=client)
        assert (await shop.get("/outbox", params={"account": "shop"})).status == 200
        assert (await shop.post("/get", {"number": ANA, "account": "shop"})).status == 200
        assert (await shop.get("/readyz", params={"account": "shop"})).json["ready"] is True
        assert (await shop.get("/metrics", params={"account": "shop"})).status == 200
        for path in ("/outbox", "/readyz", "/metrics", "/outbox?account=main", "/batches?account=nobody"):
            assert (await shop.get(path)).status == 401, path


async def test_the_state_and_the_metrics_name_the_accounts(both: Agency) -> None:
    state = (await both.wabot.get("/readyz")).json
    assert (state["ready"], set(state["accounts"])) == (True, {"main", "shop"})
    assert state["accounts"]["shop"]["lanes"] == {"reply": "running", "send": "running"}
    text = (await both.wabot.get("/metrics")).body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {sample.labels["account"] for sample in families["wabot_lane_up"].samples} == {"main", "shop"}


async def test_log_lines_name_the_account(both: Agency, capsys: pytest.CaptureFixture[str]) -> None:
    await both.shop.say("Hi", from_=BEN)
    await eventually(lambda: sent(both.shop))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "reply.settled" in line and line.rstrip().endswith("account=shop")]


async def test_a_journal_that_cannot_be_opened_stops_that_account_alone(tmp_path: Path) -> None:
    folder = tmp_path / "accounts" / "shop"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "wabot.db").write_bytes(b"this is no database, whatever its name says" * 100)
    async with agency(tmp_path) as both:
        await both.main.say("Hi", from_=ANA)
        await eventually(lambda: sent(both.main))
        assert (await deliver(both.wabot, body_for(both.shop), "shop-secret")).status == 503
        assert (await both.wabot.get("/outbox", params={"account": "shop"})).status == 503
        state = (await both.wabot.get("/readyz")).json
        (problem,) = state["problems"]
        assert state["ready"]
        assert problem["account"] == "shop"
        assert "cannot be read" in problem["what"]


async def test_a_dead_token_of_one_account_pauses_no_other(both: Agency) -> None:
    both.shop.access_token = "another"
    await both.shop.say("Hi", from_=BEN)
    await eventually(lambda: both.wabot.running.accounts.named("shop").lanes[Kind.SEND].paused)
    await both.main.say("Hi", from_=ANA)
    await eventually(lambda: sent(both.main))
    problems = (await both.wabot.get("/readyz")).json["problems"]
    assert [problem["account"] for problem in problems] == ["shop"]


@pytest.mark.parametrize("shared", [False, True])
async def test_a_stop_binds_the_account_it_was_said_to_unless_it_is_shared(tmp_path: Path, shared: bool) -> None:
    async with agency(tmp_path, optout={"shared": shared}) as both:
        await both.shop.say("STOP", from_=ANA)
        await eventually(lambda: sent(both.shop))
        assert (sent(both.shop), sent(both.main)) == ([(ANA, "text")], []), "one confirmation, where it was said"
        batch = await both.wabot.post("/initiate-bulk", {"numbers": [ANA]})
        assert batch.json["results"][0].get("error_code") == ("opted_out" if shared else None)
        opened = await both.wabot.post(f"/contacts/{ANA}/opt-in")
        assert opened.json["opted_out"] is False
        batch = await both.wabot.post("/initiate-bulk", {"numbers": [ANA], "account": "shop"})
        assert batch.json["results"][0].get("error_code") == (None if shared else "opted_out")


async def test_sharing_stops_later_shares_those_of_before(tmp_path: Path) -> None:
    async with agency(tmp_path) as both:
        await both.shop.say("STOP", from_=ANA)
    async with agency(tmp_path, optout={"shared": True}) as both:
        batch = await both.wabot.post("/initiate-bulk", {"numbers": [ANA]})
        assert batch.json["results"][0]["error_code"] == "opted_out"


async def test_webhooks_for_a_number_that_is_added_later_are_taken_up(tmp_path: Path) -> None:
    meta = Meta(behaviour=Behaviour(), receipt_delay=0.0)
    shop = Meta(phone_number_id="111", business_account_id="222")
    async with business(tmp_path, meta=meta) as alone:
        answer = await deliver(alone, body_for(shop, texts="Are you there?"), "sandbox-secret")
        assert (answer.status, answer.json["stored"]) == (200, 0)
    async with agency(tmp_path, shop={"app_secret": "sandbox-secret"}) as both:
        assert "Are you there?" in await texts_of(both.wabot, "shop")
        assert await texts_of(both.wabot, "main") == []
        await eventually(lambda: sent(both.shop))


async def test_a_removed_account_leaves_its_journal_and_comes_back_with_it(tmp_path: Path) -> None:
    async with agency(tmp_path) as both:
        await both.shop.say("Hi", from_=BEN)
        await eventually(lambda: sent(both.shop))
    async with business(tmp_path) as alone:
        answer = await alone.get("/outbox", params={"account": "shop"})
        assert answer.status == 404
    async with agency(tmp_path) as both:
        assert "Hi" in await texts_of(both.wabot, "shop", BEN)


async def test_without_further_accounts_nothing_names_one(tmp_path: Path) -> None:
    async with business(tmp_path) as alone:
        assert (await alone.get("/outbox")).json == {"count": 0, "outbox": []}
        assert (await alone.get("/outbox", params={"account": "main"})).json == {"count": 0, "outbox": []}
        assert "accounts" not in (await alone.get("/readyz")).json
        assert "account=" not in (await alone.get("/metrics")).body.decode()


async def test_a_history_never_crosses_accounts_in_mongodb(tmp_path: Path, mongo_uri: str, database: str) -> None:
    async with agency(tmp_path, mongo={"uri": mongo_uri, "database": database}) as both:
        await both.main.say("to main", from_=ANA)
        await both.shop.say("to shop", from_=ANA)
        found: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_uri)
        documents = found[database]["user_chat"]
        await until(lambda: documents.count_documents({"status": "read"}), 2)
        both.wabot.running.accounts.named("shop")
        assert {d["account"] async for d in documents.find({"body": "to shop"})} == {"shop"}
        older = {"participant_numbers": [ANA], "timestamp": "1", "type": "text", "body": "old", "raw": {}}
        await documents.insert_one({**older, "id": "1", "from": ANA, "to": both.shop.business_number})
        await documents.insert_one({**older, "id": "2", "from": ANA, "to": "4930123456", "body": "older"})
        main, shop = [await texts_of(both.wabot, name) for name in ("main", "shop")]
        found.close()
    assert ("to main" in main, "older" in main, "to shop" in main, "old" in main) == (True, True, False, False)
    assert ("to shop" in shop, "old" in shop, "to main" in shop, "older" in shop) == (True, True, False, False)


async def test_the_terminal_names_the_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with agency(tmp_path) as both:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(data=tmp_path, main=both.wabot.settings.whatsapp.graph_api_base), "utf-8")
        await both.wabot.post("/initiate-bulk", {"numbers": [BEN], "account": "shop"})

        async def run(*arguments: str) -> tuple[int, str]:
            status = await asyncio.to_thread(cli.main, [*arguments, "--config", str(config)])
            return status, capsys.readouterr().out

        assert BEN in (await run("outbox", "list", "--account", "shop"))[1]
        assert BEN not in (await run("outbox", "list"))[1]
        copy = tmp_path / "shop-copy.db"
        assert (await run("backup", str(copy), "--account", "shop"))[0] == 0
        with closing(sqlite3.connect(copy)) as db:
            assert db.execute("SELECT value FROM meta WHERE key = 'phone_number_id'").fetchone()[0] == "111"
        assert (await run("backup", str(copy), "--account", "nobody"))[0] == cli.MISUSED
        status, out = await run("doctor", "--json")
        checks = json.loads(out.splitlines()[-1])["checks"]
        assert {(check["account"], check["name"]) for check in checks} >= {("main", "token"), ("shop", "token")}
        assert status == 1, "the shop's graph_api_base is main's, which does not know its number"


async def test_a_problem_of_several_accounts_names_them_and_their_settings(both: Agency) -> None:
    for account in both.wabot.running.accounts:
        account.watch.webhook_refused()
    (problem_main, problem_shop) = (await both.wabot.get("/readyz")).json["problems"]
    assert (problem_main["account"], problem_shop["account"]) == ("main", "shop")
    assert "whatsapp.app_secret" in problem_main["remedy"]
    assert "accounts.shop.app_secret" in problem_shop["remedy"]
    for account in both.wabot.running.accounts:
        account.watch.problems.end("signature")
        account.watch.problems.begin("mongo", "MongoDB does not answer", "Start it.")
    (problem,) = (await both.wabot.get("/readyz")).json["problems"]
    assert problem["accounts"] == ["main", "shop"]


async def test_metrics_are_shown_although_one_journal_cannot_be_read(
    both: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable() -> None:
        raise JournalDown("the journal cannot be read")

    monkeypatch.setattr(both.wabot.running.accounts.named("shop").journal, "depths", unreadable)
    text = (await both.wabot.get("/metrics")).body.decode()
    assert 'wabot_account_up{account="main"} 1.0' in text
    assert 'wabot_account_up{account="shop"} 0.0' in text
    assert 'wabot_lane_up{account="main"' in text


async def test_a_body_that_might_name_an_account_is_not_overlooked(both: Agency) -> None:
    answer = await both.wabot.post(f"/contacts/{ANA}/opt-out", data=b'{"account":"shop"}')
    assert answer.status == 200, "octet-stream is read as JSON"
    assert answer.json["account"] == "shop"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await both.wabot.post(f"/contacts/{ANA}/opt-out", data=b'{"account":"shop"}', headers=form)
    assert answer.status == 415


def says(meta: Meta, words: str) -> bytes:
    """A webhook in which Ana says something, with her number and the user id that this business has of her."""
    user_id = f"IN.{meta.phone_number_id}"
    wamid = payloads.new_wamid(ANA, inbound=True)
    message = payloads.inbound(payloads.text(words), wamid, time.time(), from_=ANA, user_id=user_id)
    return payloads.encode(meta.envelope(messages=[message], contacts=[payloads.contact(ANA, user_id, "Ana")]))


async def test_a_shared_stop_binds_people_whose_user_id_differs_between_businesses(tmp_path: Path) -> None:
    async with agency(tmp_path, optout={"shared": True}) as both:
        for meta, words in ((both.main, "Hi"), (both.shop, "STOP"), (both.main, "Still there?")):
            assert (await deliver(both.wabot, says(meta, words), meta.app_secret)).status == 200
        batch = await both.wabot.post("/initiate-bulk", {"numbers": [ANA]})
        assert batch.json["results"][0]["error_code"] == "opted_out"
