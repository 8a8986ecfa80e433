"""wabot as a child process of the stand-in: it can be killed, and comes back to the same journal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp

STOP_SECONDS = 15.0
"""How long wabot may take to stop; it needs 10 at the most."""


class WabotProcess:
    """Starts, stops and kills wabot. `command`: its arguments; `find_url`: its URL as it says, None before it does.

    Its standard input is a pipe that nobody writes to: it ends when we do, however that is, and wabot with it.
    """

    def __init__(self, *, find_url: Callable[[], str | None]) -> None:
        self.command: Sequence[str] = ()
        self._find_url = find_url
        self.on_change: Callable[[], None] = lambda: None
        self.on_start: Callable[[str], None] = lambda _url: None
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self.state, self.ahead, self.kills = "stopped", 0.0, 0
        self.is_up = asyncio.Event()

    def shown(self) -> dict[str, Any]:
        """As JSON for the page."""
        return {"state": self.state, "pid": self._child.pid if self._child else None, "ahead": self.ahead,
                "kills": self.kills}  # fmt: skip

    @property
    def returncode(self) -> int | None:
        """The exit status of the last process; None while it runs."""
        return self._child.returncode if self._child else None

    async def start(self, *, keep: bool) -> str | None:
        """Start wabot, with the journal that is there or a new one: its URL, None if it ended instead."""
        async with self._turn:
            return await self._start(keep=keep)

    async def kill_and_restart(self) -> None:
        """kill -9, and a start with the journal as it is."""
        async with self._turn:
            if self._child is not None and self._child.returncode is None:
                self._change("killed")
                self.kills += 1
                self._child.send_signal(signal.SIGKILL)
                await self._child.wait()
            await self._start(keep=True)

    async def let_time_pass(self, seconds: float) -> None:
        """Stop wabot, and start it with a clock that is ahead by so much more."""
        async with self._turn:
            await self._stop()
            self.ahead += seconds
            await self._start(keep=True)

    async def stop(self) -> None:
        """Stop wabot, gently."""
        async with self._turn:
            await self._stop()

    async def _start(self, *, keep: bool) -> str | None:
        self.is_up.clear()
        self._change("starting")
        options = [*(["--keep"] if keep else []), "--ahead", f"{self.ahead:g}"]
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, *self.command, *options, stdin=asyncio.subprocess.PIPE
        )
        while self._child.returncode is None:
            if (url := self._find_url()) and await _answers(url):
                self.on_start(url)
                self._change("running")
                self.is_up.set()
                self._watching = asyncio.create_task(self._watch(self._child))
                return url
            await asyncio.sleep(0.05)
        self._change("ended")
        return None

    async def _watch(self, child: asyncio.subprocess.Process) -> None:
        await child.wait()
        if child is self._child and self.state == "running":
            self._change("ended")

    async def _stop(self) -> None:
        if self._child is None or self._child.returncode is not None:
            return
        self._change("stopping")
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()
        try:
            await asyncio.wait_for(self._child.wait(), STOP_SECONDS)
        except TimeoutError:
            self._child.kill()
            await self._child.wait()
        self._change("stopped")

    def _change(self, state: str) -> None:
        self.state = state
        self.on_change()


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as client, client.get(f"{url}/healthz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def probe(url: str) -> None:
    """Let wabot try at once what it waits with."""
    with contextlib.suppress(aiohttp.ClientError):
        async with aiohttp.ClientSession() as client, client.post(f"{url}/lanes/send/probe"):
            pass
