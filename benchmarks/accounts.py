"""Two hundred numbers in one process: what they take of memory and threads, and what they acknowledge together."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from benchmarks.load import drive
from benchmarks.report import Row, ms, thousands
from benchmarks.stage import Stage
from benchmarks.webhooks import ACCESS_TOKEN, APP_SECRET, PHONE_NUMBER_ID, requests
from wabot.journal.journal import FILE_NAME

MB = 1e6
HELD = {"quiet_seconds": 600, "quiet_max_seconds": 600}
"""No replies meanwhile."""
CONNECTIONS = 64
SETTLE_SECONDS = 5.0
"""After its start, before a service counts as idle."""
MOST_PER_SECOND = 6000
MOST_BYTES, MOST_READY_SECONDS, LEAST_RATE = 250 * MB, 10.0, 2500


def run(stage: Stage) -> list[Row]:
    """A start with new journals and one with those of before, memory, and webhooks for all numbers in turn."""
    if not Path("/proc/self/status").exists():
        return [Row("Two hundred accounts", "skipped: only Linux tells")]
    count, data = stage.pick(200, 3), stage.directory("accounts")
    numbers = [PHONE_NUMBER_ID, *(str(int(PHONE_NUMBER_ID) + nth) for nth in range(1, count))]
    env = {"WABOT_ACCOUNTS": json.dumps([_account(number) for number in numbers[1:]])}
    with stage.wabot(data, env=env, assistant=HELD) as server:
        first = server.ready_seconds
    seconds, warm_up = stage.pick((4.0, 1.0), (0.2, 0.1))
    deliveries = requests(int(MOST_PER_SECOND * (seconds + warm_up)), to=numbers)
    with stage.wabot(data, env=env, assistant=HELD) as server:
        time.sleep(stage.pick(SETTLE_SECONDS, 0.0))
        idle, threads, used = server.rss, server.threads, server.cpu_seconds
        load = drive(server.port, deliveries, connections=CONNECTIONS, seconds=seconds, warm_up=warm_up)
        used = server.cpu_seconds - used
        server.fetch("/metrics")
        loaded, busy = server.rss, server.threads
        again = server.ready_seconds
    kept = sum(_messages(journal) for journal in data.rglob(FILE_NAME))
    if load.refused or kept != load.answered:
        raise RuntimeError(f"{load.answered} deliveries were acknowledged, {load.refused} not, {kept} are kept")
    print(f"  {load.rate:.0f}/s, {idle / MB:.0f} MB, ready in {again:.1f} s", file=sys.stderr)
    cost = f"{used / load.answered * 1e6:.0f} µs of CPU each"
    return [
        Row(f"{count} accounts: ready after the first start, after another", f"{first:.1f} s, **{again:.1f} s**",
            "within 10 s", max(first, again) <= MOST_READY_SECONDS),
        Row("Resident memory and threads, idle; after the webhooks",
            f"**{idle / MB:.0f} MB**, {threads}; {loaded / MB:.0f} MB, {busy}", "at most 250 MB", loaded <= MOST_BYTES),
        Row(f"Durable acknowledgements for all in turn, {CONNECTIONS} connections",
            f"**{thousands(load.rate)}/s**, p50 {ms(load.quantile(0.5))}, p99 {ms(load.quantile(0.99))}, {cost}",
            f"at least {thousands(LEAST_RATE)}/s", load.rate >= LEAST_RATE),
    ]  # fmt: skip


def _account(number: str) -> dict[str, str]:
    return {
        "name": f"n{number}", "phone_number_id": number, "access_token": ACCESS_TOKEN, "app_secret": APP_SECRET,
        "verify_token": "benchmark-word",
    }  # fmt: skip


def _messages(journal: Path) -> int:
    with closing(sqlite3.connect(journal)) as db:
        return int(db.execute("SELECT count(*) FROM messages WHERE direction = 'in'").fetchone()[0])
