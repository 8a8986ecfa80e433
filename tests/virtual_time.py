"""Tests in time that passes only when nobody has anything to do: hours of it in a moment, the same in every run."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from wabot.rehearsal.virtual_time import VirtualTime

P = ParamSpec("P")

START = 1_700_000_000.0
"""Unix seconds when a test in virtual time begins."""


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in virtual time. It must not touch sockets or processes: these take real time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTime) as runner:
            runner.run(asyncio.wait_for(test(*args, **kwargs), 1e6))

    return run


def clock() -> float:
    """Unix seconds of the running test."""
    return START + asyncio.get_running_loop().time()
