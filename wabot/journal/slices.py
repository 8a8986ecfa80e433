"""How a batch is queued: a small one in one commit, a large one in slices, so that others come between them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from wabot.core.errors import JournalDown
from wabot.journal import batches
from wabot.journal.sqlite import Reader, Writer
from wabot.journal.watchers import Watchers


class Slices:
    """Queues batches. `notify` is told the time whenever there is something new to send."""

    def __init__(self, writer: Writer, read: Reader, watchers: Watchers, notify: Callable[[float], None]) -> None:
        self._writer, self._read, self._watchers, self._notify = writer, read, watchers, notify

    async def queue(self, batch: batches.NewBatch, now: float) -> batches.Queued:
        """Queue all of a batch, or none of it and raise JournalDown."""
        if len(batch.recipients) <= batches.SLICE:
            queued = await self._writer(batches.queue_batch, batch, now)
            self._notify(now)
            return queued
        queued = await self._begin(batch, now)
        if not queued.known:
            with suppress(JournalDown):  # it has begun; what is missing follows when the journal can be written again
                await self._queue_rest(batch.id, now)
        return queued

    async def queue_what_is_left(self, now: float) -> None:
        """Go on with the batches that a restart, or a journal that could not be written, has interrupted."""
        for batch_id in await self._read(batches.unfinished):
            await self._queue_rest(batch_id, now)

    async def _begin(self, batch: batches.NewBatch, now: float) -> batches.Queued:
        known = await self._read(lambda db: batches.find(db, batch))
        if known:
            return known
        firsts = batches.first_positions(batch)
        await self._writer(batches.draft, batch, now)
        for start in range(0, len(batch.recipients), batches.SLICE):
            await self._writer(batches.write_down, batch, firsts, start)
        return await self._writer(batches.begin, batch)

    async def _queue_rest(self, batch_id: str, now: float) -> None:
        more = True
        while more:
            more = await self._writer(batches.queue_next, batch_id, now)
            self._notify(now)
        await self._watchers.tell(batch_id)
