"""Recording: what changed goes to the archive in batches, as often as it takes.

The journal believes that the archive has what it took. Whoever points us at another MongoDB, or restores an old one,
makes that wrong; so whenever the archive is found, at start or after an outage, it must have something of what it
took last. If it has nothing of it, everything that the journal still keeps is recorded anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from wabot.core.errors import ArchiveDown, JournalDown
from wabot.log import get_logger

BATCH = 500
EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 5.0
"""The longest pause between two looks at an archive that is away: until one succeeds, no question is put to it."""

PROMPT_SECONDS = 1.0
"""An archive that takes longer to answer a ping is recorded to, but nobody who waits may ask it."""

REFUSED_SECONDS = 3600.0
"""When a refused document is offered again: a rule of the database's may have been the reason, and be gone."""

WITNESSES = 50
"""How many messages are looked for in an archive that was found. A few may have been deleted there on purpose."""

FORGET_STEP = 5000

log = get_logger()


class Ledger(Protocol):
    """The journal, as recording needs it."""

    async def ahead_of_archive(self, after: int, limit: int) -> list[tuple[int, int, dict[str, Any]]]: ...
    async def mark_archived(self, versions: Iterable[tuple[int, int]]) -> None: ...
    async def lately_archived(self, limit: int) -> list[str]: ...
    async def forget_archived(self, before: int | None, limit: int) -> int | None: ...


class Archive(Protocol):
    """Where history and results are kept for good. Raises ArchiveDown."""

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]:
        """Upsert documents; the positions of those that were refused, each with the reason."""

    async def ping(self) -> None:
        """Answer something."""

    async def has_any(self, keys: Sequence[str]) -> bool:
        """Whether a document with one of these keys is there."""


class Circuit(Protocol):
    """Who may ask the archive: `works` is what is known of it, None before it was asked."""

    @property
    def works(self) -> bool | None: ...
    def open(self, reason: str) -> None: ...
    def close(self) -> None: ...


class Recorder:
    """Ships messages whose version is ahead of the archive's. Twice does no harm: the key is our own.

    `sure`: the archive has what the journal believes that it has.
    """

    def __init__(
        self, ledger: Ledger, archive: Archive, circuit: Circuit, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._archive, self._circuit, self._clock = ledger, archive, circuit, clock
        self._refused: dict[int, tuple[int, float]] = {}
        self.sure = False

    async def run(self) -> None:
        """Work until cancelled."""
        wait = EVERY_SECONDS
        while True:
            try:
                shipped = await self.ship()
                wait = EVERY_SECONDS
            except ArchiveDown as error:
                self._circuit.open(str(error))
                self.sure, shipped = False, 0
                wait = min(wait * 2, PATIENCE_SECONDS)
            except JournalDown:
                shipped = 0
            if not shipped:
                await asyncio.sleep(wait)

    async def ship(self) -> int:
        """One pass over everything that the archive lacks; how many messages it took."""
        if self._circuit.works is not True:
            await self._probe()
        if not self.sure:
            await self._make_sure()
        shipped, after = 0, -(1 << 62)
        while rows := await self._ledger.ahead_of_archive(after, BATCH):
            after = rows[-1][0]
            rows = [row for row in rows if not self._was_refused(row[0], row[1])]
            if not rows:
                continue
            refused = await self._archive.record([document for _, _, document in rows])
            for position, why in refused.items():
                message_id, version, _ = rows[position]
                self._refused[message_id] = version, self._clock() + REFUSED_SECONDS
                log.warning("archive.refused", message=message_id, reason=why)
            taken = [(row[0], row[1]) for position, row in enumerate(rows) if position not in refused]
            await self._ledger.mark_archived(taken)
            for message_id, _ in taken:
                self._refused.pop(message_id, None)
            shipped += len(taken)
        return shipped

    async def _probe(self) -> None:
        """Look whether the archive is back; after an outage, of whomever's finding, nothing is sure."""
        self.sure, asked = False, self._clock()
        await self._archive.ping()
        if self._clock() - asked <= PROMPT_SECONDS:
            self._circuit.close()

    async def _make_sure(self) -> None:
        """Compare the archive with what the journal believes of it."""
        keys = await self._ledger.lately_archived(WITNESSES)
        if keys:
            known = await self._archive.has_any(keys)
            if not known:
                log.warning("archive.swapped", reason="it has nothing of what was recorded last: recording all anew")
                before = await self._ledger.forget_archived(None, FORGET_STEP)
                while before is not None:
                    before = await self._ledger.forget_archived(before, FORGET_STEP)
        self.sure = True

    def _was_refused(self, message_id: int, version: int) -> bool:
        refused, until = self._refused.get(message_id, (0, 0.0))
        return refused == version and self._clock() < until
