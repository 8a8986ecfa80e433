"""A load generator: keep-alive connections that each write a request, read the answer, and write the next.

Requests are made beforehand and answers hardly looked at, so that it is never this side that is measured: a result
says how busy the generator itself was (`busy`, of one core). Where that comes near 1, believe nothing.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import uvloop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Load:
    """What came back. Latencies in seconds, sorted; `answered` counts all 200s, `latencies` those after the warm-up."""

    seconds: float
    latencies: Sequence[float]
    answered: int
    refused: int
    busy: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, q: float) -> float:
        """The latency that the share `q` of the requests did not exceed."""
        return self.latencies[min(int(len(self.latencies) * q), len(self.latencies) - 1)] if self.latencies else 0.0


def drive(port: int, requests: Sequence[bytes], *, connections: int, seconds: float, warm_up: float = 0.0) -> Load:
    """As many of `requests` as the server takes in `warm_up` + `seconds`, over so many connections at once."""
    return _undisturbed(lambda: _drive(port, iter(requests), connections, seconds, warm_up))


def spread(port: int, requests: Sequence[bytes], *, over: float) -> Load:
    """Each of `requests` at its own time within `over` seconds and on a connection of its own, answered or not."""
    return _undisturbed(lambda: _spread(port, requests, over))


def _undisturbed(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(work())
    finally:
        gc.enable()


class _Connection(asyncio.Protocol):
    """One connection with at most one request on its way."""

    def __init__(self, answered: Callable[[_Connection, int, float], None]) -> None:
        self._answered = answered
        self._buffer = b""
        self._asked_at = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def ask(self, request: bytes) -> None:
        self._asked_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            self._buffer = b""
            self._answered(self, int(head[9:12]), now - self._asked_at)

    def connection_lost(self, exc: Exception | None) -> None:
        self._answered(self, 0, 0.0)


def _length(head: bytes) -> int:
    """Of the body; every server here says it."""
    name = b"\r\ncontent-length:"
    at = head.lower().index(name) + len(name)
    return int(head[at:].split(b"\r\n", 1)[0])


async def _drive(port: int, requests: Iterator[bytes], connections: int, seconds: float, warm_up: float) -> Load:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    counts = [0, 0]
    asking = set[_Connection]()
    done = loop.create_future()

    def answered(connection: _Connection, status: int, latency: float) -> None:
        if connection not in asking:
            return
        counts[status != 200] += 1
        now = time.perf_counter()
        if status == 200 and start <= now < end:
            latencies.append(latency)
        request = next(requests, None) if status and now < end else None
        if request is not None:
            connection.ask(request)
            return
        asking.discard(connection)
        if not asking and not done.done():
            done.set_result(time.perf_counter())

    opened = await _open(port, connections, answered)
    start = time.perf_counter() + warm_up
    end = start + seconds
    asking.update(opened)
    used = time.process_time()
    for connection in opened:
        connection.ask(next(requests))
    finished = await done
    busy = (time.process_time() - used) / (finished - start + warm_up)
    for connection in opened:
        connection.transport.close()
    return Load(min(seconds, finished - start), sorted(latencies), counts[0], counts[1], busy)


async def _spread(port: int, requests: Sequence[bytes], over: float) -> Load:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    counts = [0, 0]
    done = loop.create_future()

    def answered(connection: _Connection, status: int, latency: float) -> None:
        if done.done():
            return
        counts[status != 200] += 1
        latencies.append(latency)
        if sum(counts) == len(requests):
            done.set_result(None)

    opened = await _open(port, len(requests), answered)
    start, used = loop.time(), time.process_time()
    for position, (connection, request) in enumerate(zip(opened, requests, strict=True)):
        loop.call_at(start + over * position / len(requests), connection.ask, request)
    await done
    seconds = loop.time() - start
    for connection in opened:
        connection.transport.close()
    return Load(seconds, sorted(latencies), counts[0], counts[1], (time.process_time() - used) / seconds)


async def _open(port: int, count: int, answered: Callable[[_Connection, int, float], None]) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: _Connection(answered), "127.0.0.1", port))[1] for _ in range(count)]
