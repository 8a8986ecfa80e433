"""How a batch is queued: a small one in one commit, a large one in slices, so that others come between them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Concatenate, ParamSpec, TypeVar

from wabot.core.exceptions import JournalDown
from wabot.journal import batches
from wabot.journal.batch_waiters import Watchers
from wabot.journal.sqlite import Reader, Writer

P = ParamSpec("P")
T = TypeVar("T")


class Slices:
    """Queues batches. `notify` is called with the time whenever there is something new to send.

    One slice at a time, of whichever batch: all operations that wait for the writer share a commit, so the slices of
    ten requests would become one large one.
    """

    def __init__(self, writer: Writer, read: Reader, watchers: Watchers, notify: Callable[[float], None]) -> None:
        self._writer, self._read, self._watchers, self._notify = writer, read, watchers, notify
        self._turn = asyncio.Lock()
        self._in_hand: set[str] = set()

    async def queue(self, batch: batches.NewBatch, now: float) -> batches.Queued:
        """Queue all of a batch, or none of it and raise JournalDown."""
        if len(batches.parts(batch)) == 1:
            write = self._writer if batches.is_light(batch) else self.write
            queued = await write(batches.queue_batch, batch, now)
            self._notify(now)
            return queued
        with self._hand(batch.id):
            queued = await self._begin(batch, now)
            if not queued.known and batch.send_at is None:
                with suppress(JournalDown):  # it has begun; what is missing follows when the disk is well again
                    await self.finish(batch.id, now)
            return queued

    async def clean_up(self, now: float) -> None:
        """Go on with the batches, and forget the drafts, that a restart or a disk's trouble has interrupted."""
        for batch_id, is_draft in await self._read(batches.unfinished, now):
            if batch_id in self._in_hand:
                continue
            if not is_draft:
                await self.finish(batch_id, now)
            while is_draft and await self.write(batches.forget_draft, batch_id):
                pass

    @contextmanager
    def _hand(self, batch_id: str) -> Iterator[None]:
        """While a request queues a batch, `clean_up` leaves it alone."""
        self._in_hand.add(batch_id)
        try:
            yield
        finally:
            self._in_hand.discard(batch_id)

    async def _begin(self, batch: batches.NewBatch, now: float) -> batches.Queued:
        known = await self._read(batches.find, batch.key, batch.fingerprint)
        if known:
            return known
        firsts = batches.first_positions(batch)
        await self.write(batches.draft, batch, now)
        for part in batches.parts(batch, batches.WRITTEN_AT_ONCE):
            await self.write(batches.write_down, batch, firsts, part)
        return await self.write(batches.begin, batch)

    async def finish(self, batch_id: str, now: float) -> None:
        """Queue the rest of a batch, or cancel it in one that was cancelled; then it is sent.

        Sends of the first slices would delay the others, and the answer to the request with them.
        """
        try:
            while await self.write(batches.queue_next, batch_id, now):
                pass
        finally:
            self._notify(now)
        await self._watchers.tell(batch_id)

    async def write(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """Commit an operation in its turn among all slices."""
        async with self._turn:
            return await self._writer(operation, *args, **kw)
