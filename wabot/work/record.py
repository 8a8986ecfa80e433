"""Recording: what changed goes to the archive in batches, as often as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from wabot.core.errors import ArchiveDown, JournalDown
from wabot.log import get_logger

BATCH = 500
EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 30.0

log = get_logger()


class Ledger(Protocol):
    """The journal, as recording needs it."""

    async def ahead_of_archive(self, after: int, limit: int) -> list[tuple[int, int, dict[str, Any]]]: ...
    async def mark_archived(self, versions: Iterable[tuple[int, int]]) -> None: ...


class Archive(Protocol):
    """Where history and results are kept for good. Raises ArchiveDown."""

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]:
        """Upsert documents; the positions of those that were refused, each with the reason."""


class Recorder:
    """Ships messages whose version is ahead of the archive's. Twice does no harm: the key is our own."""

    def __init__(self, ledger: Ledger, archive: Archive) -> None:
        self._ledger, self._archive = ledger, archive
        self._refused: dict[int, int] = {}
        self.archive_works: bool | None = None
        self.behind = False

    async def run(self) -> None:
        """Work until cancelled."""
        wait = EVERY_SECONDS
        while True:
            try:
                shipped = await self.ship()
                wait = EVERY_SECONDS
            except ArchiveDown as error:
                if self.archive_works is not False:
                    log.warning("archive.lost", reason=str(error))
                self.archive_works, shipped = False, 0
                wait = min(wait * 2, PATIENCE_SECONDS)
            except JournalDown:
                shipped = 0
            if not shipped:
                await asyncio.sleep(wait)

    async def ship(self) -> int:
        """One pass over everything that the archive lacks; how many messages it took."""
        shipped, after = 0, -(1 << 62)
        while rows := await self._ledger.ahead_of_archive(after, BATCH):
            after = rows[-1][0]
            rows = [row for row in rows if self._refused.get(row[0]) != row[1]]
            if not rows:
                continue
            self.behind = True
            refused = await self._archive.record([document for _, _, document in rows])
            self._found_the_archive()
            for position, why in refused.items():
                message_id, version, _ = rows[position]
                self._refused[message_id] = version
                log.warning("archive.refused", message=message_id, reason=why)
            taken = [(row[0], row[1]) for position, row in enumerate(rows) if position not in refused]
            await self._ledger.mark_archived(taken)
            shipped += len(taken)
        self.behind = False
        return shipped

    def _found_the_archive(self) -> None:
        if self.archive_works is False:
            log.info("archive.found")
        self.archive_works = True
