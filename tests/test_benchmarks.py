"""The harness itself: requests that wabot takes, numbers that add up, a table that finds its place."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import accounts, acknowledge, deliver, depth, footprint, large, loop, people, report
from benchmarks.large_journal import TALKER, Size, make
from benchmarks.load import Load, drive, spread
from benchmarks.report import Row
from benchmarks.rows import Filling, fill, opened
from benchmarks.stage import Stage
from benchmarks.webhooks import APP_SECRET, number, requests
from wabot.core.jobs import Kind, State
from wabot.journal.journal import FILE_NAME


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, quick=True)


def test_a_delivery_is_signed_and_no_two_have_the_same_wamid() -> None:
    told = requests(50, people=7)
    wamids, senders = set(), set()
    for head, _, body in (request.partition(b"\r\n\r\n") for request in told):
        assert f"Content-Length: {len(body)}".encode() in head
        signature = hmac.new(APP_SECRET.encode(), body, "sha256").hexdigest()
        assert f"X-Hub-Signature-256: sha256={signature}".encode() in head
        (message,) = json.loads(body)["entry"][0]["changes"][0]["value"]["messages"]
        wamids.add(message["id"])
        senders.add(message["from"])
        assert 500 < len(body) < 620
    assert len(wamids) == 50
    assert senders == {number(person) for person in range(7)}


def test_what_the_load_generator_counts_is_what_the_journal_has(stage: Stage) -> None:
    with stage.wabot() as server:
        load = drive(server.port, requests(120), connections=8, seconds=30)
        crowd = spread(server.port, requests(10, people=10), over=0.1)
        assert server.rss > 0
        assert server.cpu_seconds > 0
    assert (load.answered, load.refused, len(load.latencies)) == (120, 0, 120)
    assert (crowd.answered, crowd.refused) == (10, 0)
    assert 0 < load.quantile(0.5) <= load.quantile(0.99) <= load.latencies[-1]
    with closing(sqlite3.connect(server.data / FILE_NAME)) as db:
        assert db.execute("SELECT count(*) FROM messages WHERE direction = 'in'").fetchone() == (130,)


def test_what_is_not_acknowledged_is_not_counted_as_such(stage: Stage) -> None:
    unsigned = [request.replace(b"sha256=", b"sha256=0") for request in requests(20)]
    with stage.wabot() as server:
        load = drive(server.port, unsigned, connections=4, seconds=30)
    assert (load.answered, load.refused, list(load.latencies)) == (0, 20, [])


def test_a_load_ends_with_its_time_and_leaves_the_warm_up_out(stage: Stage) -> None:
    with stage.bare() as server:
        load = drive(server.port, requests(50_000), connections=8, seconds=0.2, warm_up=0.1)
    assert 0 < len(load.latencies) < load.answered < 50_000
    assert load.seconds == pytest.approx(0.2, abs=0.05)


def test_a_server_that_does_not_start_says_why(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match=r"whatsapp\.app_secret"), stage.wabot(whatsapp={"app_secret": ""}):
        pass


def test_a_slow_disk_is_slow_at_every_fsync(tmp_path: Path) -> None:
    library = acknowledge.slow_fsync(tmp_path)
    if library is None:
        pytest.skip("no C compiler")
    code = (
        "import os,time,sys; f=open(sys.argv[1],'w'); t=time.time(); os.fsync(f); os.fdatasync(f); print(time.time()-t)"
    )
    env = {"LD_PRELOAD": str(library), "SLOW_FSYNC_US": "100000"}
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    assert 0.2 <= float(subprocess.run(command, env=env, check=True, capture_output=True).stdout) < 2


def test_a_large_journal_is_a_sound_one_with_jobs_in_all_states(tmp_path: Path) -> None:
    size = Size(40_000)
    make(tmp_path, size, time.time())
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        states = dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        long = db.execute("SELECT count(*) FROM messages WHERE contact_id = ?", (TALKER,)).fetchone()[0]
        made = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL")}
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        (headless,) = db.execute(
            "SELECT count(*) FROM jobs w WHERE state = 'waiting' AND NOT EXISTS (SELECT 1 FROM jobs h"
            " WHERE h.contact_id = w.contact_id AND h.kind = 'send' AND h.state IN ('queued', 'in_doubt'))"
        ).fetchone()
    assert sum(states.values()) == pytest.approx(size.messages / 10, rel=0.1)
    assert set(states) == {*State} - {State.RUNNING}
    assert long == size.messages / 100
    assert headless == 0
    assert made == indexes_of_the_schema()


def test_a_journal_that_was_filled_with_plain_sql_is_one_that_wabot_works_off(tmp_path: Path) -> None:
    now = time.time()
    fill(tmp_path, Filling(people=20, sends=50, blocked=30, replies=10), due_at=now - 1)

    async def work_off() -> tuple[int, int]:
        journal = await opened(tmp_path)
        try:
            await journal.recover(now)
            sends = await journal.claim(Kind.SEND, limit=100, now=now)
            replies = await journal.claim(Kind.REPLY, limit=100, now=now)
            assert {job.contact.wa_id for job in sends} == {number(person) for person in range(20)}
            return len(sends), len(replies)
        finally:
            await journal.close()

    assert asyncio.run(work_off()) == (20, 10)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        made = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL")}
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert made == indexes_of_the_schema()


def indexes_of_the_schema() -> set[str]:
    schema = Path("wabot/journal/schema.sql").read_text("utf-8")
    return set(re.findall(r"CREATE (?:UNIQUE )?INDEX (\w+)", schema))


@pytest.mark.parametrize(
    "benchmark", [acknowledge, deliver, loop, accounts, depth, large, people, footprint], ids=lambda m: m.__name__
)
def test_every_benchmark_runs_and_finds_something(benchmark: object, stage: Stage) -> None:
    rows: list[Row] = benchmark.run(stage)  # type: ignore[attr-defined]
    assert rows
    assert all(re.search(r"\d|skipped", row.found) for row in rows)


def test_no_verdict_is_given_where_the_yardstick_had_not_its_core_to_itself() -> None:
    def rounds(*rates: int, share: float = 1.0) -> list[acknowledge.Round]:
        return [acknowledge.Round(Load(1.0, [0.001] * rate, rate, 0, 0.1), 1 / rate, share) for rate in rates]

    def verdict(bare: list[acknowledge.Round]) -> bool | None:
        found = {"bare": bare, "wabot": rounds(80, 80, 80), "one commit": rounds(10, 10, 10)}
        return next(row.met for row in acknowledge.rows_of(found) if row.what.startswith("Durable"))

    assert verdict(rounds(100, 110, 90)) is True
    assert verdict(rounds(200, 190, 180)) is False
    assert verdict(rounds(100, 210, 90)) is None
    assert verdict(rounds(100, 110, 90, share=0.7)) is None


def test_the_table_goes_between_its_markers_and_nothing_else_changes(tmp_path: Path) -> None:
    page = tmp_path / "figures.md"
    page.write_text(f"# Before\n{report.START}\nold\n{report.END}\nAfter\n", "utf-8")
    rows = [Row("Speed", "**0.70**", "at least 0.60", met=True), Row("Size", "9", "under 5", met=False), Row("Is", "x")]
    report.write(report.table(rows, "python -m benchmarks"), page)
    report.write(report.table(rows, "python -m benchmarks"), page)
    text = page.read_text("utf-8")
    assert text.startswith(f"# Before\n{report.START}\n`python -m benchmarks` on ")
    assert text.endswith(f"{report.END}\nAfter\n")
    assert "| Speed | **0.70** | at least 0.60 | yes |\n| Size | 9 | under 5 | **no** |\n| Is | x |  |  |" in text
    assert text.count("Speed") == 1
    assert "old" not in text


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "figures.md"
    page.write_text("# Mine\n", "utf-8")
    with pytest.raises(ValueError, match="has no"):
        report.write("table", page)
    assert page.read_text("utf-8") == "# Mine\n"


def test_the_fewest_and_most_of_any_second_are_found_wherever_the_second_begins() -> None:
    assert loop.by_second([0.0, 0.1, 0.95, 1.05, 1.9, 2.5]) == (2, 3)
    assert loop.by_second([0.0, 0.5]) is None
