"""Connections that share threads: a connection is asked one thing at a time, and waits for no other connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wabot.journal import shared_threads
from wabot.journal.connections import Connection
from wabot.journal.shared_threads import SharedThreads

WRITING = 3


@pytest.fixture
async def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Connection]]:
    """Ten that write, on WRITING threads."""
    monkeypatch.setattr(shared_threads, "WRITING_THREADS", WRITING)
    connect = SharedThreads(10)
    opened: list[Connection] = [await connect.writer(tmp_path / f"{nth}.db") for nth in range(10)]
    yield opened
    for connection in opened:
        await connection.close()


def where(_db: sqlite3.Connection, seconds: float = 0.0) -> int:
    time.sleep(seconds)
    return threading.get_ident()


def threads() -> set[threading.Thread]:
    """Those that connections share now."""
    return {thread for thread in threading.enumerate() if thread.name == "journals"}


async def test_many_connections_take_as_many_threads_as_there_may_be(connections: list[Connection]) -> None:
    assert len(set(await asyncio.gather(*(one.run(where, 0.05) for one in connections)))) == WRITING


async def test_one_after_the_other_they_take_as_few_as_will_do(tmp_path: Path) -> None:
    before, connect = threads(), SharedThreads(5)
    opened = [await connect.writer(tmp_path / f"{nth}.db") for nth in range(5)]
    assert len(threads() - before) == 1
    for one in opened:
        await one.close()


async def test_what_one_connection_is_asked_happens_in_order_and_never_at_once(connections: list[Connection]) -> None:
    inside, most, order = 0, 0, list[int]()

    def work(_db: sqlite3.Connection, number: int) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        order.append(number)
        inside -= 1

    await asyncio.gather(*(connections[0].run(work, number) for number in range(20)))
    assert (most, order) == (1, list(range(20)))


async def test_a_slow_connection_holds_up_no_other(connections: list[Connection]) -> None:
    done = threading.Event()
    slow = [asyncio.ensure_future(one.run(lambda _db: done.wait(20))) for one in connections[: WRITING - 1]]
    try:
        async with asyncio.timeout(5):
            await asyncio.gather(*(one.run(where) for one in connections[WRITING:] for _ in range(5)))
        assert not any(one.done() for one in slow)
    finally:
        done.set()
        await asyncio.gather(*slow)


async def test_reads_hold_up_no_writes_and_long_ones_no_short_ones(tmp_path: Path) -> None:
    connect, done = SharedThreads(4), threading.Event()
    writers = [await connect.writer(tmp_path / f"{nth}.db") for nth in range(4)]
    readers = [await connect.reader(tmp_path / f"{nth}.db") for nth in range(4)]
    long = [await connect.reader(tmp_path / f"{nth}.db", long=True) for nth in range(4)]
    reading = [asyncio.ensure_future(one.run(lambda _db: done.wait(20))) for one in long]
    async with asyncio.timeout(5):
        await asyncio.gather(*(one.run(where) for one in (*writers, *readers)))
    done.set()
    await asyncio.gather(*reading)
    for one in (*long, *readers, *writers):
        await one.close()


async def test_work_whose_caller_was_cancelled_is_done_before_the_next(connections: list[Connection]) -> None:
    began, may_end, log = threading.Event(), threading.Event(), list[str]()

    def slow(_db: sqlite3.Connection) -> None:
        began.set()
        may_end.wait(20)
        log.append("slow")

    one = asyncio.ensure_future(connections[0].run(slow))
    await asyncio.to_thread(began.wait, 20)
    one.cancel()
    other = asyncio.ensure_future(connections[0].run(lambda _db: log.append("other")))
    await asyncio.sleep(0.05)
    assert log == []
    may_end.set()
    await other
    assert log == ["slow", "other"]


async def test_an_error_goes_to_who_asked_and_the_threads_live_on(connections: list[Connection]) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connections[0].run(lambda db: db.execute("SELECT * FROM missing"))
    assert await connections[0].run(where)


async def test_threads_end_with_the_last_connection_also_where_one_cannot_be_opened(tmp_path: Path) -> None:
    before, connect = threads(), SharedThreads(2)
    with pytest.raises(sqlite3.OperationalError):
        await connect.writer(tmp_path / "missing" / "w.db")

    def refuse(_db: sqlite3.Connection) -> None:
        raise ValueError("not ours")

    with pytest.raises(ValueError, match="not ours"):
        await connect.writer(tmp_path / "w.db", refuse)
    async with asyncio.timeout(5):
        while threads() - before:
            await asyncio.sleep(0.01)


async def test_each_is_a_writer_like_those_with_a_thread_of_their_own(connections: list[Connection]) -> None:
    def pragmas(db: sqlite3.Connection) -> list[object]:
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")]

    assert await connections[0].run(pragmas) == ["wal", 2, 1]
