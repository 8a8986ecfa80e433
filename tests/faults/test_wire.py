"""Between wabot and Meta the wire breaks, in all the ways that sockets know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, Business, business
from tests.faults.proxy import Fault, Proxy, proxy
from tests.process import eventually, free_port
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta, serve

HOLD = 0.4


@asynccontextmanager
async def wired(place: Path, *faults: Fault, receipts: bool = False, **delivery: Any) -> AsyncIterator[tuple[Any, Any]]:
    """(wabot, the wire): wabot, whose connections to Meta suffer `faults`, one each."""
    meta = Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0, receipts=receipts)
    runner, url = await serve(meta)
    try:
        async with proxy(int(url.rpartition(":")[2])) as wire:
            wire.faults.extend(faults)
            whatsapp = {"graph_api_base": f"http://127.0.0.1:{wire.port}/v26.0"}
            delivery = {"hold_seconds": HOLD, **delivery}
            quiet = {"typing": False}  # "typing …" would suffer the fault in place of the send
            async with business(place, meta=meta, whatsapp=whatsapp, delivery=delivery, assistant=quiet) as wabot:
                yield wabot, wire
    finally:
        await runner.cleanup()


async def job(wabot: Business) -> dict[str, Any]:
    """The one send."""
    outbox = (await wabot.get("/outbox")).json["outbox"]
    assert len(outbox) <= 1
    return outbox[0] if outbox else {}


async def is_in(wabot: Business, state: str) -> None:
    """Wait until the one send is in a state."""

    async def there() -> bool:
        return (await job(wabot)).get("state") == state

    await eventually(there)


NOT_PASSED_ON = (Fault.RESET_AT_ONCE, Fault.CUT_BEFORE, Fault.RESET_BEFORE)
PASSED_ON = (Fault.CUT_AFTER, Fault.HALF_AN_ANSWER)


@pytest.mark.parametrize("fault", NOT_PASSED_ON, ids=str)
async def test_a_request_that_was_lost_is_sent_again_after_the_hold(tmp_path: Path, fault: Fault) -> None:
    async with wired(tmp_path, fault) as (wabot, _):
        await wabot.meta.say("Hi", from_=ANA)
        await is_in(wabot, "in_doubt")
        await is_in(wabot, "done")
        assert len(wabot.meta.attempts) == 1
        assert (await job(wabot))["attempts"] == 2


@pytest.mark.parametrize("fault", PASSED_ON, ids=str)
async def test_an_answer_that_was_lost_is_made_good_by_the_receipt(tmp_path: Path, fault: Fault) -> None:
    async with wired(tmp_path, fault, receipts=True) as (wabot, _):
        await wabot.meta.say("Hi", from_=ANA)
        await is_in(wabot, "done")
        await wabot.meta.until(lambda meta: len(meta.told) == 3)
        assert (len(wabot.meta.attempts), (await job(wabot))["attempts"]) == (1, 1)
        assert (await job(wabot))["message_id"] == wabot.meta.sent[0].wamid


@pytest.mark.parametrize("fault", PASSED_ON, ids=str)
async def test_an_answer_that_was_lost_with_its_receipts_costs_one_more_message_after_the_hold(
    tmp_path: Path, fault: Fault
) -> None:
    async with wired(tmp_path, fault) as (wabot, _):
        await wabot.meta.say("Hi", from_=ANA)
        await is_in(wabot, "done")
        first, second = wabot.meta.sent
        assert second.at - first.at >= HOLD


@pytest.mark.parametrize("fault", PASSED_ON, ids=str)
async def test_with_park_an_answer_that_was_lost_is_left_to_a_person(tmp_path: Path, fault: Fault) -> None:
    async with wired(tmp_path, fault, in_doubt="park") as (wabot, _):
        await wabot.meta.say("Hi", from_=ANA)
        await is_in(wabot, "parked")
        assert len(wabot.meta.sent) == 1


async def test_silence_ends_in_a_time_out_and_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wabot.adapters.whatsapp.WhatsApp.__init__.__kwdefaults__", {"total_seconds": 0.3})
    async with wired(tmp_path, Fault.SILENCE) as (wabot, _):
        await wabot.meta.say("Hi", from_=ANA)
        await is_in(wabot, "in_doubt")
        assert (await job(wabot))["error"] == "Meta did not answer in time"
        await is_in(wabot, "done")
        assert len(wabot.meta.sent) == 1


async def test_connections_that_died_while_idle_do_no_harm(tmp_path: Path) -> None:
    async with wired(tmp_path) as (wabot, wire):
        await wabot.meta.say("Hi", from_=ANA)
        await is_in(wabot, "done")
        wire.cut()
        await wabot.meta.say("prices?", from_=ANA)
        await wabot.meta.until(lambda meta: len(meta.sent) == 2)


async def test_refused_connections_are_no_doubt_and_use_up_no_try(tmp_path: Path) -> None:
    port = free_port()
    whatsapp = {"graph_api_base": f"http://127.0.0.1:{port}/v26.0"}
    async with business(tmp_path, whatsapp=whatsapp, delivery={"attempts": 2, "hold_seconds": 60}) as wabot:
        await wabot.meta.say("Hi", from_=ANA)

        async def tried_often() -> bool:
            return (await job(wabot)).get("attempts", 0) >= 4

        await eventually(tried_often)
        assert (await job(wabot))["error_code"] == "connect"

        meta = Meta(behaviour=Behaviour(by_number=False))
        runner, _ = await serve(meta, port=port)
        await is_in(wabot, "done")
        assert len(meta.attempts) == 1
        await runner.cleanup()


async def test_one_persons_broken_wire_delays_nobody_else(tmp_path: Path) -> None:
    people = [f"9190000000{n:02d}" for n in range(20, 40)]
    async with wired(tmp_path, *[Fault.CUT_BEFORE] * 3, hold_seconds=30) as (wabot, _):
        answer = await wabot.post("/initiate-bulk", {"numbers": people}, headers={"Prefer": "wait=1"})
        assert (answer.json["successful"], answer.json["queued"]) == (17, 3)


def test_every_fault_is_tried() -> None:
    assert {*NOT_PASSED_ON, *PASSED_ON, Fault.NONE, Fault.SILENCE} == set(Fault)
    assert Proxy(upstream=1).always is Fault.NONE
