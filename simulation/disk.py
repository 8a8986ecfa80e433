"""The disk: SQLite's files, on which a commit is durable, and its bad days: slow, full, failing, or dead in a commit.

Files are in memory (/dev/shm). A crash closes the connections without a COMMIT, so what was not committed is lost.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from simulation.timeline import Dead, Life, alive, current_life
from wabot.journal import connections

UNBOUNDED = 1 << 30
WRITE_SECONDS, READ_SECONDS = 0.001, 0.0001


class Crash(BaseException):
    """The process dies here."""


class Disk:
    """What all lives share. `slow`: seconds that each access takes at most. `full`: no page more can be had. `failing`:
    the share of accesses that fail. `crash_in`: commits until one in which the process dies, `after` it is durable or
    before; then `on_crash` is called. `rewrite`: changes the text of every statement.
    """

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.slow = 0.0
        self.failing = 0.0
        self.crash_in: int | None = None
        self.after = False
        self.on_crash: Callable[[], None] = lambda: None
        self.rewrite: Callable[[str], str] | None = None
        self._full = False
        self._open: dict[_OnDisk, None] = {}

    @property
    def full(self) -> bool:
        return self._full

    @full.setter
    def full(self, full: bool) -> None:
        self._full = full
        for connection in self._open:
            connection.bound(full)

    async def writer(self, path: Path, check: connections.Check) -> _OnDisk:
        """The read-write connection."""
        connection = self._opened(str(path), writes=True)
        try:
            check(connection.db)
            connections.prepare(connection.db)
        except BaseException:
            await connection.close()
            raise
        connection.bound(self._full)
        return connection

    async def reader(self, path: Path, *, long: bool = False) -> _OnDisk:
        """A connection that only reads."""
        return self._opened(f"{path.as_uri()}?mode=ro", writes=False)

    def lose(self, life: Life) -> None:
        """The process of `life` died: its connections are gone, with all that they had not committed."""
        for connection in [one for one in self._open if one.life is life]:
            connection.drop()

    def _opened(self, database: str, *, writes: bool) -> _OnDisk:
        alive()
        db = sqlite3.connect(database, isolation_level=None, cached_statements=256, uri=not writes, factory=_Database)
        db.row_factory = sqlite3.Row
        db.disk = self
        connection = _OnDisk(self, db, writes=writes)
        self._open[connection] = None
        return connection

    def __contains__(self, connection: object) -> bool:
        return connection in self._open

    def closed(self, connection: _OnDisk) -> None:
        self._open.pop(connection, None)

    def fail_perhaps(self) -> None:
        """Raises SQLite's I/O error now and then, while the disk is failing."""
        if self.failing and self.dice.random() < self.failing:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    def dies_now(self) -> bool:
        """Whether the process dies in this commit."""
        if self.crash_in is None:
            return False
        self.crash_in -= 1
        if self.crash_in >= 0:
            return False
        self.crash_in = None
        return True


class _Database(sqlite3.Connection):
    """A connection that can die in a COMMIT."""

    disk: Disk

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            return self._commit()
        if self.disk.rewrite is not None:
            sql = self.disk.rewrite(sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        return super().executemany(sql if self.disk.rewrite is None else self.disk.rewrite(sql), rows)

    def _commit(self) -> sqlite3.Cursor:
        self.disk.fail_perhaps()
        dies = self.disk.dies_now()
        if dies and not self.disk.after:
            raise Crash
        done = super().execute("COMMIT")
        if dies:
            raise Crash
        return done


class _OnDisk:
    """A connection; what would run on its thread runs in the loop, after a moment."""

    def __init__(self, disk: Disk, db: _Database, *, writes: bool) -> None:
        self.db, self.life = db, current_life()
        self._disk, self._writes = disk, writes
        self._turn = asyncio.Lock()

    def bound(self, full: bool) -> None:
        """The file may not grow any more, or it may."""
        if self._writes:
            pages = self.db.execute("PRAGMA page_count").fetchone()[0] if full else UNBOUNDED
            self.db.execute(f"PRAGMA max_page_count = {max(pages, 1)}").fetchall()

    async def run(self, function: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """`function(connection, …)`."""
        alive()
        async with self._turn:
            await asyncio.sleep(self._seconds() if self._writes or self._disk.slow else 0)
            alive()
            if not self._writes:
                self._disk.fail_perhaps()
            try:
                found = function(self.db, *args, **kw)
            except Crash:
                self._disk.on_crash()
                raise Dead from None
            if self._disk.slow:
                await asyncio.sleep(self._seconds())
            return found

    def _seconds(self) -> float:
        usual = WRITE_SECONDS if self._writes else READ_SECONDS
        return self._disk.dice.random() * (self._disk.slow or usual)

    async def close(self) -> None:
        """Close it; what died has nothing open."""
        if self in self._disk:
            self.drop()

    def drop(self) -> None:
        """Close it without a commit."""
        self._disk.closed(self)
        self.db.close()


def rows_of(path: Path) -> Iterator[tuple[str, int]]:
    """The tables of a journal, and how many rows each has."""
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall():
            yield name, db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
    finally:
        db.close()
