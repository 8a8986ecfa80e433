"""Writes to the journal in groups, and reads from it.

SQLite spends its time in fsync, so every operation that waits at a moment shares one transaction: the loop collects
them while the previous commit runs, and for a moment longer where much comes; one hop carries the whole group to the
writer's thread. An idle service, or a single caller, waits for nobody. Coroutines that shared a transaction of their
own would lose rows.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from wabot.core.exceptions import JournalDown
from wabot.journal.connections import Connection
from wabot.log import get_logger

P = ParamSpec("P")
T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]


class Companion(Protocol):
    """Writes what follows from each operation, in the same transaction."""

    def set_up(self, db: sqlite3.Connection) -> None:
        """Prepare the connection, once."""

    def before_commit(self, db: sqlite3.Connection) -> None:
        """Write what follows from an operation."""

    def after_commit(self) -> None:
        """A group of operations is on disk. Called on the loop."""


GROUP_LIMIT = 1024
WAITING_LIMIT = 8192
SEVERAL, MANY = 4, 32
GATHER_SECONDS = 0.005
"""After a commit of SEVERAL operations the next one gathers operations until this time after the start of the last, or
until MANY wait: a commit costs as much as the operations of several messages."""

REFUSED_SECONDS = 15.0
"""How long a write that was refused counts: at the edge of a full disk a small one still succeeds."""

log = get_logger()


class Reader:
    """Runs functions on a read-only connection, each in one hop. Raises JournalDown."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __call__(
        self, question: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """The result of `question(connection, …)`."""
        try:
            return await self._connection.run(question, *args, **kw)
        except sqlite3.Error as error:
            raise JournalDown(f"the journal cannot be read: {error}") from error


class Writer:
    """Commits operations in groups. An operation is a plain function of the connection that touches nothing else.

    It may be run twice: where one operation of a group fails, the group is rolled back and each runs again alone.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[Operation, asyncio.Future[Any]]] = []
        self._work = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._started, self._size = float("-inf"), 0
        self._closing = False
        self._task = asyncio.create_task(self._pump(), name="journal writer")
        self.commits = 0
        self.operations = 0
        self.commit_seconds = 0.0
        self.changes = 0
        self._changed = asyncio.Event()
        self._refused: tuple[float, str] = (float("-inf"), "")
        self._companion: Companion | None = None

    async def __call__(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """The result of `operation(connection, …)`, once it is on disk. Raises JournalDown if it cannot be written."""
        if self._closing:
            raise JournalDown("the journal is closing")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._accompanied(lambda db: operation(db, *args, **kw)), future))
        self._call()
        return await future

    async def accompany(self, companion: Companion) -> None:
        """Let a companion write with every operation from now on."""
        await self._connection.run(companion.set_up)
        self._companion = companion

    def _accompanied(self, operation: Operation) -> Operation:
        companion = self._companion
        if companion is None:
            return operation

        def both(db: sqlite3.Connection) -> Any:
            result = operation(db)
            companion.before_commit(db)
            return result

        return both

    async def changed(self, since: int, seconds: float) -> None:
        """Wait until `changes`, the number of rows changed, is no longer `since`, for `seconds` at the most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.changes == since:
                    self._changed.clear()
                    await self._changed.wait()

    @property
    def crowded(self) -> bool:
        """Whether so much waits that new requests are better refused. Work on accepted jobs is never refused."""
        return len(self._waiting) >= WAITING_LIMIT

    @property
    def refused_lately(self) -> str | None:
        """Why something could not be written within the last REFUSED_SECONDS; None where all could."""
        at, reason = self._refused
        return reason if asyncio.get_running_loop().time() - at < REFUSED_SECONDS else None

    async def close(self) -> None:
        """Commit what waits, then stop. The connection stays open."""
        self._closing = True
        self._work.set()
        await self._task

    def _call(self) -> None:
        """Start the next commit, now or when it has gathered enough."""
        loop = asyncio.get_running_loop()
        wait = self._started + GATHER_SECONDS - loop.time() if self._size >= SEVERAL else 0.0
        if wait <= 0 or len(self._waiting) >= MANY or self._closing:
            self._work.set()
        elif self._timer is None:
            self._timer = loop.call_later(wait, self._work.set)

    async def _pump(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting or not self._closing:
            if self._waiting:
                self._call()
            await self._work.wait()
            self._work.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            group, self._waiting = self._waiting[:GROUP_LIMIT], self._waiting[GROUP_LIMIT:]
            if not group:
                continue
            self._started, self._size = clock(), len(group)
            results, changes = await self._connection.run(_commit_group, [operation for operation, _ in group])
            self.commit_seconds = clock() - self._started
            self.commits += 1
            self.operations += len(group)
            if changes != self.changes:
                self.changes = changes
                self._changed.set()
            if down := next((error for _, error in results if isinstance(error, JournalDown)), None):
                self._refused = clock(), str(down)
                log.warning("journal.refused", reason=str(down))
            for (_, future), (result, error) in zip(group, results, strict=True):
                if future.done():  # its caller was cancelled; the rows are there all the same
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
            if self._companion is not None:
                self._companion.after_commit()


Committed = tuple[Any, Exception | None]


def _commit_group(db: sqlite3.Connection, operations: Sequence[Operation]) -> tuple[list[Committed], int]:
    """What `_commit` gives, and how many rows this connection has changed so far."""
    return _commit(db, operations), db.total_changes


def _commit(db: sqlite3.Connection, operations: Sequence[Operation]) -> list[Committed]:
    """Run `operations` in one transaction; each gets its result, or its error, after the fsync."""
    try:
        return _transaction(db, operations)
    except Exception as error:  # noqa: BLE001  an error of an operation is raised to its own caller
        if _is_the_disk(error):
            return [(None, JournalDown(f"the journal cannot be written: {error}"))] * len(operations)
        if len(operations) == 1:
            return [(None, error)]
        return [_commit(db, [operation])[0] for operation in operations]


_DISK_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB,
    }
)  # fmt: skip


def _is_the_disk(error: Exception) -> bool:
    """Whether the file is full, locked or unreadable: then every other operation would fail too.

    By SQLite's primary code: sqlite3's own classes put a full disk and a malformed JSON value into the same one.
    """
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK_CODES


def _transaction(db: sqlite3.Connection, operations: Sequence[Operation]) -> list[Committed]:
    try:
        db.execute("BEGIN IMMEDIATE")
        results: list[Committed] = [(operation(db), None) for operation in operations]
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return results
