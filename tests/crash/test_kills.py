"""SIGKILL at the moments that hurt most, one at a time: what the promises say about each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN
from tests.process import ROOT, World, eventually, served, world
from tests.stand_ins import OpenAIStandIn
from wabot.sandbox.behaviour import LOST, Answer, accept

LONG = 2.0
"""A hold that cannot be mistaken for the second between two looks of the timers."""
ACCEPTED_BUT_MUTE = Answer(cut=True, delay=60, receipts=LOST)
"""Meta has the message, and nobody hears of it."""


async def test_what_was_acknowledged_is_answered_after_a_kill_within_the_quiet_window(tmp_path: Path) -> None:
    async with world(tmp_path, assistant={"quiet_seconds": 0.5}) as w:
        await w.start()
        assert (await w.meta.say("Hi", from_=ANA))[1] == 200
        await w.wabot.kill()
        assert w.meta.attempts == []

        await w.start()

        await w.meta.until(lambda meta: len(meta.sent) == 1)
        assert (await w.said_with(ANA))[0]["body"] == "Hi"
        await w.restart()
        assert w.texts() == ["[hello_world]"]


async def test_a_kill_while_the_model_thinks_asks_it_again_and_answers_once(tmp_path: Path) -> None:
    model = OpenAIStandIn(delay=60)
    chosen = {"provider": "openai", "model": "tiny"}
    async with (
        served(model.app()) as url,
        world(tmp_path, assistant={**chosen, "base_url": url}, first_contact={"answer": "ai"}) as w,
    ):
        await w.start()
        assert (await w.meta.say("Hi there", from_=ANA))[1] == 200
        await eventually(lambda: model.asked)
        assert (await w.meta.say("Are you there?", from_=ANA))[1] == 200
        await w.wabot.kill()
        model.delay = 0

        await w.start()
        await w.meta.until(lambda meta: len(meta.sent) == 1)
        await w.restart()

        assert [asked.json["messages"][-1]["content"] for asked in model.asked] == [
            "Hi there",
            "Hi there\nAre you there?",
        ]
        assert w.texts() == ["Hello from the model"]


@asynccontextmanager
async def killed_before_metas_answer(place: Path, **delivery: Any) -> AsyncIterator[World]:
    """Meta accepted a reply to ANA; wabot was killed before it could know, and runs again."""
    async with world(place, delivery=delivery) as w:
        w.meta.behaviour.script(ANA, [ACCEPTED_BUT_MUTE])
        await w.start()
        assert (await w.meta.say("Hi", from_=ANA))[1] == 200
        await w.meta.until(lambda meta: len(meta.sent) == 1)
        await w.wabot.kill()
        await w.start()
        assert (await w.wabot.event("journal.opened"))["sends_in_doubt"] == 1
        yield w


def recovered_at(w: World) -> float:
    """When the process that runs had looked at what the one before it left."""
    return datetime.fromisoformat(w.wabot.events("journal.opened")[0]["time"]).timestamp()


async def state_of(w: World, number: str) -> list[str]:
    """The states of the sends to somebody, oldest first."""
    return [send["state"] for send in reversed((await w.get("/outbox", number=number))["outbox"])]


async def doubt_is_over(w: World) -> None:
    """Wait until long after any hold: upkeep looked at another contact's doubt that began later."""
    w.meta.behaviour.script(BEN, [Answer(cut=True, receipts=LOST)])
    await w.post("/initiate-bulk", {"numbers": [BEN]}, Prefer="respond-async")
    await w.wabot.until(lambda: any(line["state"] == "in_doubt" for line in w.wabot.events("send.settled")))
    ended = len(w.wabot.events("doubt.ended"))
    await w.wabot.until(lambda: len(w.wabot.events("doubt.ended")) > ended)


async def test_a_receipt_settles_a_send_whose_answer_a_kill_hid_and_nothing_is_said_twice(tmp_path: Path) -> None:
    async with killed_before_metas_answer(tmp_path) as w:
        assert await w.tell(w.meta.sent[0], "delivered") == 200

        assert await state_of(w, ANA) == ["done"]
        await doubt_is_over(w)
        assert w.texts(ANA) == ["[hello_world]"]
        last = (await w.said_with(ANA))[-1]
        assert (last["id"], last["status"]) == (w.meta.sent[0].wamid, "delivered")


async def test_without_a_receipt_it_is_sent_again_after_a_whole_hold_and_only_once(tmp_path: Path) -> None:
    async with killed_before_metas_answer(tmp_path, hold_seconds=LONG) as w:
        await w.meta.until(lambda meta: len(meta.sent) == 2)
        first, second = w.meta.sent
        assert str(first.tag).rpartition(":")[0] == str(second.tag).rpartition(":")[0]
        assert second.at - recovered_at(w) > LONG - 0.2
        await w.wabot.event("send.settled")
        assert await w.tell(first, "delivered") == 200
        await doubt_is_over(w)
        assert w.texts(ANA) == ["[hello_world]"] * 2


async def test_with_park_it_is_never_sent_again_by_itself_but_waits_for_a_person(tmp_path: Path) -> None:
    async with killed_before_metas_answer(tmp_path, in_doubt="park") as w:
        await w.wabot.event("doubt.ended")
        assert await state_of(w, ANA) == ["parked"]
        await w.restart()
        assert w.texts(ANA) == ["[hello_world]"]
        send = (await w.get("/outbox", state="parked"))["outbox"][0]

        status, answer = await w.post(f"/outbox/{send['outbox_id']}/retry", {})

        assert (status, answer["state"] in ("queued", "running", "done")) == (200, True), "it may have left by now"
        await w.meta.until(lambda meta: len(meta.sent) == 2)


async def test_a_receipt_that_comes_after_the_parking_still_settles_it(tmp_path: Path) -> None:
    async with killed_before_metas_answer(tmp_path, in_doubt="park") as w:
        await w.wabot.event("doubt.ended")
        assert await w.tell(w.meta.sent[0], "read") == 200
        assert await state_of(w, ANA) == ["done"]


async def test_a_failed_receipt_of_a_hidden_send_is_as_good_as_an_answer(tmp_path: Path) -> None:
    async with killed_before_metas_answer(tmp_path) as w:
        assert await w.tell(w.meta.sent[0], "failed", code=131026) == 200
        assert await state_of(w, ANA) == ["failed"]
        await doubt_is_over(w)
        assert w.texts(ANA) == ["[hello_world]"]


async def test_a_hold_that_ends_while_wabot_is_down_starts_anew(tmp_path: Path) -> None:
    """Receipts were late while nobody could take them, so a hold that ended meanwhile proves nothing."""
    async with killed_before_metas_answer(tmp_path, hold_seconds=LONG) as w:
        await w.wabot.kill()
        over = recovered_at(w) + LONG
        await eventually(lambda: w.meta._clock() > over)

        await w.start()

        await w.meta.until(lambda meta: len(meta.sent) == 2)
        assert w.meta.sent[1].at - recovered_at(w) > LONG - 0.2


async def test_an_idempotency_key_outlives_a_kill(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()
        asked: dict[str, Any] = {"numbers": [ANA, BEN]}
        _, first = await w.post("/initiate-bulk", asked, **{"Idempotency-Key": "monday", "Prefer": "respond-async"})
        await w.wabot.kill()
        await w.start()

        status, again = await w.post("/initiate-bulk", asked, **{"Idempotency-Key": "monday"})

        assert (status, again["batch_id"], again["successful"]) == (200, first["batch_id"], 2)
        assert len({str(sent.tag).rpartition(":")[0] for sent in w.meta.sent}) == 2
        status, answer = await w.post("/initiate-bulk", {"numbers": [ANA]}, **{"Idempotency-Key": "monday"})
        assert status == 422, answer


@pytest.mark.parametrize("step", range(5))
async def test_a_kill_amid_accepting_what_was_kept_for_a_number_accepts_each_once(step: int, tmp_path: Path) -> None:
    """Ten webhooks in steps of three, one of them with the receipt of an earlier send."""
    async with world(tmp_path, assistant={"quiet_seconds": 1}) as w:
        right = w.sections["whatsapp"]["phone_number_id"]
        w.meta.behaviour.script(BEN, [accept(receipts=LOST)])
        await w.start()
        await w.post("/initiate-bulk", {"numbers": [BEN]})
        w.sections["whatsapp"]["phone_number_id"] = "100000000000010"
        await w.restart()
        for nth in range(9):
            assert (await w.meta.say(f"{nth + 1} cakes, please", from_=ANA))[1] == 200
        assert await w.tell(w.meta.sent[0]) == 200
        await w.wabot.kill()

        w.sections["whatsapp"]["phone_number_id"] = right
        killed = await w.spawn(launcher=(ROOT / "tests" / "crash" / "launch_killed.py", "reclaim", str(step)))
        await killed.ended()
        await w.start()

        (line,) = w.wabot.events("webhook.reclaimed") or [{"webhooks": 0}]
        assert line["webhooks"] == max(0, 10 - 3 * step)
        await w.meta.until(lambda meta: len(meta.sent) == 2)
        said = [m["body"] for m in await w.said_with(ANA) if m["direction"] == "in"]
        assert said == [f"{nth + 1} cakes, please" for nth in range(9)]
        assert [m["status"] for m in await w.said_with(BEN)] == ["delivered"]
        await w.restart()
        assert w.texts() == ["[hello_world]", "[hello_world]"]
