"""What one account's trouble, secrets and words do to the others: nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, web

from benchmarks.rows import Filling, fill
from tests.business import ANA, BEN, EVA, KEY, Business, settings
from tests.process import BESIDE_OTHERS, ROOT, World, eventually, world
from tests.test_accounts import SHOP_KEY, Agency, agency, body_for, deliver, sent, texts_of
from wabot.assembly import account, start_and_stop
from wabot.core.exceptions import JournalDown
from wabot.core.json_limits import SMALL
from wabot.journal.journal import Journal
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta, serve
from wabot.webhook_signers import WAITING_BYTES

MANY = 12


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Agency]:
    async with agency(tmp_path) as one:
        yield one


def numbers(count: int, secret: str = "") -> list[Meta]:
    """So many numbers, each with an app secret of its own if none is given."""
    return [
        Meta(
            behaviour=Behaviour(by_number=False), phone_number_id=f"{500 + nth}", business_account_id=f"{700 + nth}",
            business_number=f"1555000{nth:04d}", app_secret=secret or f"secret-{nth}",
        )
        for nth in range(count)
    ]  # fmt: skip


def tables(metas: Sequence[Meta]) -> list[dict[str, Any]]:
    """The [[accounts]] of these numbers, whose Meta cannot be reached."""
    return [
        {
            "name": f"n{meta.phone_number_id}", "phone_number_id": meta.phone_number_id, "access_token": "token",
            "business_account_id": str(int(meta.phone_number_id) + 200), "app_secret": meta.app_secret,
            "verify_token": "verify", "graph_api_base": "http://127.0.0.1:9/v26.0",
            "api_keys": [f"the-key-of-number-{meta.phone_number_id}"],
        }
        for meta in metas
    ]  # fmt: skip


@asynccontextmanager
async def office(data_dir: Path, metas: Sequence[Meta], **sections: Any) -> AsyncIterator[Business]:
    """A wabot with an account for each of these numbers, whose Meta cannot be reached."""
    nobody = {"access_token": "", "phone_number_id": "", "verify_token": "", "app_secret": ""}
    chosen = settings(data_dir, accounts=tables(metas), whatsapp=nobody, **sections)
    async with (
        start_and_stop.run(chosen, examine=False) as running,
        ClientSession(running.url, headers={"X-API-Key": KEY}) as client,
    ):
        yield Business(running.url, client, metas[0], chosen, running)


async def refuse_writes(wabot: Business, account: str, *, refuse: bool = True) -> None:
    """The disk of an account refuses every write, as far as its journal can see."""
    journal = wabot.running.accounts.named(account).journal
    await journal._connection.run(lambda db: db.execute(f"PRAGMA query_only = {int(refuse)}").fetchall())


# --- trouble ---


async def test_what_is_wrong_with_all_accounts_is_named_for_each_with_its_settings(tmp_path: Path) -> None:
    metas = numbers(3)
    async with office(tmp_path, metas) as wabot:
        assert (await deliver(wabot, body_for(*metas), "another")).status == 401
        problems = (await wabot.get("/readyz")).json["problems"]
        assert {problem["what"][:8] for problem in problems} == {"Webhooks"}
        assert {problem["account"] for problem in problems} == set(wabot.running.accounts.running)


async def test_a_disk_that_refuses_writes_is_503_for_its_account_alone(tmp_path: Path) -> None:
    async with agency(tmp_path, shop={"app_secret": "sandbox-secret"}) as both:
        wabot, mixed = both.wabot, body_for(both.main, both.shop)
        await refuse_writes(wabot, "shop")
        assert (await deliver(wabot, body_for(both.shop), "sandbox-secret")).status == 503
        assert (await deliver(wabot, mixed, "sandbox-secret")).status == 503
        await eventually(lambda: sent(both.main))
        assert (await deliver(wabot, body_for(both.main, texts="More"), "sandbox-secret")).status == 200
        await eventually(lambda: len(sent(both.main)) == 2)
        await refuse_writes(wabot, "shop", refuse=False)
        answer = await deliver(wabot, mixed, "sandbox-secret")
        assert (answer.status, answer.json) == (200, {"received": 2, "stored": 1})
        await eventually(lambda: sent(both.shop))
        await asyncio.sleep(0.2)
        assert (len(sent(both.main)), len(sent(both.shop))) == (2, 1)


async def test_a_journal_that_refuses_its_first_write_stops_that_account_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recover = account._recover

    async def full(journal: Any, number: str, clock: Any) -> None:
        if number == "111":
            raise JournalDown("the journal cannot be written: database or disk is full")
        await recover(journal, number, clock)

    monkeypatch.setattr(account, "_recover", full)
    async with agency(tmp_path) as both:
        await both.main.say("Hi", from_=ANA)
        await eventually(lambda: sent(both.main))
        (problem,) = (await both.wabot.get("/readyz")).json["problems"]
        assert (problem["account"], "disk is full" in problem["what"]) == ("shop", True)


async def test_a_journal_that_refuses_the_wishes_of_others_at_the_start_keeps_nobody_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with agency(tmp_path) as both:
        await both.shop.say("STOP", from_=ANA)

    async def full(journal: Any, *_: Any) -> None:
        raise JournalDown("the journal cannot be written: database or disk is full")

    monkeypatch.setattr(Journal, "apply_wishes", full)
    async with agency(tmp_path, optout={"shared": True}) as both:
        await both.shop.say("START", from_=BEN)
        await both.main.say("Hi", from_=EVA)
        await eventually(lambda: (EVA, "template") in sent(both.main))


@asynccontextmanager
async def model(hangs_on: str, until: asyncio.Event) -> AsyncIterator[str]:
    """A model that does not answer where a word stands in the prompt; its base URL."""

    async def complete(request: web.Request) -> web.Response:
        if hangs_on in await request.text():
            await until.wait()
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": "Certainly"}}]})

    app = web.Application()
    app.router.add_post("/chat/completions", complete)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_model_that_hangs_for_one_account_answers_the_others(tmp_path: Path) -> None:
    let_go = asyncio.Event()
    async with model(hangs_on="shop", until=let_go) as url:
        same = {"provider": "openai", "model": "m", "base_url": url, "timeout_seconds": 30}
        async with agency(
            tmp_path, assistant=same, first_contact={"answer": "ai"}, delivery={"concurrency": 4}
        ) as both:
            people = [f"4917112345{nth:02d}" for nth in range(20)]
            await asyncio.gather(*(both.shop.say("for the shop", from_=one) for one in people))
            await both.main.say("Hi", from_=ANA)
            await eventually(lambda: sent(both.main), 5)
            assert sent(both.shop) == []
            let_go.set()


async def test_a_backlog_of_one_account_delays_neither_its_webhooks_nor_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "accounts" / "shop"
    folder.mkdir(parents=True, mode=0o700)
    (tmp_path / "accounts").chmod(0o700)
    await asyncio.to_thread(fill, folder, Filling(people=2000, sends=50_000), due_at=time.time() - 1)
    limit = {"messages_per_second": 80}
    async with agency(tmp_path, delivery=limit) as both:
        await eventually(lambda: len(both.shop.sent) > 10)
        started = time.monotonic()
        await both.main.say("Hi", from_=ANA)
        await eventually(lambda: sent(both.main), 5)
        assert (await deliver(both.wabot, body_for(both.shop), "shop-secret")).status == 200
        assert time.monotonic() - started < 3
        await eventually(lambda: (ANA, "template") in sent(both.shop), 5)  # replies overtake the bulk


async def test_a_mixed_webhook_of_thousands_of_messages_holds_up_nobody(tmp_path: Path) -> None:
    """In a process of its own, with a probe in its loop; the least of some tries, since others use this machine too."""
    metas, file = numbers(MANY, "one-app"), tmp_path / "lag"
    variable = json.dumps(tables(metas))
    async with world(tmp_path, assistant={"quiet_seconds": 60}) as w:
        await w.start(launcher=(ROOT / "tests" / "faults" / "launch_probed.py", file, "none"), WABOT_ACCOUNTS=variable)
        stalls = []
        for _ in range(3):
            entries = [entry for _ in range(3000 // MANY) for entry in json.loads(body_for(*metas))["entry"]]
            body = payloads.encode({"object": "whatsapp_business_account", "entry": entries})
            headers = {"X-Hub-Signature-256": payloads.sign(body, "one-app")}
            file.unlink(missing_ok=True)
            await eventually(file.exists)
            async with w.client.post(f"{w.wabot.url}/webhook", data=BytesIO(body), headers=headers) as answer:
                assert await answer.json() == {"received": len(entries), "stored": len(entries)}
            stalls.append(float(file.read_text() or 0))
            if stalls[-1] < 0.1:
                break
        assert min(stalls) < 0.1 * BESIDE_OTHERS


# --- secrets ---


async def test_a_webhook_is_known_by_its_secret_whichever_it_is(tmp_path: Path) -> None:
    metas = numbers(MANY)
    async with office(tmp_path, metas) as wabot:
        for meta in metas:
            answer = await deliver(wabot, body_for(meta), meta.app_secret)
            assert (answer.status, answer.json["stored"]) == (200, 1), meta.phone_number_id
        foreign = body_for(Meta(phone_number_id="999", business_account_id="998"))
        large = foreign[:-1] + b" " * SMALL + b"}"
        for body in (foreign, large):
            assert (await deliver(wabot, body, metas[-1].app_secret)).json == {"received": 1, "stored": 0}
            assert (await deliver(wabot, body, "no secret of ours")).status == 401


async def test_what_waits_for_all_secrets_to_be_tried_is_bounded(tmp_path: Path) -> None:
    metas = numbers(MANY)
    async with office(tmp_path, metas) as wabot:
        wabot.running.intake._signers._waiting = WAITING_BYTES
        foreign = body_for(Meta(phone_number_id="999", business_account_id="998"))[:-1] + b" " * SMALL + b"}"
        answer = await deliver(wabot, foreign, metas[-1].app_secret)
        assert (answer.status, answer.headers["Retry-After"].isdigit()) == (503, True)
        assert (await deliver(wabot, body_for(metas[-1]), metas[-1].app_secret)).status == 200


async def test_a_webhook_with_parts_only_for_accounts_that_did_not_sign_it_is_401(both: Agency) -> None:
    assert (await deliver(both.wabot, body_for(both.main), "shop-secret")).status == 401
    assert await texts_of(both.wabot, "main") == []
    problems = (await both.wabot.get("/readyz")).json["problems"]
    assert [problem["account"] for problem in problems] == ["main"]


async def test_an_account_without_signatures_accepts_nothing_for_the_others(tmp_path: Path) -> None:
    async with agency(tmp_path, shop={"app_secret": "", "allow_unsigned": True}) as both:
        assert (await deliver(both.wabot, body_for(both.main), "wrong")).status == 401
        assert (await deliver(both.wabot, body_for(both.shop), "wrong")).json == {"received": 1, "stored": 1}
        mixed = await deliver(both.wabot, body_for(both.main, both.shop), "wrong")
        assert mixed.json == {"received": 1, "stored": 1}
        assert await texts_of(both.wabot, "main") == []


async def test_the_key_of_the_only_account_opens_it(tmp_path: Path) -> None:
    (meta,) = numbers(1)
    async with office(tmp_path, [meta]) as wabot, ClientSession(wabot.url) as client:
        own = replace(wabot, client=client)
        headers = {"X-API-Key": f"the-key-of-number-{meta.phone_number_id}"}
        name = f"n{meta.phone_number_id}"
        for path in (f"/outbox?account={name}", "/outbox", "/readyz", "/metrics"):
            assert (await own.get(path, headers=headers)).status == 200, path


# --- words ---


@pytest.mark.parametrize("where", ["body", "query"])
async def test_what_is_done_by_hand_is_done_to_the_account_that_is_named(both: Agency, where: str) -> None:
    name: dict[str, Any] = {"value": {"account": "shop"}} if where == "body" else {"params": {"account": "shop"}}
    answer = await both.wabot.post(f"/contacts/{ANA}/opt-out", **name)
    assert answer.json == {"account": "shop", "number": ANA, "opted_out": True}
    batch = await both.wabot.post("/initiate-bulk", {"numbers": [ANA]})
    assert batch.json["successful"] == 1, "main did not stop"
    for path in ("/batches/x/cancel", "/outbox/x-1/retry", "/outbox/x-1/cancel", "/merges/1/undo"):
        name = {"value": {"account": "nobody"}} if where == "body" else {"params": {"account": "nobody"}}
        answer = await both.wabot.post(path, **name)
        assert "nobody" in answer.json["error"]["message"], path
    assert (await both.wabot.post("/lanes/send/probe", **name)).status == 404
    wrong = await both.wabot.post("/lanes/send/probe", {"account": 7})
    assert wrong.status == 422


async def test_a_key_of_one_account_does_nothing_to_another(both: Agency) -> None:
    async with ClientSession(both.wabot.url, headers={"X-API-Key": SHOP_KEY}) as client:
        shop = replace(both.wabot, client=client)
        for value in (None, {}, {"account": "main"}, {"account": ""}):
            for path in (f"/contacts/{ANA}/opt-out", "/lanes/send/probe", "/batches/x/cancel"):
                assert (await shop.post(path, value)).status == 401, (path, value)
        twice = await shop.post("/get?account=shop", {"number": ANA, "account": "main"})
        assert twice.status == 401
        assert (await shop.get("/outbox?account=shop&account=main")).json["account"] == "shop"


async def test_requests_and_problems_are_logged_with_their_account(
    both: Agency, capsys: pytest.CaptureFixture[str]
) -> None:
    await both.wabot.post("/initiate-bulk", {"numbers": [BEN], "account": "shop"})
    await deliver(both.wabot, body_for(both.shop), "wrong", "/webhook/111")
    await both.wabot.get("/healthz")
    lines = capsys.readouterr().out.splitlines()
    for event in ("batch.queued", "route=/initiate-bulk", "problem.began"):
        assert [line for line in lines if event in line and "account=shop" in line], event
    assert not [line for line in lines if "route=/healthz" in line and "account=" in line]
    await refuse_writes(both.wabot, "shop")
    await deliver(both.wabot, body_for(both.shop), "shop-secret")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "journal.refused" in line and "account=shop" in line]


async def test_a_shared_stop_is_stored_although_another_disk_refuses_it_and_reaches_that_one_later(
    tmp_path: Path,
) -> None:
    async with agency(tmp_path, optout={"shared": True}) as both:
        stop = body_for(both.shop, texts="STOP")
        await refuse_writes(both.wabot, "main")
        assert (await deliver(both.wabot, stop, "shop-secret")).status == 503, "Meta repeats it"
        assert await texts_of(both.wabot, "shop") != []
        await refuse_writes(both.wabot, "main", refuse=False)
        assert (await deliver(both.wabot, stop, "shop-secret")).status == 200
        batch = await both.wabot.post("/initiate-bulk", {"numbers": [ANA, EVA]})
        assert batch.json["results"][0]["error_code"] == "opted_out"
        assert batch.json["results"][1]["success"]


# --- crashes ---


async def test_a_killed_process_loses_nothing_of_any_account_and_answers_nobody_twice(tmp_path: Path) -> None:
    """Webhooks that mix two numbers, each repeated until it is answered 200, while wabot is killed three times."""
    main, shop = numbers(2, "one-app")
    people = [f"49171{nth:07d}" for nth in range(60)]
    whatsapp = {"phone_number_id": main.phone_number_id, "app_secret": "one-app"}
    delivery = {"in_doubt": "park", "hold_seconds": 600}  # nothing is sent twice, whatever Meta has of it
    runner, url = await serve(shop)
    (account,) = tables([shop])
    variable = json.dumps([{**account, "access_token": shop.access_token, "graph_api_base": f"{url}/v26.0"}])
    try:
        async with world(tmp_path, meta=main, whatsapp=whatsapp, delivery=delivery) as w:
            await w.start(WABOT_ACCOUNTS=variable)
            load = asyncio.gather(*(until_taken(w, body_for(main, shop, from_=one)) for one in people))
            for after in (0.1, 0.3, 0.2):
                await asyncio.sleep(after)
                await w.wabot.kill()
                await w.start(WABOT_ACCOUNTS=variable)
            await load
            for meta, folder in ((main, ""), (shop, f"accounts/{account['name']}")):
                journal = tmp_path / "data" / folder / "wabot.db"
                await eventually(lambda journal=journal: not count(journal, _OPEN))
                answered = [one.to for one in meta.sent]
                assert len(answered) == len(set(answered)), "somebody was answered twice"
                assert count(journal, "SELECT count(*) FROM messages WHERE direction = 'in'") == len(people)
                assert len(answered) + count(journal, _IN_DOUBT) >= len(people), "somebody was not answered"
    finally:
        await runner.cleanup()


_OPEN = "SELECT count(*) FROM jobs WHERE state IN ('waiting', 'queued', 'running')"
_IN_DOUBT = "SELECT count(*) FROM jobs WHERE state IN ('in_doubt', 'parked')"


def count(journal: Path, question: str) -> int:
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute(question).fetchone()[0])


async def until_taken(w: World, body: bytes) -> None:
    """As Meta: again and again, until it is answered 200."""
    headers = {"X-Hub-Signature-256": payloads.sign(body, "one-app")}
    while True:
        with suppress(ClientError):
            async with w.client.post(f"{w.wabot.url}/webhook", data=body, headers=headers) as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.05)
