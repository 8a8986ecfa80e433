"""Tells the owner's programs when a lane pauses and when it works again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Kind
from wabot.work.lane import JOURNAL_RETRY_SECONDS, Lane

Write = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class LaneReports:
    """Writes an event for each pause of a lane, and for its end; again, where `write` raises JournalDown."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._paused = set[Kind]()
        self._reports: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()

    def lane_changed(self, lane: Lane) -> None:
        """A lane paused, its probe failed, or it resumed."""
        pause = lane.paused
        if pause is not None and lane.kind not in self._paused:
            self._paused.add(lane.kind)
            about = {"lane": str(lane.kind), "reason": pause.reason, "code": pause.code}
            self._reports.put_nowait(("lane.paused", about))
        elif pause is None and lane.kind in self._paused:
            self._paused.discard(lane.kind)
            self._reports.put_nowait(("lane.resumed", {"lane": str(lane.kind)}))

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            report = await self._reports.get()
            while not await self._written(*report):
                await asyncio.sleep(JOURNAL_RETRY_SECONDS)

    async def _written(self, type_: str, about: Mapping[str, Any]) -> bool:
        try:
            await self._write(type_, about)
        except JournalDown:
            return False
        return True
