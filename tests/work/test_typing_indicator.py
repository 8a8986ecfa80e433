"""Read ticks and "typing …": shown for as long as an answer takes, and in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from wabot.core.exceptions import JournalDown
from wabot.work.typing_indicator import RENEW_SECONDS, TypingIndicator


class Meta:
    """Records what is shown; answers `does`, and hangs while `hangs`."""

    def __init__(self, *, does: bool = True, hangs: bool = False) -> None:
        self.shown: list[str] = []
        self.does, self.hangs = does, hangs

    async def show(self, wamid: str) -> bool:
        self.shown.append(wamid)
        if self.hangs:
            await asyncio.Event().wait()
        return self.does


async def wanted() -> bool:
    """Nobody opts out."""
    return False


def waits(log: list[float], times: int) -> Callable[[float], asyncio.Future[None]]:
    """A sleep that is over at once `times` times, and then never."""

    async def sleep(seconds: float) -> None:
        log.append(seconds)
        if len(log) > times:
            await asyncio.Event().wait()

    return sleep  # type: ignore[return-value]


async def test_it_is_shown_before_the_answer_is_there_even_if_the_model_takes_no_time() -> None:
    meta = Meta()
    async with TypingIndicator(meta.show).while_answering("wamid.in", wanted):
        assert meta.shown == []
    assert meta.shown == ["wamid.in"]


async def test_it_is_renewed_every_20_seconds_until_the_answer_is_there() -> None:
    meta, slept = Meta(), list[float]()
    async with TypingIndicator(meta.show, sleep=waits(slept, 2)).while_answering("wamid.in", wanted):
        for _ in range(20):
            await asyncio.sleep(0)
    assert meta.shown == ["wamid.in"] * 3
    assert slept == [RENEW_SECONDS] * 3
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_it_is_not_renewed_if_meta_refuses_it() -> None:
    meta, slept = Meta(does=False), list[float]()
    async with TypingIndicator(meta.show, sleep=waits(slept, 9)).while_answering("wamid.in", wanted):
        for _ in range(20):
            await asyncio.sleep(0)
    assert (meta.shown, slept) == (["wamid.in"], [])


async def test_a_meta_that_hangs_delays_an_answer_for_a_second_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wabot.work.typing_indicator.WAIT_SECONDS", 0.01)
    async with asyncio.timeout(5):
        async with TypingIndicator(Meta(hangs=True).show).while_answering("wamid.in", wanted):
            pass


async def test_a_failure_of_the_model_waits_for_nothing() -> None:
    async with asyncio.timeout(0.5):
        with pytest.raises(ValueError, match="no answer"):
            async with TypingIndicator(Meta(hangs=True).show).while_answering("wamid.in", wanted):
                raise ValueError("no answer")


async def test_without_a_message_to_mark_nothing_is_shown() -> None:
    meta = Meta()
    async with TypingIndicator(meta.show).while_answering(None, wanted):
        pass
    assert meta.shown == []


async def test_who_is_to_get_silence_is_shown_nothing_and_the_answer_does_not_wait() -> None:
    async def opted_out() -> bool:
        return True

    meta = Meta(hangs=True)
    async with asyncio.timeout(0.5):
        async with TypingIndicator(meta.show).while_answering("wamid.in", opted_out):
            pass
    assert meta.shown == []


async def test_a_journal_that_cannot_be_read_disturbs_no_answer() -> None:
    async def silence() -> bool:
        raise JournalDown("the disk is full")

    meta = Meta()
    async with asyncio.timeout(0.5):
        async with TypingIndicator(meta.show).while_answering("wamid.in", silence):
            pass
    assert meta.shown == []
