"""The timers, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.virtual_time import START, clock, virtual_time
from wabot.core.exceptions import JournalDown
from wabot.core.jobs import State
from wabot.core.rate_limits import PairLedger
from wabot.work.timers import BEAT_SECONDS, IDLE_SECONDS, PRUNE_SECONDS, TEND_SECONDS, PruneMessages, Upkeep

RETENTION = 30 * 86400.0


@dataclass
class Journal:
    """What is asked of the journal; `doubts` end and `old` rows go, one a step."""

    doubts: list[tuple[int, State]] = field(default_factory=list)
    old: int = 0
    down: bool = False
    tended: list[float] = field(default_factory=list)
    pruned: list[dict[str, Any]] = field(default_factory=list)
    beats: int = 0
    due: float = 0.0
    changes: int = 0
    asked: int = 0

    async def tend_at(self, now: float) -> float:
        self.asked += 1
        return START + self.due

    async def changed(self, since: int, seconds: float) -> None:
        """As the journal: until something changes."""
        end = clock() + seconds
        while self.changes == since and clock() < end:
            await asyncio.sleep(0.1)

    async def tend(self, now: float) -> list[tuple[int, State]]:
        self._refuse_when_down()
        self.tended.append(now - START)
        ended, self.doubts = self.doubts, []
        return ended

    async def prune(self, *, before: float, now: float) -> int:
        self._refuse_when_down()
        self.pruned.append({"at": now - START, "age": now - before})
        gone, self.old = min(self.old, 1), max(self.old - 1, 0)
        return gone

    async def go_on_forgetting(self, now: float, *, archive: bool) -> None:
        """Nobody is being forgotten."""

    async def beat(self) -> None:
        self._refuse_when_down()
        self.beats += 1

    def _refuse_when_down(self) -> None:
        if self.down:
            raise JournalDown("the disk is full")


@asynccontextmanager
async def at_work(
    journal: Journal, pairs: PairLedger | None = None, *, prune_messages: PruneMessages | None = None
) -> AsyncIterator[None]:
    upkeep = Upkeep(
        journal,
        pairs or PairLedger(6.0, 45),
        retention_seconds=RETENTION,
        prune_messages=prune_messages,
        clock=clock,
    )
    task = asyncio.create_task(upkeep.run())
    yield
    assert not task.done(), "it works until it is cancelled"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@virtual_time
async def test_what_is_due_is_done_every_second() -> None:
    journal = Journal()
    async with at_work(journal):
        await asyncio.sleep(10 * TEND_SECONDS + 0.5)
    assert journal.tended == [float(second) for second in range(11)]


@virtual_time
async def test_until_something_is_due_nothing_is_written() -> None:
    journal = Journal(due=50.0)
    async with at_work(journal):
        await asyncio.sleep(49.0)
        assert journal.tended == []
        assert journal.asked <= 6
        await asyncio.sleep(2.0)
    assert journal.tended[0] == pytest.approx(50.0, abs=0.2)


@virtual_time
async def test_a_change_may_bring_the_next_time_forward() -> None:
    journal = Journal(due=1e6)
    async with at_work(journal):
        await asyncio.sleep(5.0)
        journal.due, journal.changes = 9.0, 1
        await asyncio.sleep(5.0)
    assert journal.tended[0] == pytest.approx(9.0, abs=0.2)


@virtual_time
async def test_where_nothing_waits_the_journal_is_asked_when_it_changes_and_when_old_rows_go() -> None:
    journal = Journal(due=math.inf)
    async with at_work(journal):
        await asyncio.sleep(BEAT_SECONDS + 1.0)
        quiet = journal.asked
        await asyncio.sleep(PRUNE_SECONDS - BEAT_SECONDS - 2.0)
        assert (journal.asked, journal.beats) == (quiet, 1)
        journal.changes += 1
        await asyncio.sleep(0.9)
        assert journal.asked == quiet + 1
        assert journal.pruned == []
        await asyncio.sleep(0.2 + BEAT_SECONDS)
        assert (len(journal.pruned), journal.beats) == (1, 2)


@virtual_time
async def test_a_clock_that_is_set_is_noticed() -> None:
    journal = Journal(due=1e6)
    async with at_work(journal):
        await asyncio.sleep(5.0)
        journal.due = 0.0
        await asyncio.sleep(IDLE_SECONDS)
    assert journal.tended


@virtual_time
async def test_a_journal_in_which_nothing_changes_needs_no_new_beat() -> None:
    journal = Journal(due=1e6)
    async with at_work(journal):
        await asyncio.sleep(5 * BEAT_SECONDS)
        assert journal.beats == 1
        journal.changes += 1
        await asyncio.sleep(2 * BEAT_SECONDS)
        assert journal.beats == 2


@virtual_time
async def test_a_doubt_that_ended_is_a_line_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    async with at_work(Journal(doubts=[(7, State.QUEUED), (8, State.PARKED)])):
        await asyncio.sleep(5)
    lines = [line for line in capsys.readouterr().out.split("\n") if "doubt.ended" in line]
    assert [line.split("doubt.ended ")[1] for line in lines] == ["job=7 state=queued", "job=8 state=parked"]


@virtual_time
async def test_what_is_old_goes_every_ten_minutes_in_small_steps() -> None:
    journal = Journal(old=3)
    async with at_work(journal):
        await asyncio.sleep(PRUNE_SECONDS - 1)
        assert journal.pruned == []
        await asyncio.sleep(2)
        assert len(journal.pruned) == 4
        assert all(step["age"] == RETENTION for step in journal.pruned)
        await asyncio.sleep(PRUNE_SECONDS)
        assert len(journal.pruned) == 5


@virtual_time
async def test_messages_that_an_archive_has_go_then_too() -> None:
    ages = []

    async def prune_messages(*, before: float, now: float) -> None:
        ages.append(now - before)

    async with at_work(Journal(), prune_messages=prune_messages):
        await asyncio.sleep(2 * PRUNE_SECONDS + 3)
    assert ages == [RETENTION] * 2


@virtual_time
async def test_who_owes_no_silence_is_forgotten_then_too() -> None:
    pairs = PairLedger(6.0, 45)
    pairs.spend(1, clock())
    async with at_work(Journal(), pairs):
        await asyncio.sleep(PRUNE_SECONDS + 1)
    assert pairs._bursts == {}


@virtual_time
async def test_a_journal_that_is_down_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(old=2, down=True)
    async with at_work(journal):
        await asyncio.sleep(3 * PRUNE_SECONDS)
        journal.down = False
        await asyncio.sleep(2)
        assert len(journal.pruned) == 3, "what was missed is made up for at once"
    logged = capsys.readouterr().out
    assert logged.count("upkeep.waiting") == 1
    assert "Traceback" not in logged
