"""Time that passes only when nobody has anything to do: hours of it in a moment, the same in every run."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

START = 1_700_000_000.0
"""Unix seconds when a test in virtual time begins."""


class _Skipping(selectors.SelectSelector):
    """Instead of waiting, moves the clock to when the wait would end."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for somebody else: this would never end"
        self.now += max(timeout, 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, selector: _Skipping) -> None:
        self._skipping = selector
        super().__init__(selector)

    def time(self) -> float:
        return self._skipping.now


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in virtual time. It must not touch sockets, threads or processes: these take real time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=lambda: _Loop(_Skipping())) as runner:
            runner.run(asyncio.wait_for(test(*args, **kwargs), 1e6))

    return run


def clock() -> float:
    """Unix seconds of the running test."""
    return START + asyncio.get_running_loop().time()
