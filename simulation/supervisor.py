"""The machine that wabot runs on: starts it, sees it crash, and starts it again, as systemd does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from simulation.disk import Disk
from simulation.timeline import START, Life, Timeline, actor
from simulation.trace import Trace
from simulation.wires import Front
from wabot.assembly.clock import SteadyClock
from wabot.assembly.start_and_stop import at_work
from wabot.core.exceptions import JournalDown
from wabot.journal.files import CannotOpen
from wabot.settings.loading import Settings
from wabot.web.app import make_app
from wabot.web.auth import Gate

DOWN_SECONDS = 3.0
"""How long a restart takes, as a rule."""


class Supervisor:
    """Keeps one wabot running. `skew`: how far the machine's clock is ahead. `crashes`: when it crashed."""

    def __init__(
        self, settings: Settings, disk: Disk, front: Front, adapters: Any, *, dice: Random, noise: Random, trace: Trace
    ) -> None:
        self.settings, self.disk, self.front, self.adapters = settings, disk, front, adapters
        self._dice, self._noise, self._trace = dice, noise, trace
        self.skew = 0.0
        self.crashes: list[float] = []
        self.on_crash: Callable[[], None] = lambda: None
        self.starts: list[float] = []
        self._life: Life | None = None
        self._number = 0
        self._keeper: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._died: asyncio.Future[None]
        disk.on_crash = self.crash

    def start(self) -> None:
        """Start it, again and again."""
        self._keeper = actor(self._keep())

    def crash(self) -> None:
        """The process dies, now. What it was doing is never finished."""
        life = self._life
        if life is None or life.over:
            return
        life.over = True
        loop = asyncio.get_running_loop()
        self._trace("crash", life=life.number)
        self.crashes.append(loop.time())
        self.on_crash()
        self.front.close()
        self.disk.lose(life)
        self._has_died()

    def crash_in(self, turns: int) -> None:
        """Let it die after this many turns of the loop in which anything happens."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Timeline)
        left = turns

        def turn() -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                loop.on_turn(None)
                loop.call_soon(self.crash)

        loop.on_turn(turn)

    async def stop(self) -> None:
        """Stop it as an operator would, for good."""
        self._stop.set()
        if self._keeper is not None:
            await self._keeper

    async def kill(self) -> None:
        """Let it die, for good."""
        self._stop.set()
        self.crash()
        if self._keeper is not None:
            await self._keeper

    async def _keep(self) -> None:
        while True:
            self._number += 1
            life = self._life = Life(self._number)
            self._died = asyncio.get_running_loop().create_future()
            task = life.start(self._run(life))
            task.add_done_callback(lambda _: self._has_died())
            await self._died
            await life.end()
            trouble = None if task.cancelled() else task.exception()
            if isinstance(trouble, CannotOpen | JournalDown):
                self._trace("start.failed", why=type(trouble.__cause__).__name__)
            elif trouble is not None:
                raise trouble
            if self._stop.is_set():
                return
            await asyncio.sleep(DOWN_SECONDS * (0.1 + self._dice.expovariate(1.0)))

    def _has_died(self) -> None:
        if not self._died.done():
            self._died.set_result(None)

    async def _run(self, life: Life) -> None:
        """One process, from its start to its stop."""
        loop = asyncio.get_running_loop()
        keys = [key.get_secret_value() for key in self.settings.server.api_keys]
        working = at_work(
            self.settings,
            clock=SteadyClock(wall=lambda: START + loop.time() + self.skew, monotonic=loop.time),
            noise=self._noise.random,
            connect=self.disk,
            adapters=self.adapters,
        )
        async with working as (accounts, intake):
            app = make_app(accounts, intake, gate=Gate(keys), wait_seconds=self.settings.api.wait_seconds)
            app.freeze()
            self.front.open(app, life)
            self.starts.append(loop.time())
            self._trace("start", life=life.number)
            await self._stop.wait()
            self.front.close()
