"""200 people who write within one second, with a model that takes 2 s and Graph 100 ms: how soon each is acknowledged,
and whether all are answered."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from benchmarks.load import Load, spread
from benchmarks.report import Row, ms
from benchmarks.stage import Stage, free_port
from benchmarks.webhooks import requests
from wabot.journal.journal import FILE_NAME

MODEL_SECONDS, GRAPH_SECONDS = 2.0, 0.1
PATIENCE_SECONDS = 90.0


def run(stage: Stage) -> list[Row]:
    """Several times 200 people, the next while the earlier are still being answered; receipts come in meanwhile."""
    crowd, rounds, port = stage.pick(200, 10), stage.pick(3, 1), free_port()
    with (
        stage.model(delay=stage.pick(MODEL_SECONDS, 0.1)) as model,
        stage.graph(delay=GRAPH_SECONDS, webhook_url=f"http://127.0.0.1:{port}/webhook") as graph,
        stage.wabot(
            port=port,
            whatsapp={"graph_api_base": f"{graph.url}/v26.0"},
            assistant={
                "provider": "openai",
                "base_url": f"{model.url}/v1",
                "model": "slow",
                "quiet_seconds": stage.pick(2, 0.1),
            },
            first_contact={"answer": "ai"},
        ) as server,
    ):
        started = time.monotonic()
        loads = []
        for turn in range(rounds):
            loads.append(spread(port, requests(crowd, people=crowd, first=turn * crowd), over=1.0))
            print(f"  acknowledged within {ms(loads[-1].latencies[-1])}", file=sys.stderr)
            time.sleep(stage.pick(2.0, 0.0))
        answered = _answered(server.data, crowd * rounds)
        seconds = time.monotonic() - started
    return _rows(loads, crowd, answered, seconds)


def _rows(loads: list[Load], crowd: int, answered: int, seconds: float) -> list[Row]:
    worst = max(load.latencies[-1] for load in loads)
    p99 = max(load.quantile(0.99) for load in loads)
    acknowledged, asked = sum(load.answered for load in loads), crowd * len(loads)
    return [
        Row(f"{crowd} people writing within one second, model 2 s, Graph 100 ms: the slowest acknowledgement of"
            f" {asked}", f"**{ms(worst)}** (p99 {ms(p99)}), {acknowledged} acknowledged",
            "each under 100 ms", worst < 0.1 and acknowledged == asked),
        Row("The same people answered", f"{answered} of {asked}, the last after {seconds:.0f} s",
            "all", answered == asked),
    ]  # fmt: skip


def _answered(data: Path, count: int) -> int:
    """How many people have got the model's answer: at most `count`, which it waits for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    sql = "SELECT count(DISTINCT contact_id) FROM messages WHERE direction = 'out' AND origin = 'ai' AND wamid NOT NULL"
    with closing(sqlite3.connect(f"{(data / FILE_NAME).as_uri()}?mode=ro", uri=True)) as db:
        while (found := int(db.execute(sql).fetchone()[0])) < count and time.monotonic() < deadline:
            time.sleep(0.1)
    return found
