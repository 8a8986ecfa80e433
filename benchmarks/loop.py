"""The whole loop at Meta's ceiling: what a message and its three receipts cost, at a limit of 1 000 messages a second.

The sends are in the journal already when wabot starts. Meta answers each in 100 ms and delivers sent, delivered and
read, each in a signed POST of its own. The processor time counts from the start until the journal has the last
receipt, with MongoDB until that has it too.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.report import Row, median, thousands
from benchmarks.rows import Filling, fill
from benchmarks.stage import Server, Stage, free_port
from wabot.journal.journal import FILE_NAME

LIMIT = 1000
GRAPH_SECONDS = 0.1
PATIENCE_SECONDS = 60.0
MOST_US, MOST_US_WITH_MONGO = 550, 650
LEAST = 0.9
"""The share of the limit that every second should see."""


def run(stage: Stage) -> list[Row]:
    """Without MongoDB and with it."""
    alone = [_round(stage, mongo=False) for _ in range(stage.pick(3, 1))]
    archived = [_round(stage, mongo=True) for _ in range(stage.pick(3, 1))]
    slowest, fastest = (each(edge for _, rates in alone + archived for edge in rates) for each in (min, max))
    return [
        Row(f"A message and its three receipts at {thousands(LIMIT)}/s, Graph answering in 100 ms",
            _costs(alone), f"at most {MOST_US} µs", _cost(alone) <= MOST_US),
        Row("The same with MongoDB, everything archived",
            _costs(archived), f"at most {MOST_US_WITH_MONGO} µs", _cost(archived) <= MOST_US_WITH_MONGO),
        Row("Messages in any second of these", f"**{thousands(slowest)} to {thousands(fastest)}**",
            f"{thousands(LIMIT * LEAST)} to {thousands(LIMIT)}", LIMIT * LEAST <= slowest <= fastest <= LIMIT),
    ]  # fmt: skip


Round = tuple[float, tuple[int, int]]
"""The µs of processor time that a message cost, and the fewest and most of them in any second."""


def _cost(rounds: Sequence[Round]) -> float:
    return median(cost for cost, _ in rounds)


def _costs(rounds: Sequence[Round]) -> str:
    costs = [cost for cost, _ in rounds]
    return f"**{_cost(rounds):.0f} µs** [{min(costs):.0f}–{max(costs):.0f}] of CPU each"


def _round(stage: Stage, *, mongo: bool) -> Round:
    count, port = stage.pick(10_000, 400), free_port()
    data = stage.directory("loop")
    fill(data, Filling(people=count, sends=count), due_at=time.time() - 1)
    with (
        stage.mongo() if mongo else nullcontext("") as uri,
        stage.ceiling(port, delay=GRAPH_SECONDS) as meta,
        stage.wabot(
            data,
            port=port,
            whatsapp={"graph_api_base": f"{meta.url}/v26.0"},
            delivery={"messages_per_second": LIMIT},
            mongo={"uri": uri},
        ) as server,
    ):
        used = server.cpu_seconds
        seen = _wait_for_receipts(meta, 3 * count)
        if mongo:
            _wait_for_archive(server.data, count)
        used = server.cpu_seconds - used
    if len(seen["sends"]) != count or seen["webhooks"] != {"200": 3 * count}:
        raise RuntimeError(f"{len(seen['sends'])} of {count} were sent, the webhooks were answered {seen['webhooks']}")
    edges = by_second(seen["sends"]) or (0, 0)
    cost = used / count * 1e6
    print(f"  {cost:.0f} µs {'with' if mongo else 'without'} MongoDB, {edges[0]} to {edges[1]}/s", file=sys.stderr)
    return cost, edges


def by_second(times: Sequence[float]) -> tuple[int, int] | None:
    """The fewest and most of `times` (Unix seconds, sorted) in any whole second between the first and the last."""
    counts = [bisect_left(times, start + 1) - place for place, start in enumerate(times) if start + 1 <= times[-1]]
    return (min(counts), max(counts)) if counts else None


def _wait_for_receipts(meta: Server, count: int) -> Any:
    """What Meta has seen, once so many webhooks are answered."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sum((seen := meta.ask("GET", "/")[1])["webhooks"].values()) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all receipts came: {seen['webhooks']} after {len(seen['sends'])} sends")
        time.sleep(0.25)
    return seen


def _wait_for_archive(data: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with closing(sqlite3.connect(f"{(data / FILE_NAME).as_uri()}?mode=ro", uri=True)) as db:
        ahead = "SELECT count(*) FROM messages WHERE archived < version"
        while behind := db.execute(ahead).fetchone()[0]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{behind} of {count} messages are not archived")
            time.sleep(0.1)
