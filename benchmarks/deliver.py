"""Sends per second with Graph answering in 100 ms, and how soon a batch of 10 000 is accepted."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.report import Row, median, ms, ratio, thousands
from benchmarks.stage import Server, Stage
from benchmarks.webhooks import number
from wabot.journal.journal import FILE_NAME

GRAPH_SECONDS = 0.1
CONCURRENCY = 256
PATIENCE_SECONDS = 120.0


def run(stage: Stage) -> list[Row]:
    """A batch, drained; each round in a fresh journal."""
    size = stage.pick(10_000, 200)
    accepted, rates, costs = [], [], []
    for _ in range(stage.pick(3, 1)):
        with stage.graph(delay=GRAPH_SECONDS) as graph, _sender(stage, graph) as server:
            used, started = server.cpu_seconds, time.perf_counter()
            accepted.append(_queue(server, size))
            _wait_until_sent(server.data, size)
            rates.append(size / (time.perf_counter() - started))
            costs.append((server.cpu_seconds - used) / size)
        print(f"  {rates[-1]:.0f} sends/s, accepted in {ms(accepted[-1])}", file=sys.stderr)
    return [
        Row(f"Sends per second on one core, Graph answering in 100 ms, {CONCURRENCY} at once, no limit set",
            f"**{thousands(median(rates))}** [{thousands(min(rates))}–{thousands(max(rates))}],"
            f" {median(costs) * 1e6:.0f} µs of CPU each", "at least 1 000", median(rates) >= 1000),
        Row(f"A batch of {thousands(size)}, from the request to its 202", f"{ratio(accepted)} s",
            "at most 0.3 s", median(accepted) <= 0.3),
    ]  # fmt: skip


@contextmanager
def _sender(stage: Stage, graph: Server) -> Iterator[Server]:
    unlimited = {"messages_per_second": 0, "concurrency": CONCURRENCY}
    with stage.wabot(whatsapp={"graph_api_base": f"{graph.url}/v26.0"}, delivery=unlimited) as server:
        yield server


def _queue(server: Server, size: int) -> float:
    """Seconds that `/initiate-bulk` took."""
    body = json.dumps({"numbers": [f"+{number(person)}" for person in range(size)]}).encode()
    started = time.perf_counter()
    status, batch = server.ask("POST", "/initiate-bulk", body, Prefer="respond-async")
    seconds = time.perf_counter() - started
    if status != 202 or batch["total"] != size or batch["failed"]:
        raise RuntimeError(f"the batch was not taken: {status}, {str(batch)[:500]}")
    return seconds


def _wait_until_sent(data: Path, count: int) -> None:
    """Until the journal says so: what is sent and not written down is not done."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with closing(sqlite3.connect(f"{(data / FILE_NAME).as_uri()}?mode=ro", uri=True)) as db:
        sent = "SELECT count(*) FROM jobs WHERE settled_at IS NOT NULL AND kind = 'send' AND state = 'done'"
        while db.execute(sent).fetchone()[0] < count:
            if time.monotonic() > deadline:
                raise RuntimeError("the batch was not sent in time")
            time.sleep(0.05)
