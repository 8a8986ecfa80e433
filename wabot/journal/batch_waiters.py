"""Requests that wait for a batch to be settled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Watchers:
    """Those who wait, by batch; `is_open` asks the journal whether something of a batch is still to come."""

    def __init__(self, is_open: Callable[[str], Awaitable[bool]]) -> None:
        self._is_open = is_open
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._allowed = True

    def __contains__(self, batch_id: str | None) -> bool:
        return batch_id in self._waiting

    async def wait(self, batch_id: str, timeout: float) -> None:
        """Wait until nothing of a batch is open, `timeout` seconds at the most, or until `let_go`."""
        event = asyncio.Event()
        watchers = self._waiting.setdefault(batch_id, set())
        watchers.add(event)
        try:
            async with asyncio.timeout(timeout):
                while self._allowed and await self._is_open(batch_id):
                    await event.wait()
                    event.clear()
        except TimeoutError:
            pass
        finally:
            watchers.discard(event)
            if not watchers:
                self._waiting.pop(batch_id, None)

    def let_go(self) -> None:
        """Wake all requests, since wabot stops; from now on none waits."""
        self._allowed = False
        for event in set().union(*self._waiting.values()):
            event.set()

    async def tell(self, batch_id: str | None = None) -> None:
        """Jobs moved in a batch, or in any: wake the requests whose batch is settled now."""
        for watched in [batch_id] if batch_id else list(self._waiting):
            if watched in self._waiting and not await self._is_open(watched):
                for event in self._waiting.get(watched, ()):
                    event.set()
