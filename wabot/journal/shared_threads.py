"""Connections of many journals on a bounded number of threads.

aiosqlite gives each connection a thread of its own. Those of 200 journals, 400 threads, spend more time in waiting for
Python's lock than in SQLite. Here a function runs on whichever thread is free, and those of one connection run one
after the other: a slow disk or a long read of one journal keeps one thread busy, and the others serve all other
journals. Many threads are better than few, since each commit waits for its fsync, and a disk does many at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Concatenate, ParamSpec, TypeVar

from wabot.journal.connections import Check, open_file, prepare

P = ParamSpec("P")
T = TypeVar("T")

WRITING_THREADS, READING_THREADS, LONG_READING_THREADS = 16, 8, 2
"""The most threads. Reads have their own, so that no commit waits for them, and long reads, so that no lane does."""
CACHE_KIB, LEAST_KIB, MOST_KIB = 20_480, 64, 2048
"""How much of pages all writers together keep in memory, and how much each at least and at most; readers half of it."""


class SharedThreads:
    """Opens connections that share threads. A thread is started when all are busy; all end with the last connection.

    `journals`: how many there will be.
    """

    def __init__(self, journals: int) -> None:
        self._writing, self._reading = _Crew(WRITING_THREADS), _Crew(READING_THREADS)
        self._long_reading = _Crew(LONG_READING_THREADS)
        self._cache_kib = min(max(CACHE_KIB // journals, LEAST_KIB), MOST_KIB)

    async def writer(self, path: Path, check: Check = lambda _db: None) -> _Shared:
        connect = partial(open_file, str(path), any_thread=True)
        return await _Shared.open(self._writing, connect, check, prepare, partial(_bound_cache, self._cache_kib))

    async def reader(self, path: Path, *, long: bool = False) -> _Shared:
        connect = partial(open_file, f"{path.as_uri()}?mode=ro", uri=True, any_thread=True)
        return await _Shared.open(
            self._long_reading if long else self._reading, connect, partial(_bound_cache, self._cache_kib // 2)
        )


def _bound_cache(kib: int, db: sqlite3.Connection) -> None:
    db.executescript(f"PRAGMA cache_size = -{kib}")


class _Crew:
    """At most `most` threads, which serve connections in the order in which these have work."""

    def __init__(self, most: int) -> None:
        self._most, self._threads, self._connections, self._busy = most, 0, 0, 0
        self._turns: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def join(self) -> None:
        """A connection more."""
        self._connections += 1

    def leave(self) -> None:
        """A connection less; without any the threads end."""
        self._connections -= 1
        if not self._connections:
            for _ in range(self._threads):
                self._turns.put(None)
            self._threads = 0

    def begin(self, turn: Callable[[], None]) -> None:
        """Run `turn` on a thread; then call `ended` on the loop."""
        self._busy += 1
        if self._busy > self._threads and self._threads < self._most:
            self._threads += 1
            Thread(target=self._serve, name="journals").start()
        self._turns.put(turn)

    def ended(self) -> None:
        """A turn is over."""
        self._busy -= 1

    def _serve(self) -> None:
        while (turn := self._turns.get()) is not None:
            turn()


class _Shared:
    """A connection without a thread of its own. It has at most one turn at a time, so no two threads use it at once."""

    def __init__(self, crew: _Crew) -> None:
        self._crew, self._loop = crew, asyncio.get_running_loop()
        self._work: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._has_turn = False
        self._db: sqlite3.Connection

    @classmethod
    async def open(cls, crew: _Crew, connect: Callable[[], sqlite3.Connection], *first: Check) -> _Shared:
        """A connection that `connect` opens, once the functions in `first` have run on it."""
        shared = cls(crew)
        crew.join()
        try:
            shared._db = await shared._carried(connect)
        except BaseException:
            crew.leave()
            raise
        try:
            for function in first:
                await shared.run(function)
        except BaseException:
            await shared.close()
            raise
        return shared

    async def run(self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """`function(connection, …)` on some thread, in one hop, after all that was asked before."""
        return await self._carried(partial(function, self._db, *args, **kw))

    async def close(self) -> None:
        """Close it, after all that was asked before."""
        try:
            await self.run(sqlite3.Connection.close)
        finally:
            self._crew.leave()

    async def _carried(self, function: Callable[[], T]) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        self._work.append((function, future))
        if not self._has_turn:
            self._has_turn = True
            self._crew.begin(self._turn)
        return await future

    def _turn(self) -> None:
        """On a thread: the oldest piece of work. Others get their turn before the next."""
        function, future = self._work.popleft()
        try:
            result, error = function(), None
        except BaseException as raised:  # noqa: BLE001  it is raised to who asked
            result, error = None, raised
        self._loop.call_soon_threadsafe(self._turn_ended, future, result, error)

    def _turn_ended(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._crew.ended()
        if self._work:
            self._crew.begin(self._turn)
        else:
            self._has_turn = False
        if future.done():  # who asked was cancelled; it is done all the same
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
