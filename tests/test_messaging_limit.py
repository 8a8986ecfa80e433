"""Meta's messaging limit from outside: a stand-in that keeps it, and a wabot that never goes beyond it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.business import ANA, Business, business
from tests.process import eventually
from tests.test_accounts import Agency, agency
from wabot.sandbox.behaviour import LOST, Answer, Behaviour, error, undelivered
from wabot.sandbox.meta import Meta

PEOPLE = [f"9198765432{number:02}" for number in range(10)]
ASYNC = {"Prefer": "respond-async"}


def strict(limit: int | None) -> Meta:
    """A Meta that fails by receipt what is above the limit."""
    meta = Meta(behaviour=Behaviour(), receipt_delay=0.0)
    meta.account.limit = limit
    return meta


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Business]:
    """wabot, which may write to three people first."""
    async with business(tmp_path, meta=strict(3), examine=True) as b:
        await knows_limit(b, 3)
        yield b


async def knows_limit(b: Business, most: float) -> None:
    async def holds() -> bool:
        return (await metric(b, "wabot_messaging_limit")) == most

    await eventually(holds)


async def metric(b: Business, name: str) -> float:
    families = text_string_to_metric_families((await b.get("/metrics")).body.decode())
    return next(sample.value for family in families for sample in family.samples if sample.name == name)


async def waiting(b: Business) -> list[dict[str, Any]]:
    return (await b.get("/outbox", params={"state": "held"})).json["outbox"]  # type: ignore[no-any-return]


async def all_settled(b: Business, sent: int, held: int) -> None:
    async def holds() -> bool:
        return len(b.meta.sent) == sent and len(await waiting(b)) == held

    await eventually(holds)


def nobody_beyond(meta: Meta) -> bool:
    return all(receipt.error is None for receipt in meta.told)


async def test_who_does_not_fit_waits_and_it_says_until_when(small: Business) -> None:
    queued = await small.post("/initiate-bulk", {"numbers": PEOPLE[:5]}, headers=ASYNC)
    assert queued.status == 202
    await all_settled(small, sent=3, held=2)
    for job in await waiting(small):
        assert job["why"].startswith("Is held: Meta allows 3 new people in 24 hours: there is room again at 20")
        assert job["due_at"] == pytest.approx(time.time() + 86400, abs=60)
    assert nobody_beyond(small.meta)
    assert await metric(small, "wabot_messaging_limit_used") == 3


async def test_one_message_to_one_person_waits_too_and_people_known_today_do_not(small: Business) -> None:
    template = {"name": "hello_world", "language": "en_US"}
    await small.post("/initiate-bulk", {"numbers": PEOPLE[:3]})
    again = await small.post("/messages", {"number": PEOPLE[0], "template": template})
    more = await small.post("/messages", {"number": PEOPLE[3], "template": template}, headers={"Prefer": "wait=0"})
    assert (again.json["status"], more.json["status"]) == ("sent", "queued")
    await all_settled(small, sent=4, held=1)


async def test_who_writes_is_answered_and_does_not_count(small: Business) -> None:
    await small.post("/initiate-bulk", {"numbers": PEOPLE[:4]}, headers=ASYNC)
    await all_settled(small, sent=3, held=1)
    await small.meta.say("Hello?", from_=ANA)
    await eventually(lambda: [one for one in small.meta.sent if one.to == ANA])
    bulk = await small.post("/initiate-bulk", {"numbers": [ANA]})
    assert bulk.json["successful"] == 1
    assert await metric(small, "wabot_messaging_limit_used") == 3


async def test_a_higher_limit_lets_the_oldest_go_at_once(small: Business) -> None:
    await small.post("/initiate-bulk", {"numbers": PEOPLE[:6]}, headers=ASYNC)
    await all_settled(small, sent=3, held=3)
    assert await small.meta.set_limit(5) == 200
    await all_settled(small, sent=5, held=1)
    assert [one.to for one in small.meta.sent] == PEOPLE[:5]
    assert await small.meta.set_limit(None) == 200
    await all_settled(small, sent=6, held=0)
    assert await metric(small, "wabot_messaging_limit") == math.inf
    assert nobody_beyond(small.meta)


async def test_whom_meta_refuses_takes_nobodys_place(small: Business) -> None:
    small.meta.behaviour.always(ANA, error(131026))
    await small.post("/initiate-bulk", {"numbers": [ANA]})
    await small.post("/initiate-bulk", {"numbers": PEOPLE[:3]})
    assert [one.to for one in small.meta.sent] == PEOPLE[:3]


async def test_a_restart_forgets_neither_limit_nor_people(tmp_path: Path) -> None:
    meta = strict(3)
    async with business(tmp_path, meta=meta, examine=True) as b:
        await knows_limit(b, 3)
        await b.post("/initiate-bulk", {"numbers": PEOPLE[:2]})
    async with business(tmp_path, meta=meta) as b:  # nobody asks Meta
        assert await metric(b, "wabot_messaging_limit_used") == 2
        await b.post("/initiate-bulk", {"numbers": PEOPLE[2:5]}, headers=ASYNC)
        await all_settled(b, sent=3, held=2)
    assert nobody_beyond(meta)


async def test_whom_a_message_did_not_reach_gives_the_place_to_another(
    small: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wabot.work.portfolios.IN_FLIGHT_SECONDS", 0.0)
    small.meta.behaviour.always(PEOPLE[0], undelivered(131026))
    await small.post("/initiate-bulk", {"numbers": PEOPLE[:4]}, headers=ASYNC)
    await all_settled(small, sent=3, held=1)
    await eventually(lambda: any(told.error is not None for told in small.meta.told))
    await small.running.account.watch.examine(small.running.account.doctor)  # as every hour
    await all_settled(small, sent=4, held=0)


async def test_a_dry_run_says_how_many_days_it_takes(small: Business) -> None:
    asked = {"numbers": PEOPLE[:7], "dry_run": True}
    assert (await small.post("/initiate-bulk", asked)).json["seconds"] == 2 * 86400


async def test_accounts_of_one_portfolio_share_the_limit(tmp_path: Path) -> None:
    async with agency(tmp_path, whatsapp={"business_account_id": "200000000000002"}) as both:
        for meta in (both.main, both.shop):
            meta.account.limit = 4
        await examined(both)
        for account, people in (("main", PEOPLE[:3]), ("shop", PEOPLE[2:6])):
            await both.wabot.post("/initiate-bulk", {"numbers": people, "account": account}, headers=ASYNC)
        await eventually(lambda: len(both.main.sent) + len(both.shop.sent) >= 5)
        await asyncio.sleep(0.3)
        assert len({one.to for one in (*both.main.sent, *both.shop.sent)}) == 4
        assert len((*both.main.sent, *both.shop.sent)) == 5  # one of them hears from both


async def test_accounts_of_two_portfolios_do_not(tmp_path: Path) -> None:
    async with agency(tmp_path, whatsapp={"business_account_id": "200000000000002"}) as both:
        both.shop.account.owner_id = "somebody else"
        for meta in (both.main, both.shop):
            meta.account.limit = 2
        await examined(both)
        for account in ("main", "shop"):
            await both.wabot.post("/initiate-bulk", {"numbers": PEOPLE[:4], "account": account}, headers=ASYNC)
        await eventually(lambda: len(both.main.sent) == len(both.shop.sent) == 2)
        await asyncio.sleep(0.3)
        assert len(both.main.sent) == len(both.shop.sent) == 2


async def examined(both: Agency) -> None:
    """Doctor has asked Meta about each account."""
    for account in both.wabot.running.accounts:
        await account.watch.examine(account.doctor)


async def test_who_may_have_got_a_message_that_is_parked_keeps_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wabot.work.portfolios.IN_FLIGHT_SECONDS", 0.0)
    meta = strict(1)
    meta.behaviour.always(PEOPLE[0], Answer(cut=True, receipts=LOST))
    async with business(tmp_path, meta=meta, examine=True, delivery={"in_doubt": "park"}) as b:
        await knows_limit(b, 1)
        await b.post("/initiate-bulk", {"numbers": PEOPLE[:1]}, headers=ASYNC)

        async def is_parked() -> bool:
            return bool((await b.get("/outbox", params={"state": "parked"})).json["outbox"])

        await eventually(is_parked)
        await b.running.account.watch.examine(b.running.account.doctor)
        await b.post("/initiate-bulk", {"numbers": PEOPLE[1:2]}, headers=ASYNC)
        await all_settled(b, sent=1, held=1)
