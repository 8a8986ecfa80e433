"""Another process has the journal: for a moment (somebody's SQLite shell), or for good (a second wabot)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.business import ANA, BEN
from tests.process import world


async def test_while_somebody_else_writes_nothing_is_acknowledged_and_afterwards_everything_goes_on(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.start()
        await w.meta.say("Hi", from_=ANA)
        await w.meta.until(lambda meta: len(meta.told) == 3)

        with closing(sqlite3.connect(w.journal, isolation_level=None)) as outsider:
            outsider.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            wamid, status = await w.meta.say("Hi", from_=BEN)
            assert status == 503
            assert time.monotonic() - began < 5
            assert (await w.get("/healthz"))["status"] == "ok"
            assert len(await w.said_with(ANA)) == 2
            outsider.execute("ROLLBACK")

        assert await w.meta.say("Hi", from_=BEN, wamid=wamid, attempts=30) == (wamid, 200)
        await w.meta.until(lambda meta: [sent.to for sent in meta.sent] == [ANA, BEN])
        assert len(w.wabot.events("journal.refused")) >= 1


async def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()
        with closing(sqlite3.connect(w.journal, isolation_level=None)) as outsider:
            outsider.execute("BEGIN IMMEDIATE")
            said = asyncio.create_task(w.meta.say("Hi", from_=ANA))
            await asyncio.sleep(0.3)
            assert not said.done()
            outsider.execute("COMMIT")
            assert (await said)[1] == 200
        await w.meta.until(lambda meta: len(meta.sent) == 1)


async def test_whoever_only_reads_for_long_is_in_nobodys_way(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()
        with closing(sqlite3.connect(f"{w.journal.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            before = reader.execute("SELECT count(*) FROM messages").fetchone()
            for nth in range(20):
                assert (await w.meta.say(f"Hi {nth}", from_=f"9190000000{nth:02d}"))[1] == 200
            await w.meta.until(lambda meta: len(meta.sent) == 20)
            assert reader.execute("SELECT count(*) FROM messages").fetchone() == before


async def test_after_a_kill_the_lock_is_free_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()
        await w.wabot.kill()
        await w.start()
        second = await w.spawn()
        assert await second.ended() == 1
        assert "another wabot already uses" in second.said[0]


async def test_a_journal_that_somebody_holds_at_the_start_is_a_trouble_that_passes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.start()
        assert await w.wabot.stop() == 0
        with closing(sqlite3.connect(w.journal, isolation_level=None)) as outsider:
            outsider.execute("BEGIN EXCLUSIVE")
            process = await w.spawn()
            assert await process.ended() == 1
            assert "see that the disk has room and that no other program holds wabot.db" in process.said[-1]
        await w.start()
