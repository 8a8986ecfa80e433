"""Whether a journal of millions of messages holds anybody up: every operation on it, by the connection it runs on.

An operation of the writer delays all others that write, and a question to the lanes' reader delays the lanes: neither
may take more than MOST_SECONDS. What people ask for has a connection of its own.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from pathlib import Path

from benchmarks.large_journal import Size, make
from benchmarks.large_work import Work, accept_seconds
from benchmarks.report import Row, median, ms, thousands
from benchmarks.stage import Stage
from benchmarks.timed import LANES, PEOPLE, WRITER, Measured
from wabot.core.jobs import Policy
from wabot.journal.accept import Rules
from wabot.journal.journal import open_journal

MOST_SECONDS, ACCEPT_US = 0.02, 140
SHOWN = 12
"""Operations on each connection that the terminal shows."""


def run(stage: Stage) -> list[Row]:
    """Make the journal, do everything that a journal does, and say what took longest."""
    size, data, now = Size(stage.pick(stage.messages, 4000)), stage.directory("large"), float(int(time.time()))
    try:
        started = time.monotonic()
        make(data, size, now)
        print(f"  made in {time.monotonic() - started:.0f} s", file=sys.stderr)
        return asyncio.run(measure(data, size, now, steps=stage.pick(1000, 20)))
    finally:
        stage.directory("large")  # it takes gigabytes


async def measure(data: Path, size: Size, now: float, *, steps: int) -> list[Row]:
    """The rows for a journal that was made. `steps`: how often what is done often."""
    accepts = await accept_seconds(data, size, now, steps)
    measured, started = Measured(), time.monotonic()
    journal = await open_journal(data, rules=Rules(), policy=Policy(), connect=measured)
    gc.disable()  # it would stop whichever operation runs when this program has made enough objects
    try:
        opened = time.monotonic() - started
        await Work(journal, measured, size, now, steps).all()
        gigabytes = journal.sizes()["main"] / 1e9
    finally:
        gc.enable()
        await journal.close()
    for connection in (WRITER, LANES, PEOPLE):
        for trip in measured.slowest(connection)[:SHOWN]:
            print(f"  {connection}: {trip.seconds * 1000:.1f} ms, {trip.what}", file=sys.stderr)
    shown = f"**{median(accepts) * 1e6:.0f} µs** of CPU [{min(accepts) * 1e6:.0f}–{max(accepts) * 1e6:.0f}]"
    met = median(accepts) * 1e6 <= ACCEPT_US
    return [
        Row(f"A journal of {thousands(size.messages)} messages ({gigabytes:.1f} GB), opened", ms(opened)),
        Row("A message accepted there, of people in no order", shown, f"at most {ACCEPT_US} µs", met),
        *(_row(measured, connection) for connection in (WRITER, LANES, PEOPLE)),
    ]


def _row(measured: Measured, connection: str) -> Row:
    """The slowest trips to a connection."""
    slowest = measured.slowest(connection)
    shown = ", ".join(f"{ms(trip.seconds)} ({trip.what})" for trip in slowest[:3])
    what = f"The slowest of all operations there, CPU time on {connection}"
    if connection == PEOPLE:
        return Row(what, shown)
    return Row(what, shown, f"at most {ms(MOST_SECONDS)} each", all(trip.seconds <= MOST_SECONDS for trip in slowest))
