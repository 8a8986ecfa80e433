"""Whether a full journal is a slow one: a million queued sends, and 50 000 more for one person who is blocked."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.load import drive
from benchmarks.report import Row, median, ms, ratio, thousands
from benchmarks.rows import Filling, fill, opened
from benchmarks.stage import Stage
from benchmarks.webhooks import requests
from wabot.core.jobs import Event, Kind, Outcome
from wabot.journal.journal import Journal

CONNECTIONS = 64
LATER = 3600.0
"""Seconds until the sends are due: the lane leaves them alone while webhooks are measured."""
HELD = {"quiet_seconds": 600, "quiet_max_seconds": 600, "provider": "canned"}
"""No replies meanwhile."""


def run(stage: Stage) -> list[Row]:
    """The same work on a nearly empty journal and on a full one."""
    few, full = stage.directory("few"), stage.directory("full")
    people = stage.pick(2000, 500)
    big = stage.pick(Filling(people=200_000, sends=1_000_000, blocked=50_000), Filling(1000, 5000, 500))
    due_at = time.time() + LATER
    fill(few, Filling(people=people, sends=people), due_at=due_at)
    fill(full, big, due_at=due_at)
    size = sum(file.stat().st_size for file in full.iterdir())
    rounds = stage.pick(3, 1)
    webhooks = [_webhooks(stage, people, few, full) for _ in range(rounds)]
    claims = asyncio.run(_claims(few, full, rounds, count=stage.pick(100, 5), due_at=due_at))
    rows = f"{thousands(big.sends)} queued sends and {thousands(big.blocked)} for a blocked contact"
    return [
        _row(f"A webhook with {rows} ({size / 1e6:.0f} MB), of one with {thousands(people)}", webhooks),
        _row("A claim of one send in the same journals", [one[0] for one in claims]),
        _row("A claim of 32", [one[1] for one in claims]),
        _row("Settling what was claimed, the next of the contact promoted", [one[2] for one in claims]),
    ]


def _row(what: str, times: list[tuple[float, float]]) -> Row:
    """`times`: (few, full) of each round, in seconds."""
    factors = [full / few for few, full in times]
    few, full = (median(one[i] for one in times) for i in (0, 1))
    found = f"{ratio(factors)} times as long ({ms(full)} against {ms(few)})"
    return Row(what, found, "at most 2", median(factors) <= 2)


def _webhooks(stage: Stage, people: int, few: Path, full: Path) -> tuple[float, float]:
    """Seconds of the server's time that a webhook takes."""
    seconds, warm_up = stage.pick((2.0, 1.0), (1.0, 0.2))
    found = []
    for data in (few, full):
        with stage.wabot(data, assistant=HELD, delivery={"backoff_max_seconds": LATER * 2}) as server:
            deliveries = requests(int(20_000 * (seconds + warm_up)), people=people)
            load = drive(server.port, deliveries, connections=CONNECTIONS, seconds=seconds, warm_up=warm_up)
            found.append(1 / load.rate)
    return found[0], found[1]


async def _claims(
    few: Path, full: Path, rounds: int, *, count: int, due_at: float
) -> list[tuple[tuple[float, float], ...]]:
    """Of each round: (few, full) for a claim of one, a claim of 32, and settling one."""
    async with AsyncExitStack() as stack:
        journals = []
        for data in (few, full):
            journals.append(await opened(data))
            stack.push_async_callback(journals[-1].close)
        return [
            tuple(zip(*[await _claim(journal, count, due_at + 1) for journal in journals], strict=True))
            for _ in range(rounds)
        ]


async def _claim(journal: Journal, count: int, now: float) -> tuple[float, float, float]:
    """Seconds, medians: claiming one send, claiming 32, settling one."""
    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    for size, place in ((1, 0), (32, 1)):
        for _ in range(max(count // size, 3)):
            started = time.perf_counter()
            jobs = await journal.claim(Kind.SEND, limit=size, now=now)
            times[place].append(time.perf_counter() - started)
            for job in jobs:
                started = time.perf_counter()
                await journal.settle(job, Outcome(Event.SUCCEED, wamid=f"wamid.{job.tag}"), now)
                times[2].append(time.perf_counter() - started)
    return median(times[0]), median(times[1]), median(times[2])
