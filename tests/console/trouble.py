"""A bad day: something is wrong on every page of the console."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.business import ANA, BEN, EVA, Business, business
from wabot.sandbox.behaviour import LOST, Answer, error, undelivered

LEA, TOM, PIA, KAI = "491711234501", "491711234502", "491711234503", "491711234504"
HELLO = {"template": {"name": "hello_world", "language": "en_US"}}
PAGES = (
    "", "/conversations", "/conversations?waiting=1", "/conversations?search=nobody", f"/conversations/{ANA}",
    f"/conversations/{BEN}", f"/conversations/{EVA}", "/outbox", "/outbox?view=unread", "/outbox?view=leaving",
    "/outbox?view=parked", "/outbox?view=replies", "/outbox?view=all", "/batches", "/batches/new",
    "/knowledge", "/setup", "/setup/checks", "/events", "/events?state=failed", "/events?state=queued", "/nothing",
)  # fmt: skip


@asynccontextmanager
async def bad_day(place: Path, **more: Mapping[str, Any]) -> AsyncIterator[Business]:
    """wabot whose model is away, whose endpoint does not listen, and whose knowledge is broken; Meta refuses much."""
    knowledge = place / "knowledge"
    knowledge.mkdir()
    (knowledge / "prices.md").write_text("# Tulips\nTulips cost 12 euros.\n", "utf-8")
    (knowledge / "scanned.pdf").write_bytes(b"%PDF-1.4 broken")
    sections: dict[str, Mapping[str, Any]] = {
        "whatsapp": {"business_account_id": "200000000000002"},
        "assistant": {
            "provider": "openai", "model": "m", "api_key": "k", "base_url": "http://127.0.0.1:9",
            "knowledge_dir": knowledge,
        },
        "first_contact": {"answer": "ai", "template": "not_there"},
        "delivery": {
            "backoff_base_seconds": 60, "backoff_max_seconds": 60, "in_doubt": "park", "hold_seconds": 0.1,
            "pair_interval_seconds": 60, "pair_burst": 3,
        },
        "server": {"public_url": "http://127.0.0.1:9"},
        **more,
    }  # fmt: skip
    endpoint = {"url": "http://127.0.0.1:9/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    async with business(place / "data", events=[endpoint], examine=True, **sections) as b:
        await _happen(b)
        yield b


async def _happen(b: Business) -> None:
    b.meta.templates.add("order_update", "en_US", "UTILITY", [{"type": "BODY", "text": "Hello {{1}}, it is ready."}])
    for number, answer in (
        (LEA, error(131026)),
        (TOM, undelivered(131049)),
        (PIA, Answer(cut=True, receipts=LOST)),
        (EVA, error(131053)),
    ):
        b.meta.behaviour.always(number, answer)
    await b.meta.say("Do you have tulips for Saturday?", from_=ANA, name="Ana García López")
    await b.meta.say("agent", from_=BEN, name="Ben")
    await b.post(f"/contacts/{BEN}/pause", {"hours": 12})
    soon = {"Prefer": "wait=0"}
    for number in (LEA, TOM, PIA, EVA, *[KAI] * 5):
        await b.post("/messages", {"number": number, **HELLO}, headers=soon)
    await b.post("/messages", {"number": BEN, "text": "Ben, this is Anna. How can I help?"}, headers=soon)
    await b.post("/initiate-bulk", {"numbers": [EVA, LEA, "12", KAI], **HELLO}, headers=soon)
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    await b.post("/initiate-bulk", {"numbers": [ANA, BEN, EVA], "send_at": later, **HELLO})
    await b.post("/initiate-bulk", {"numbers": [KAI], "send_at": later, **HELLO})
    await b.post(f"/batches/{(await b.get('/batches')).json['batches'][0]['batch_id']}/cancel")
    await b.meta.say("STOP", from_="491711234505", name="Mia")
    await _until(b, "parked")


async def _until(b: Business, state: str) -> None:
    async with asyncio.timeout(20):
        while not (await b.get("/outbox", params={"state": state})).json["outbox"]:
            await asyncio.sleep(0.05)
