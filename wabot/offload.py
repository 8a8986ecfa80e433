"""Work that takes long is done beside the loop, one piece at a time: many threads would only take turns with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MANY = 500
"""Entries from which something is worth a thread of its own."""


class Offload:
    """Runs functions in a thread, each after the one before it. They must be written in Python, not one call into C:
    such a call holds up the loop as if it ran there."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def __call__(self, function: Callable[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """What `function(…)` returns."""
        async with self._turn:
            return await asyncio.to_thread(function, *args, **kw)
