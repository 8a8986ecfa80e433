"""The archive: the fake that is held to the contract, with bad days: away, slow, and come back empty."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from simulation.timeline import alive
from tests.fakes import MemoryArchive
from wabot.core.exceptions import ArchiveDown
from wabot.core.history_span import ALWAYS, Span


class Archive(MemoryArchive):
    """MongoDB. `slow`: seconds that an answer takes at most. `emptied_at`: when it last lost everything."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._dice = dice
        self.slow = 0.0
        self.emptied_at = float("-inf")

    def lose_everything(self) -> None:
        """It comes back from an old backup: an empty one."""
        self.documents.clear()
        self.emptied_at = asyncio.get_running_loop().time()

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]:
        await self._wait()
        refused = await super().record(_copied(list(documents)))
        await self._wait()
        return refused

    async def ping(self) -> None:
        await self._wait()
        await super().ping()

    async def lacks(self, versions: Mapping[str, int]) -> set[str]:
        await self._wait()
        return await super().lacks(versions)

    async def history(
        self,
        identities: Iterable[str | None],
        contact: str | None,
        limit: int,
        include: Sequence[str],
        *,
        span: Span = ALWAYS,
    ) -> list[dict[str, Any]]:
        alive()
        if self.slow > 1.0 and self._dice.random() < 0.5:
            await asyncio.sleep(1.0)  # as long as the client waits for an answer
            raise ArchiveDown("MongoDB does not answer")
        await self._wait()
        return _copied(await super().history(identities, contact, limit, include, span=span))

    async def _wait(self) -> None:
        alive()
        await asyncio.sleep(self._dice.random() * (self.slow or 0.01))
        alive()


def _copied(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As it comes over a network, so that nobody changes what somebody else has. Ten times as fast as deepcopy."""
    copied: list[dict[str, Any]] = pickle.loads(pickle.dumps(documents))
    return copied
