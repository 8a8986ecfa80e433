"""The outbox as a person sees it, and what a person decides about it: the verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wabot.core.jobs import Kind, State
from wabot.journal import listing, outbox
from wabot.journal.sqlite import Reader, Writer
from wabot.journal.watchers import Watchers


class ByHand:
    """The journal's verbs for whoever looks after the outbox."""

    name: str
    writer: Writer
    _read: Reader
    _watchers: Watchers
    notify: Callable[[Kind, float], None]

    async def outbox(self, query: listing.Query) -> list[dict[str, Any]]:
        """The sends or replies that `query` asks for, newest first."""
        return await self._read(listing.listing, query, self.name)

    async def outbox_one(self, job_id: int) -> dict[str, Any] | None:
        """One send, whole, or one reply."""
        return await self._read(outbox.one, job_id, self.name)

    async def retry(self, job_id: int, now: float) -> State | None:
        """Try a failed, parked or held send now. Raises CannotMove."""
        state = await self.writer(outbox.retry, job_id, now)
        self.notify(Kind.SEND, now)
        return state

    async def cancel(self, job_id: int, now: float) -> State | None:
        """Cancel a send that has not left. Raises CannotMove."""
        state = await self.writer(outbox.cancel, job_id, now)
        self.notify(Kind.SEND, now)  # it may have been the head of its contact's queue
        await self._watchers.tell()
        return state
