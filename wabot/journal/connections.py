"""Connections to the SQLite file: one that writes, others that only read; each works on a thread of its own.
Those of many journals share threads (shared_threads.py).

There is exactly one read-write connection: SQLite 3.7.0 to 3.51.2 can corrupt a WAL that two connections write or
checkpoint at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import aiosqlite

from wabot.core.exceptions import JournalDown

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_MS = 2000

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # NORMAL lost acknowledged rows at most simulated power cuts and is hardly faster
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "wal_autocheckpoint = 1000",
    "journal_size_limit = 16777216",
    "cache_size = -8192",
    "temp_store = MEMORY",
    "mmap_size = 0",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    "secure_delete = ON",  # what was deleted, or written anew, is overwritten: somebody may ask to be forgotten
)


Check = Callable[[sqlite3.Connection], None]


class Connection(Protocol):
    """A connection that functions are carried to: they run where the connection lives."""

    async def run(self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """`function(connection, …)`, in one hop."""

    async def close(self) -> None: ...


class Connect(Protocol):
    """Opens the connections of a journal."""

    async def writer(self, path: Path, check: Check) -> Connection:
        """The one read-write connection, in WAL mode with an fsync for every commit.

        `check` may raise before anything is written: WAL mode is already a change to a file that may not be ours.
        """

    async def reader(self, path: Path, *, long: bool = False) -> Connection:
        """A connection that can only read; `long`: for reads that may take long."""


class Threads:
    """Opens each connection on a thread of its own."""

    async def writer(self, path: Path, check: Check = lambda _db: None) -> Connection:
        connection = OnThread(partial(open_file, str(path)), iter_chunk_size=64)
        await connection
        try:
            await connection.run(check)
            await connection.run(prepare)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def reader(self, path: Path, *, long: bool = False) -> Connection:
        connection = OnThread(partial(open_file, f"{path.as_uri()}?mode=ro", uri=True), iter_chunk_size=64)
        await connection
        return connection


class OnLoop:
    """Opens connections whose functions run on the event loop itself: for time that passes only where nobody works."""

    async def writer(self, path: Path, check: Check = lambda _db: None) -> Connection:
        connection = _Direct(open_file(str(path)))
        try:
            await connection.run(check)
            await connection.run(prepare)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def reader(self, path: Path, *, long: bool = False) -> Connection:
        return _Direct(open_file(f"{path.as_uri()}?mode=ro", uri=True))


class _Direct:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    async def run(self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        return function(self._db, *args, **kw)

    async def close(self) -> None:
        self._db.close()


class OnDemand:
    """A connection that is opened when it is first needed: most journals are seldom asked for long lists."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._closed = False

    async def run(self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """As the connection's own. Raises sqlite3.Error if it cannot be opened, or was closed."""
        async with self._opening:
            if self._closed:
                raise sqlite3.ProgrammingError("the connection is closed")
            connection = self._connection = self._connection or await self._connect()
        return await connection.run(function, *args, **kw)

    async def close(self) -> None:
        """Close it, if it was needed, and do not open it again."""
        async with self._opening:
            self._closed = True
            if self._connection is not None:
                await self._connection.close()


class OnThread(aiosqlite.Connection):
    """An aiosqlite connection that carries whole functions to its thread, where aiosqlite knows single statements.

    `_execute` and `_conn` are the only protected names touched; a test pins them to the version in requirements.txt.
    """

    async def run(self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """`function(connection, …)` on the connection's thread, in one hop."""
        result: T = await self._execute(function, self._conn, *args, **kw)  # type: ignore[no-untyped-call]
        return result


def open_file(database: str, *, uri: bool = False, any_thread: bool = False) -> sqlite3.Connection:
    """A new connection, for the thread that calls; for `any_thread`, one at a time."""
    connection = sqlite3.connect(
        database, isolation_level=None, cached_statements=256, uri=uri, check_same_thread=not any_thread
    )
    connection.row_factory = sqlite3.Row
    return connection


def prepare(db: sqlite3.Connection) -> None:
    """Make a new connection the writer. Raises JournalDown if a commit would not be on disk."""
    db.executescript(";".join(f"PRAGMA {pragma}" for pragma in _PRAGMAS))  # which keeps no statements, as execute does
    mode, synchronous = db.execute("PRAGMA journal_mode").fetchone()[0], db.execute("PRAGMA synchronous").fetchone()[0]
    if (mode, synchronous) != ("wal", 2):
        raise JournalDown(f"SQLite refuses WAL with full synchronisation here (got {mode}, {synchronous})")
