"""An event loop whose time passes only where nobody works: hours of it in a moment, and the same in every run."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Stuck(RuntimeError):
    """Everybody waits for somebody else, so that time would stand still for ever."""


class _Skipping(selectors.DefaultSelector):
    """Instead of waiting, moves the clock to when the wait would end. `real`: how many need a true wait now."""

    now, real = 0.0, 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.real:
            began = time.monotonic()
            events = super().select(timeout)
            self.now += time.monotonic() - began
            return events
        if timeout is None:
            raise Stuck
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualTime(asyncio.SelectorEventLoop):
    """The loop. What others do in threads is done inline, so that it takes no time and its order is always the same."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now

    @contextmanager
    def reality(self) -> Iterator[None]:
        """While anybody is within this, threads are threads and time passes as it does: for a talk with the world."""
        self._skipping.real += 1
        try:
            yield
        finally:
            self._skipping.real -= 1

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        if self._skipping.real:
            return super().run_in_executor(executor, func, *args)
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  whatever it raises belongs to its caller
            future.set_exception(error)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        with self.reality():
            await super().shutdown_default_executor(*args)
