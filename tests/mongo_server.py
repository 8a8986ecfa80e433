"""A real server that speaks MongoDB's protocol, as a process that can be stopped and started again."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.process import environment, free_port


@dataclass
class MongoServer:
    """At one address, with what it keeps in one folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    _child: asyncio.subprocess.Process | None = None

    @property
    def uri(self) -> str:
        """What `mongo.uri` takes."""
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        command = ["-m", "secantus", "--port", str(self.port), "--storage-path", str(self.folder), "--standalone"]
        quiet = asyncio.subprocess.DEVNULL
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=self.folder, env=environment(), stdin=quiet, stdout=quiet, stderr=quiet
        )
        give_up = time.monotonic() + 30
        while not await self._answers():
            assert self._child.returncode is None, "secantus ended at once"
            assert time.monotonic() < give_up, "secantus does not take connections"
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End it; what it was told stays in its folder."""
        if self._child is not None and self._child.returncode is None:
            self._child.terminate()
            try:
                await asyncio.wait_for(self._child.wait(), 10)
            except TimeoutError:
                self._child.kill()
                await self._child.wait()
        self._child = None

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            await writer.wait_closed()
            return True
        return False


@contextlib.asynccontextmanager
async def mongo_server(folder: Path, *, started: bool = True) -> AsyncIterator[MongoServer]:
    """A server with its data in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = MongoServer(folder)
    try:
        if started:
            await server.start()
        yield server
    finally:
        await server.stop()
