"""What Meta says of the account and the number, and what wabot does about it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from tests.business import ANA, BEN, Business, business
from tests.process import eventually
from wabot.core import pauses_and_probes
from wabot.core.account_news import AccountNews, Standing
from wabot.core.messages import Status, Webhook
from wabot.core.rate_limits import Bucket
from wabot.journal.accept import Taken
from wabot.sandbox.behaviour import undelivered
from wabot.webhook_effects import WebhookEffects
from wabot.work.lane import Lane


def banned(state: str) -> dict[str, Any]:
    return {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": [state], "waba_ban_date": "March 3"}}


async def send_lane(wabot: Business) -> tuple[str, str | None]:
    ready = (await wabot.get("/readyz")).json
    return ready["lanes"]["send"], ready["paused"].get("send")


async def test_a_disabled_account_sends_nothing_until_it_is_reinstated(tmp_path: Path) -> None:
    async with business(tmp_path) as wabot:
        assert await wabot.meta.news("account_update", banned("DISABLE")) == 200
        assert await send_lane(wabot) == ("paused", "Meta has disabled the account")
        await wabot.post("/initiate-bulk", {"numbers": [ANA, BEN]}, headers={"Prefer": "respond-async"})
        assert wabot.meta.sent == []

        assert await wabot.meta.news("account_update", banned("REINSTATE")) == 200

        assert await send_lane(wabot) == ("running", None)
        await eventually(lambda: len(wabot.meta.sent) == 2, timeout=5)


async def test_a_restricted_account_answers_and_begins_nothing(tmp_path: Path) -> None:
    restriction = {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING"}
    news = {"event": "ACCOUNT_RESTRICTION", "restriction_info": [restriction]}
    async with business(tmp_path) as wabot:
        await wabot.meta.say("Hi", from_=ANA)
        await eventually(lambda: len(wabot.meta.sent) == 1)
        await wabot.meta.news("account_update", news)
        await wabot.post("/initiate-bulk", {"numbers": [BEN]}, headers={"Prefer": "respond-async"})
        await wabot.meta.say("prices?", from_=ANA)
        await eventually(lambda: len(wabot.meta.sent) == 2)
        assert {sent.to for sent in wabot.meta.sent} == {ANA}
        held = (await wabot.get("/outbox", params={"number": BEN})).json["outbox"]
        assert [(send["state"], send["error"]) for send in held] == [
            ("held", "Meta lets the account only answer, and begin nothing")
        ]

        await wabot.meta.news("account_update", banned("REINSTATE"))

        await eventually(lambda: len(wabot.meta.sent) == 3, timeout=5)


async def test_an_account_that_fails_by_receipt_what_it_accepted_stays_paused_and_uses_up_no_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """131042 for everybody, each time after a 200: also the probes get one."""
    monkeypatch.setattr(pauses_and_probes, "PROBE_FIRST_SECONDS", 0.3)
    numbers = [f"9190000050{n:02d}" for n in range(40)]
    patient = {"attempts": 1, "concurrency": 4, "backoff_base_seconds": 300, "backoff_max_seconds": 300}
    async with business(tmp_path, delivery=patient) as wabot:
        wabot.meta.behaviour.always("*", undelivered(131042))
        await wabot.post("/initiate-bulk", {"numbers": numbers}, headers={"Prefer": "respond-async"})
        await eventually(lambda: _is_paused(wabot))
        paused_at = wabot.meta._clock()
        await wabot.meta.until(lambda meta: meta.sent[-1].at > paused_at + 0.2)  # a probe
        await eventually(lambda: _failed(wabot) == len(wabot.meta.sent))
        state, reason = await send_lane(wabot)
        assert (state, "payment" in str(reason)) == ("paused", True)
        assert await _outbox(wabot, "failed") == []

        wabot.meta.behaviour.clear()
        await eventually(lambda: _is_delivered(wabot, 1))
        held = await _outbox(wabot, "held")
        assert {send["error_code"] for send in held} == {131042}
        with closing(sqlite3.connect(tmp_path / "wabot.db")) as db:
            assert db.execute("SELECT DISTINCT spent FROM jobs WHERE state = 'held'").fetchall() == [(0,)]
        for send in held:
            assert (await wabot.post(f"/outbox/{send['outbox_id']}/retry")).status == 200

        await eventually(lambda: _is_delivered(wabot, len(numbers)))
        assert await send_lane(wabot) == ("running", None)
    log = capsys.readouterr().out
    assert (log.count("lane.paused"), log.count("lane.resumed")) == (1, 1)


async def _is_paused(wabot: Business) -> bool:
    return (await send_lane(wabot))[0] == "paused"


async def _outbox(wabot: Business, state: str) -> list[dict[str, Any]]:
    sends: list[dict[str, Any]] = (await wabot.get("/outbox", params={"state": state})).json["outbox"]
    return sends


def _failed(wabot: Business) -> int:
    return len([receipt for receipt in wabot.meta.told if receipt.status is Status.FAILED])


def _is_delivered(wabot: Business, people: int) -> bool:
    return len({r.person for r in wabot.meta.told if r.status is Status.DELIVERED}) >= people


async def test_news_of_another_account_change_nothing(tmp_path: Path) -> None:
    async with business(tmp_path, whatsapp={"business_account_id": "7"}) as wabot:
        assert await wabot.meta.news("account_update", banned("DISABLE")) == 200
        assert await send_lane(wabot) == ("running", None)


NOBODY = cast("Lane", None)
"""In place of a lane that is not touched."""


def test_what_people_write_counts_against_the_throughput() -> None:
    bucket = Bucket(rate=100, now=0)
    before = bucket.room(0)
    WebhookEffects(NOBODY, bucket, lambda: 0.0).apply(Webhook(), Taken(stored=2))
    assert bucket.room(0) == before - 2


def test_an_upgrade_makes_the_throughput_whole() -> None:
    bucket = Bucket(rate=100, now=0)
    bucket.slow_down(0)
    upgrade = AccountNews(Standing.FASTER, "faster", 0)
    WebhookEffects(NOBODY, bucket, lambda: 0.0).apply(Webhook(), Taken(account=[upgrade]))
    assert bucket.rate == 100
