"""Memory, idle and under load, and how long a start takes."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

from benchmarks.load import drive
from benchmarks.report import Row, median, ratio, thousands
from benchmarks.rows import Filling, fill
from benchmarks.stage import NOBODY, Server, Stage
from benchmarks.webhooks import requests

MB = 1e6
SETTLE_SECONDS = 2.0
"""After its start, before a service counts as idle."""
MODEL = {"provider": "openai", "base_url": f"{NOBODY}/v1", "model": "none"}


def run(stage: Stage) -> list[Row]:
    """Memory first, then starts."""
    if not Path("/proc/self/status").exists():
        return [Row("Memory and start", "skipped: only Linux tells")]
    return [*_memory(stage), *_starts(stage)]


def _memory(stage: Stage) -> list[Row]:
    total = stage.pick(100_000, 400)
    where = "MongoDB" if importlib.util.find_spec("secantus") else "MongoDB that is down"
    rows = _idle(stage, "no MongoDB", "", 55)
    with stage.mongo() as uri:
        rows += _idle(stage, where, uri, 62)
    sizes = []
    with stage.wabot() as server:
        for _ in range(4):
            drive(server.port, requests(total // 4), connections=64, seconds=120)
            sizes.append(server.rss)
    grown = sizes[-1] / sizes[-2]
    shown = ", ".join(f"{size / MB:.0f}" for size in sizes)
    rows.append(Row(f"Resident memory under load, after each quarter of {thousands(total)} messages", f"{shown} MB",
        "flat", grown < 1.05))  # fmt: skip
    return rows


def _idle(stage: Stage, where: str, uri: str, wanted: int) -> list[Row]:
    """Memory at rest and the cost of the start, with MongoDB at `uri` ("": the journal is the archive)."""
    with stage.wabot(assistant=MODEL, mongo={"uri": uri}) as server:
        ready, cpu = server.ready_seconds, server.cpu_seconds
        time.sleep(stage.pick(SETTLE_SECONDS, 0.0))
        idle, google = server.rss, _has_google(server)
    there = "there" if google else "not there"
    return [
        Row(f"Resident memory, idle (provider openai, {where})", f"**{idle / MB:.0f} MB**, Google's package is {there}",
            f"at most {wanted} MB, without Google's", idle <= wanted * MB and not google),
        Row("Ready after the start, same settings", f"**{ready:.2f} s**, {cpu:.2f} s of CPU", "within 0.6 s of CPU",
            cpu <= 0.6),
    ]  # fmt: skip


def _starts(stage: Stage) -> list[Row]:
    data = stage.directory("unfinished")
    jobs = stage.pick(Filling(20_000, 85_000, 5000, 10_000), Filling(100, 300, 50, 50))
    count = jobs.sends + jobs.blocked + jobs.replies
    seconds = []
    for _ in range(stage.pick(3, 1)):
        fill(stage.directory("unfinished"), jobs, due_at=time.time(), clean=False)
        with stage.graph(delay=0.1) as graph:
            graph_api_base = {"graph_api_base": f"{graph.url}/v26.0"}
            with stage.wabot(data, whatsapp=graph_api_base) as server:
                seconds.append(server.ready_seconds)
    what = f"Ready after a crash with {thousands(count)} unfinished jobs, the journal checked"
    return [Row(what, f"{ratio(seconds)} s", "under 2 s", median(seconds) < 2)]


def _has_google(server: Server) -> bool:
    """Whether the process has loaded Google's package, which brings protobuf."""
    return "/google/" in Path(f"/proc/{server.process.pid}/maps").read_text()
