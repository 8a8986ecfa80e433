"""Time that passes by itself: waits are skipped, but not what the world outside needs."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.virtual_time import virtual_time
from wabot.rehearsal.virtual_time import Stuck, VirtualTime


@virtual_time
async def test_a_day_is_over_at_once_and_in_its_order() -> None:
    began, seen = time.monotonic(), list[str]()

    async def later(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(name)

    await asyncio.gather(later("third", 86_400), later("first", 60), later("second", 3_600))

    assert seen == ["first", "second", "third"]
    assert asyncio.get_running_loop().time() == pytest.approx(86_400)
    assert time.monotonic() - began < 5


def test_to_wait_for_each_other_is_an_error_and_not_an_endless_wait() -> None:
    with asyncio.Runner(loop_factory=VirtualTime) as runner, pytest.raises(Stuck):
        runner.run(asyncio.Event().wait())


@virtual_time
async def test_work_for_a_thread_is_done_inline_and_takes_no_time() -> None:
    assert await asyncio.to_thread(threading.get_ident) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)
    assert asyncio.get_running_loop().time() == 0


@virtual_time
async def test_in_reality_threads_are_threads_and_their_time_passes() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTime)
    with loop.reality():
        assert await asyncio.to_thread(lambda: (time.sleep(0.05), threading.get_ident())[1]) != threading.get_ident()
    assert 0.04 < loop.time() < 5
    before = loop.time()
    await asyncio.sleep(3600)
    assert loop.time() == pytest.approx(before + 3600)


@virtual_time
async def test_a_timeout_holds_in_reality_too() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTime)
    with loop.reality(), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await asyncio.Event().wait()
