"""A wire that can be cut: a TCP proxy between wabot and somebody, for faults that only sockets have."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What happens to a connection, once something was said on it."""

    NONE = "none"
    RESET_AT_ONCE = "reset as soon as it is made"
    CUT_BEFORE = "closed when the request has come, which is not passed on"
    RESET_BEFORE = "reset when the request has come, which is not passed on"
    CUT_AFTER = "closed when the answer has come, which is not passed on"
    HALF_AN_ANSWER = "closed in the middle of the answer"
    SILENCE = "open, but nothing is passed on either way"


@dataclass
class Proxy:
    """Listens at `port` and passes on to `upstream`; `faults`: what happens to the next connections, then `always`.

    A connection keeps its fault from its first byte; `cut` ends those that are open.
    """

    upstream: int
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    always: Fault = Fault.NONE
    connections: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        fault = self.faults.pop(0) if self.faults else self.always
        self._open.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._pass(reader, writer, fault)
        self._open.discard(writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def cut(self) -> None:
        """Close all that is open."""
        for writer in self._open:
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
        if fault is Fault.RESET_AT_ONCE:
            return _reset(writer)
        first = await reader.read(1 << 16)
        match fault:
            case Fault.CUT_BEFORE:
                return None
            case Fault.RESET_BEFORE:
                return _reset(writer)
            case Fault.SILENCE:
                while await reader.read(1 << 16):
                    pass
                return None
        answers, requests = await asyncio.open_connection("127.0.0.1", self.upstream)
        self._open.add(requests)
        try:
            requests.write(first)
            if fault in (Fault.CUT_AFTER, Fault.HALF_AN_ANSWER):
                answer = await answers.read(1 << 16)
                writer.write(answer[: len(answer) // 2] if fault is Fault.HALF_AN_ANSWER else b"")
                await writer.drain()
                return None
            await asyncio.wait(
                [asyncio.create_task(_pump(reader, requests)), asyncio.create_task(_pump(answers, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._open.discard(requests)
            requests.close()
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a farewell: the other side gets a reset."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    assert sock is not None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


@asynccontextmanager
async def proxy(upstream: int) -> AsyncIterator[Proxy]:
    """A wire to a port of this machine."""
    wire = Proxy(upstream)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
        await server.wait_closed()
        await asyncio.sleep(0)
