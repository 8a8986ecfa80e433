"""What Meta delivers after an outage, from outside: answered once if it is recent, else left to a person."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.business import ANA, BEN, Business, business
from tests.test_what_it_costs import AI, settled

HOUR = 3600


async def attention(b: Business, number: str) -> str | None:
    """Why somebody waits for a person."""
    asked = (await b.get(f"/contacts/{number}")).json["attention"]
    return None if asked is None else str(asked["reason"])


async def test_a_backlog_is_answered_once_if_its_newest_message_is_recent_and_else_a_person_is_asked_for(
    tmp_path: Path,
) -> None:
    async with business(tmp_path, assistant={"quiet_seconds": 0.5}, first_contact=AI) as b:
        now = time.time()
        for hours in (40, 20, 13, 11, 1):
            await b.meta.say(f"{hours} hours ago", from_=ANA, timestamp=now - hours * HOUR)
        for hours in (40, 20, 13):
            await b.meta.say(f"{hours} hours ago", from_=BEN, timestamp=now - hours * HOUR)
        await settled(b, 2)
        await b.meta.until(lambda meta: len(meta.sent) > 0)
        await asyncio.sleep(0.3)
        assert [one.payload["to"].lstrip("+") for one in b.meta.sent] == [ANA]
        assert await attention(b, ANA) is None
        assert await attention(b, BEN) == "old_news"
        assert (await b.post("/get", {"number": BEN})).json["count"] == 3, "it is recorded"
        assert (await b.get(f"/contacts/{BEN}")).json["assistant"]["state"] == "on", "nothing is paused"

        await b.meta.say("Hello?", from_=BEN)
        await b.meta.until(lambda meta: len(meta.sent) == 2)
        assert await attention(b, BEN) == "old_news", "until a person has seen to it"


async def test_how_old_news_may_be_is_a_setting(tmp_path: Path) -> None:
    async with business(tmp_path, assistant={"max_age_hours": 2}, first_contact=AI) as b:
        await b.meta.say("Hello", from_=ANA, timestamp=time.time() - 3 * HOUR)
        await settled(b, 1)
        assert (await attention(b, ANA), b.meta.sent) == ("old_news", [])
