"""The journal's operations by which a person sees and changes the outbox."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wabot.core.jobs import Kind, State
from wabot.core.messages import Stop
from wabot.journal import (
    batch_results,
    batches,
    bulk_retry,
    contact_documents,
    contacts,
    dry_runs,
    kept_media,
    outbox_documents,
    outbox_list,
    retry_and_cancel,
    takeover,
)
from wabot.journal.batch_queueing import Slices
from wabot.journal.batch_results import Counts, Head, RecipientResult
from wabot.journal.batch_waiters import Watchers
from wabot.journal.batches import Queued
from wabot.journal.forgetting import ForgetsPeople
from wabot.journal.single_messages import NewSingle, NotQueued, queue_single
from wabot.journal.sqlite import Reader, Writer

MANY_NUMBERS = 1000


class ByHand(ForgetsPeople):
    """The journal's operations on the outbox by hand."""

    name: str
    writer: Writer
    _read: Reader
    _read_long: Reader
    _salt: bytes | None
    _slices: Slices
    _watchers: Watchers
    notify: Callable[[Kind, float], None]
    _refuse_when_crowded: Callable[[], None]

    async def outbox(self, query: outbox_list.Query) -> list[dict[str, Any]]:
        """The sends or replies that `query` asks for, newest first."""
        return await self._read_long(outbox_list.listing, query, self.name)

    async def outbox_one(self, job_id: int) -> dict[str, Any] | None:
        """One send, whole, or one reply."""
        return await self._read_long(outbox_documents.one, job_id, self.name)

    async def contact(self, identity: str, now: float) -> dict[str, Any] | None:
        """The contact of a number or BSUID, as the API shows them; None if unknown."""
        return await self._read(contact_documents.of_identity, identity, now)

    async def kept_file(self, identity: str, media_id: str) -> Path | None:
        """The file of a medium that somebody sent, by Meta's id; None if it was not kept."""
        contact = await self._read(contacts.find, identity)
        return None if contact is None else await asyncio.to_thread(kept_media.find, self._path, media_id)

    async def pause(self, identity: str, until: float, reason: str | None, now: float) -> None:
        """A person answers somebody instead of the assistant, until a time."""
        await self._welcome_back([identity], now)
        await self.writer(takeover.pause_by_hand, identity, until, reason, now)
        self.notify(Kind.SEND, now)  # what was behind a send that is cancelled

    async def resume(self, identity: str) -> bool:
        """The assistant answers somebody again; False if they are unknown."""
        return await self.writer(takeover.resume_by_hand, identity)

    async def queue_single(self, single: NewSingle, now: float) -> Queued | NotQueued:
        """Queue one message to one person, or say why it cannot be."""
        self._refuse_when_crowded()
        await self._welcome_back([single.identity], now)
        queued = await self.writer(queue_single, single, now)
        self.notify(Kind.SEND, now)
        return queued

    async def stopped(self, numbers: Sequence[str]) -> Counter[Stop]:
        """How many of these distinct numbers may not be sent to in bulk, and why. Read in slices of MANY_NUMBERS."""
        found = Counter[Stop]()
        for start in range(0, len(numbers), MANY_NUMBERS):
            found += await self._read_long(dry_runs.stopped, numbers[start : start + MANY_NUMBERS], self._salt)
        return found

    async def knows_key(self, key: str) -> bool:
        """Whether an Idempotency-Key stands for something that was queued."""
        return await self._read_long(batches.knows_key, key)

    async def single_result(self, batch_id: str) -> RecipientResult:
        """What became of one message to one person so far."""
        return await self._read_long(batch_results.single_result, batch_id)

    async def retry(self, job_id: int, now: float) -> State | None:
        """Try a failed, parked or held send now. Raises CannotMove."""
        state = await self.writer(retry_and_cancel.retry, job_id, now)
        self.notify(Kind.SEND, now)
        return state

    async def cancel(self, job_id: int, now: float) -> State | None:
        """Cancel a send that has not left. Raises CannotMove."""
        state = await self.writer(retry_and_cancel.cancel, job_id, now)
        self.notify(Kind.SEND, now)  # it may have been the head of its contact's queue
        await self._watchers.tell()
        return state

    async def retry_all(self, retry: bulk_retry.Retry, now: float) -> tuple[int, int]:
        """Try the sends again that `retry` selects: how many are, and how many are not, since they may arrive twice."""
        retried = left = 0
        after: int | None = 0
        while after is not None:
            ids, more_left, after = await self._read_long(bulk_retry.to_retry, retry, after)
            left += more_left
            for start in range(0, len(ids), bulk_retry.SLICE):
                some = ids[start : start + bulk_retry.SLICE]
                retried += await self._slices.write(bulk_retry.retry_some, some, now, may_repeat=retry.may_repeat)
                self.notify(Kind.SEND, now)
        return retried, left

    async def retry_counts(self, retry: bulk_retry.Retry) -> tuple[int, int]:
        """How many of the sends that `retry` selects cannot arrive twice, and how many may."""
        safe = may_repeat = 0
        after: int | None = 0
        while after is not None:
            ids, left, after = await self._read_long(bulk_retry.to_retry, replace(retry, may_repeat=False), after)
            safe, may_repeat = safe + len(ids), may_repeat + left
        return safe, may_repeat

    async def results(self, batch_id: str) -> list[RecipientResult] | None:
        """What became of a batch so far, in the order asked."""
        return await self._read_long(batch_results.results, batch_id)

    async def batch_head(self, batch_id: str) -> Head | None:
        """A batch without its recipients; None if it is unknown."""
        return await self._read_long(batch_results.head, batch_id)

    async def batch_counts(self, batch_id: str) -> Counts:
        """The counts of a batch so far."""
        return await self._read_long(batch_results.counts, batch_id)

    async def batches(self, limit: int, cursor: str | None) -> list[Head] | None:
        """A page of the batches, newest first; None for a cursor that is no batch."""
        return await self._read_long(batch_results.heads, limit, cursor)

    async def cancel_batch(self, batch_id: str, now: float) -> bool:
        """Cancel all sends of a batch that have not left; False if it is unknown. It is finished after a crash."""
        if not await self._slices.write(batches.cancel, batch_id, now):
            return False
        await self._slices.finish(batch_id, now)
        return True
