from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from tests.journal.scene import Scene, said
from tests.virtual_time import virtual_time
from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Kind
from wabot.journal import connections, sqlite
from wabot.journal.connections import Connection, Threads
from wabot.journal.sqlite import Writer


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    connection = await Threads().writer(tmp_path / "w.db")
    await connection.run(lambda db: db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, note TEXT NOT NULL)").fetchall())
    yield connection
    await connection.close()


@pytest.fixture
async def writer(connection: Connection) -> AsyncIterator[Writer]:
    writer = Writer(connection)
    yield writer
    await writer.close()


def put(db: sqlite3.Connection, number: int) -> int:
    db.execute("INSERT INTO t VALUES (?, 'here')", (number,))
    return number


def stored(tmp_path: Path) -> list[int]:
    with closing(sqlite3.connect(tmp_path / "w.db")) as db:
        return [row[0] for row in db.execute("SELECT n FROM t ORDER BY n")]


@contextmanager
def locked_by_another(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


async def hurry(connection: Connection) -> None:
    """Give up waiting for a lock soon."""
    await connection.run(lambda db: db.execute("PRAGMA busy_timeout = 20").fetchall())


async def test_operations_that_wait_together_share_one_commit(writer: Writer, tmp_path: Path) -> None:
    assert await asyncio.gather(*(writer(put, n) for n in range(200))) == list(range(200))
    assert writer.operations == 200
    assert writer.commits == 1
    assert stored(tmp_path) == list(range(200))


async def test_what_arrives_during_a_commit_makes_the_next_group(writer: Writer) -> None:
    await asyncio.gather(*(writer(put, n) for n in range(sqlite.GROUP_LIMIT + 5)))
    assert writer.commits == 2


class Memory:
    """A connection without a thread: every commit takes a millisecond."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, note TEXT NOT NULL)")

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        await asyncio.sleep(0.001)
        return function(self.db, *args)


@virtual_time
async def test_after_a_group_the_next_one_gathers_for_a_moment() -> None:
    writer = Writer(Memory())  # type: ignore[arg-type]
    await asyncio.gather(*(writer(put, -n) for n in range(sqlite.SEVERAL)))
    busy: list[asyncio.Task[int]] = []
    for n in range(1, 101):
        busy.append(asyncio.create_task(writer(put, n)))
        await asyncio.sleep(0.001)
    await asyncio.gather(*busy)
    assert 15 < writer.commits <= 0.1 / sqlite.GATHER_SECONDS + 2
    started, before = asyncio.get_running_loop().time(), writer.commits
    await asyncio.gather(*(writer(put, 1000 + n) for n in range(sqlite.MANY)))
    assert asyncio.get_running_loop().time() - started < 0.002, "many do not wait for more"
    assert writer.commits == before + 1
    await writer.close()


@virtual_time
async def test_a_single_caller_never_waits_for_others() -> None:
    writer = Writer(Memory())  # type: ignore[arg-type]
    await asyncio.gather(*(writer(put, -n) for n in range(sqlite.SEVERAL)))
    for n in range(1, 101):
        await writer(put, n)
    assert asyncio.get_running_loop().time() < 0.1 + 2 * sqlite.GATHER_SECONDS
    await writer.close()


async def test_an_operation_that_raises_fails_alone(writer: Writer, tmp_path: Path) -> None:
    await writer(put, 3)
    results = await asyncio.gather(*(writer(put, n) for n in range(6)), return_exceptions=True)
    assert isinstance(results.pop(3), sqlite3.IntegrityError)
    assert results == [0, 1, 2, 4, 5]
    assert stored(tmp_path) == [0, 1, 2, 3, 4, 5]


async def test_half_of_a_failed_operation_is_not_kept(writer: Writer, tmp_path: Path) -> None:
    def half(db: sqlite3.Connection) -> None:
        put(db, 7)
        raise LookupError("in the middle")

    failed, fine = await asyncio.gather(writer(half), writer(put, 8), return_exceptions=True)
    assert isinstance(failed, LookupError)
    assert fine == 8
    assert stored(tmp_path) == [8]


@pytest.mark.parametrize("broken", ["SELECT nonsense FROM t", "SELECT json_extract('{', '$.a')"])
async def test_a_statement_that_is_wrong_is_not_taken_for_a_broken_disk(
    writer: Writer, tmp_path: Path, broken: str
) -> None:
    failed, fine = await asyncio.gather(
        writer(lambda db: db.execute(broken).fetchall()), writer(put, 1), return_exceptions=True
    )
    assert isinstance(failed, sqlite3.OperationalError)
    assert fine == 1
    assert stored(tmp_path) == [1]


async def test_the_row_of_a_cancelled_waiter_is_there_all_the_same(writer: Writer, tmp_path: Path) -> None:
    waiter = asyncio.create_task(writer(put, 1))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert await writer(put, 2) == 2
    assert stored(tmp_path) == [1, 2]


async def test_closing_commits_what_waits_and_takes_nothing_more(connection: Connection, tmp_path: Path) -> None:
    writer = Writer(connection)
    waiting = [asyncio.create_task(writer(put, n)) for n in range(5)]
    await asyncio.sleep(0)
    await writer.close()
    assert await asyncio.gather(*waiting) == list(range(5))
    assert stored(tmp_path) == list(range(5))
    with pytest.raises(JournalDown, match="closing"):
        await asyncio.wait_for(writer(put, 9), 5)


async def test_a_locked_file_is_refused_and_nothing_is_acknowledged(
    writer: Writer, connection: Connection, tmp_path: Path
) -> None:
    await hurry(connection)
    with locked_by_another(tmp_path / "w.db"):
        results = await asyncio.gather(*(writer(put, n) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [JournalDown] * 3
    assert stored(tmp_path) == []
    assert await writer(put, 4) == 4, "and it works again afterwards"
    assert stored(tmp_path) == [4]


async def test_a_full_disk_is_refused_and_nothing_is_acknowledged(
    writer: Writer, connection: Connection, tmp_path: Path
) -> None:
    def fill(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t (note) VALUES (zeroblob(1000000))")

    pages = await connection.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await connection.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 1}").fetchall())
    results = await asyncio.gather(writer(put, 1), writer(fill), return_exceptions=True)
    assert [type(result) for result in results] == [JournalDown] * 2
    assert stored(tmp_path) == []
    await connection.run(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchall())
    assert await writer(put, 2) == 2


async def test_the_writer_syncs_every_commit_to_a_write_ahead_log(connection: Connection) -> None:
    def read_back(db: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "mmap_size")
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await connection.run(read_back) == ["wal", 2, 1, 0]


async def test_a_file_that_cannot_have_a_write_ahead_log_is_refused_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_PRAGMAS", ("journal_mode = DELETE", "synchronous = NORMAL"))
    with pytest.raises(JournalDown, match="delete, 1"):
        await Threads().writer(tmp_path / "w.db")


async def test_a_reader_cannot_write(connection: Connection, tmp_path: Path) -> None:
    reader = await Threads().reader(tmp_path / "w.db")
    try:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await reader.run(put, 1)
    finally:
        await reader.close()


async def test_a_reader_sees_what_was_just_committed(writer: Writer, tmp_path: Path) -> None:
    reader = await Threads().reader(tmp_path / "w.db")
    try:
        for n in range(20):
            await writer(put, n)
            assert await reader.run(lambda db: db.execute("SELECT max(n) FROM t").fetchone()[0]) == n
    finally:
        await reader.close()


async def test_when_too_much_waits_new_work_is_sent_away_but_what_we_owe_is_not(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    monkeypatch.setattr(sqlite, "WAITING_LIMIT", 0)
    assert scene.journal.writer.crowded
    with pytest.raises(JournalDown):
        await scene.hear(said("wamid.2"))
    assert len(await scene.claim(Kind.REPLY)) == 1


async def test_the_protected_names_that_we_touch_exist_in_the_pinned_aiosqlite() -> None:
    (pinned,) = re.findall(r"^aiosqlite==(\S+)$", Path("requirements.txt").read_text("utf-8"), re.MULTILINE)
    assert aiosqlite.__version__ == pinned
    assert asyncio.iscoroutinefunction(aiosqlite.Connection._execute)
    assert isinstance(aiosqlite.Connection._conn, property)
