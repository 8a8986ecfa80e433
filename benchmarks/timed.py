"""Connections of a journal that measure every trip to their threads."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from wabot.journal.connections import Check, Connection, Threads

P = ParamSpec("P")
T = TypeVar("T")

WRITER, LANES, PEOPLE = "the writer", "the lanes' reader", "the reader of long lists"
_IN_ORDER = (WRITER, LANES, PEOPLE)
"""As a journal opens them."""


@dataclass(frozen=True, slots=True)
class Trip:
    """One trip to a connection: for what, and the CPU seconds of its thread. Waiting for the disk is not in them."""

    connection: str
    what: str
    seconds: float


@dataclass
class Measured:
    """Opens a journal's connections, and writes down their trips. `what`: what is being done now."""

    trips: list[Trip] = field(default_factory=list)
    what: str = "opening"
    _opened: int = 0

    async def writer(self, path: Path, check: Check) -> Connection:
        """As `Threads.writer`."""
        return self._timed(await Threads().writer(path, check))

    async def reader(self, path: Path, *, long: bool = False) -> Connection:
        """As `Threads.reader`."""
        return self._timed(await Threads().reader(path, long=long))

    def slowest(self, connection: str) -> list[Trip]:
        """The slowest trip of each kind to a connection, the slowest kind first."""
        worst: dict[str, Trip] = {}
        for trip in sorted(self.trips, key=lambda trip: trip.seconds):
            if trip.connection == connection:
                worst[trip.what] = trip
        return sorted(worst.values(), key=lambda trip: trip.seconds, reverse=True)

    def _timed(self, connection: Connection) -> Connection:
        self._opened += 1
        return _Timed(connection, _IN_ORDER[self._opened - 1], self)


@dataclass(frozen=True, slots=True)
class _Timed:
    connection: Connection
    name: str
    measured: Measured

    async def run(self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """As the connection's own. Of a group of operations each is a trip: what they share is the commit."""
        if args and isinstance(args[0], list):
            return await self.connection.run(function, [self._timed(operation) for operation in args[0]])  # type: ignore[call-arg]
        return await self.connection.run(self._timed(function), *args, **kw)

    def _timed(self, function: Callable[Concatenate[sqlite3.Connection, P], T]) -> Callable[..., T]:
        def timed(db: sqlite3.Connection, *args: P.args, **kw: P.kwargs) -> T:
            started = time.thread_time()
            try:
                return function(db, *args, **kw)
            finally:
                trip = Trip(self.name, self.measured.what, time.thread_time() - started)
                self.measured.trips.append(trip)

        return timed

    async def close(self) -> None:
        """As the connection's own."""
        await self.connection.close()
