"""Runs long work in a thread, one task at a time: more threads would only compete for Python's lock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MANY = 500
"""The number of entries from which work is done in a thread."""


class Offload:
    """Runs functions in a thread, one after the other. They must be Python code: a long call into C blocks the loop as
    if it ran there."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def __call__(self, function: Callable[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """The result of `function(*args, **kw)`."""
        async with self._turn:
            return await asyncio.to_thread(function, *args, **kw)
