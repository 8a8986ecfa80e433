"""What Meta says of the account and the number, and what wabot does about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from tests.business import ANA, BEN, Business, business
from tests.process import eventually
from wabot.core.account import AccountNews, Standing
from wabot.core.limits import Bucket
from wabot.core.messages import Delivery
from wabot.journal.accept import Taken
from wabot.news import News
from wabot.work.runner import Lane


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


async def test_news_of_another_account_change_nothing(tmp_path: Path) -> None:
    async with business(tmp_path, whatsapp={"business_account_id": "7"}) as wabot:
        assert await wabot.meta.news("account_update", banned("DISABLE")) == 200
        assert await send_lane(wabot) == ("running", None)


NOBODY = cast("Lane", None)
"""In place of a lane that is not touched."""


def test_what_people_write_counts_against_the_throughput() -> None:
    bucket = Bucket(rate=100, now=0)
    before = bucket.room(0)
    News(NOBODY, bucket, lambda: 0.0).heed(Delivery(), Taken(stored=2))
    assert bucket.room(0) == before - 2


def test_an_upgrade_makes_the_throughput_whole() -> None:
    bucket = Bucket(rate=100, now=0)
    bucket.slow_down(0)
    upgrade = AccountNews(Standing.FASTER, "faster", 0)
    News(NOBODY, bucket, lambda: 0.0).heed(Delivery(), Taken(account=[upgrade]))
    assert bucket.rate == 100
