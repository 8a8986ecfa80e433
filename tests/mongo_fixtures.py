"""One server that speaks MongoDB's protocol for a whole run, and a proxy that makes the way to it bad."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.process import environment, free_port


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server. Tests share it: each takes a database of its own."""
    port, folder = free_port(), tmp_path_factory.mktemp("mongo")
    command = [sys.executable, "-m", "secantus", "--port", str(port), "--storage-path", str(folder), "--standalone"]
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(command, cwd=folder, env=environment(), stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        give_up = time.monotonic() + 30
        while not _answers(port):
            assert child.poll() is None, "secantus ended at once"
            assert time.monotonic() < give_up, "secantus does not take connections"
            time.sleep(0.05)
        yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
    finally:
        child.kill()  # nobody needs what it has
        child.wait()


@pytest.fixture
def database() -> str:
    """A name that no other test has."""
    return f"test_{uuid4().hex[:12]}"


@dataclass
class Proxy:
    """A way to the server that can be closed, and that can be made to swallow what is sent."""

    uri: str
    target: tuple[str, int]
    silent: bool = False
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self) -> None:
        """Take connections from now on."""
        port = urlsplit(self.uri).port
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)

    async def close(self) -> None:
        """Refuse connections, and cut those that are open."""
        if self._server is not None:
            self._server.close()
            while self._tasks:
                for writer in self._open:
                    writer.transport.abort()
                await asyncio.wait(self._tasks, timeout=0.1)
            await self._server.wait_closed()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        self._open |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._open -= {writer, back}
            for end in (writer, back):
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy(uri: str, *, opened: bool = True) -> AsyncIterator[Proxy]:
    """A proxy before the server at `uri`."""
    target = urlsplit(uri)
    assert target.hostname is not None
    assert target.port is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Proxy(f"mongodb://127.0.0.1:{port}/?directConnection=true", (target.hostname, target.port))
    if opened:
        await made.open()
    try:
        yield made
    finally:
        await made.close()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False
