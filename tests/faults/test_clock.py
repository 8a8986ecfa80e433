"""The machine's clock is set back an hour, while wabot runs and between two starts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.business import ANA, BEN, EVA, business
from tests.process import eventually
from wabot.assembly.clock import CONFIRM_SECONDS, SteadyClock
from wabot.sandbox.behaviour import Answer, Behaviour, error
from wabot.sandbox.meta import Meta

HOUR = 3600.0


class WallClock:
    """The machine's clock, and whoever sets it; `passed`: seconds that a test skipped."""

    def __init__(self) -> None:
        self.ahead = self.passed = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead + self.passed

    def monotonic(self) -> float:
        return time.monotonic() + self.passed


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """What wabot takes for the machine's clock."""
    clock = WallClock()
    monkeypatch.setattr("wabot.assembly.start_and_stop.SteadyClock", lambda _wall: SteadyClock(clock, clock.monotonic))
    return clock


async def test_what_was_due_in_a_moment_is_done_in_a_moment_though_the_clock_is_set_back(
    tmp_path: Path, wall: WallClock
) -> None:
    """A reply in its quiet window, a send in its back-off and one in its hold."""
    async with business(tmp_path, assistant={"quiet_seconds": 0.3}, delivery={"hold_seconds": 0.5}) as wabot:
        wabot.meta.behaviour.script(BEN, [error(131016)])
        wabot.meta.behaviour.script("919000000099", [Answer(accepts=False, cut=True)])
        batch = {"numbers": [BEN, "919000000099"]}
        await wabot.post("/initiate-bulk", batch, headers={"Prefer": "respond-async"})
        await wabot.meta.say("Hi", from_=ANA)
        await wabot.meta.until(lambda meta: len(meta.attempts) >= 2)

        wall.ahead = -HOUR

        await wabot.meta.until(lambda meta: len(meta.sent) == 3)
        await wabot.meta.say("prices?", from_=ANA)
        await wabot.meta.until(lambda meta: len(meta.sent) == 4)


async def test_what_was_due_before_a_restart_is_done_though_the_clock_was_set_back_meanwhile(
    tmp_path: Path, wall: WallClock
) -> None:
    meta = Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0)
    wall.ahead = HOUR
    async with business(tmp_path, meta=meta, assistant={"quiet_seconds": 5}, delivery={"hold_seconds": 5}) as wabot:
        meta.behaviour.script(BEN, [Answer(accepts=False, cut=True)])
        await wabot.post("/initiate-bulk", {"numbers": [BEN]}, headers={"Prefer": "respond-async"})
        await wabot.meta.say("Hi", from_=ANA)
        await meta.until(lambda _: len(meta.attempts) == 1)

    wall.ahead = 0.0
    async with business(tmp_path, meta=meta, delivery={"hold_seconds": 0.5}) as wabot:
        await meta.until(lambda _: sorted(sent.to for sent in meta.sent) == [ANA, BEN])

        async def settled() -> bool:
            return (await wabot.get("/outbox", params={"state": "done"})).json["count"] == 2

        await eventually(settled)


async def test_the_clock_set_forward_expires_only_what_the_new_time_makes_too_late(
    tmp_path: Path, wall: WallClock
) -> None:
    """A day later nobody waits for the answer any more, and Meta's window is closed."""
    async with business(tmp_path, assistant={"quiet_seconds": 1}) as wabot:
        wall.ahead = 25 * HOUR
        await wabot.meta.say("Hi", from_=ANA, timestamp=time.time())
        await asyncio.sleep(0.1)
        wall.passed += CONFIRM_SECONDS
        await wabot.meta.say("Hi", from_=BEN, timestamp=wall())
        await wabot.meta.until(lambda meta: [sent.to for sent in meta.sent] == [BEN])


async def test_a_clock_that_jumps_ahead_for_a_moment_expires_nothing(tmp_path: Path, wall: WallClock) -> None:
    async with business(tmp_path, assistant={"quiet_seconds": 0.5}) as wabot:
        await wabot.meta.say("Hi", from_=ANA)
        wall.ahead = 400 * 24 * HOUR
        await asyncio.sleep(1.2)  # upkeep looks for what is too late
        wall.ahead = 0.0
        await wabot.meta.say("Hi", from_=BEN)
        await wabot.meta.until(lambda meta: sorted(sent.to for sent in meta.sent) == [ANA, BEN])


async def test_a_clock_that_was_wrong_for_long_is_set_right_and_nothing_waits_for_the_wrong_time(
    tmp_path: Path, wall: WallClock
) -> None:
    async with business(tmp_path, delivery={"hold_seconds": 0.5}) as wabot:
        wabot.meta.behaviour.script(BEN, [error(131016)])
        wall.ahead = 400 * 24 * HOUR
        await wabot.meta.say("Hi", from_=EVA, timestamp=wall())
        await wabot.meta.until(lambda meta: len(meta.sent) == 1)
        wall.passed += CONFIRM_SECONDS
        await wabot.post("/initiate-bulk", {"numbers": [BEN]}, headers={"Prefer": "respond-async"})
        await wabot.meta.until(lambda meta: len(meta.attempts) == 2)

        wall.ahead = 0.0
        await wabot.meta.say("Hi", from_=ANA)
        wall.passed += CONFIRM_SECONDS

        await wabot.meta.until(lambda meta: [sent.to for sent in meta.sent][1:] in ([BEN, ANA], [ANA, BEN]))
        await wabot.meta.say("prices?", from_=ANA, timestamp=wall())
        await wabot.meta.until(lambda meta: len(meta.sent) == 4)
