"""Keeps the media of all messages that come in, answered or not, if the owner wants that (media.keep)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import repeat
from typing import Protocol, TypeVar

from wabot.core.exceptions import JournalDown, MediumMissing, Missing
from wabot.core.media import Medium, ToKeep
from wabot.log import get_logger
from wabot.work.attachments import Library, Room, content_of

PAUSES = (5.0, 30.0, 120.0, 600.0)
"""Seconds until each further try for a medium that Meta does not hand out. In an outage no try is spent."""
OUTAGE_SECONDS, OUTAGE_TRIES = 30.0, 2880
"""In an outage: a day. What Meta refuses for as long may be refused for good, and must not keep later media waiting."""
LOOK_SECONDS, IDLE_SECONDS = 1.0, 3600.0
AT_ONCE = 4

T = TypeVar("T")

log = get_logger()


class Journal(Protocol):
    """The journal, as the keeper needs it."""

    @property
    def changes(self) -> int: ...
    async def changed(self, since: int, seconds: float) -> None: ...
    async def begin_to_keep_media(self) -> None: ...
    async def media_to_keep(self, now: float) -> ToKeep: ...
    async def media_are_kept(self, upto: int) -> None: ...
    async def has_message(self, message_id: int) -> bool: ...


class Files(Protocol):
    """Where media are kept. Raises OSError."""

    def has(self, contact_id: int, medium: Medium) -> bool: ...
    def keep(self, contact_id: int, medium: Medium, content: bytes) -> None: ...
    def drop(self, contact_id: int, medium: Medium) -> None: ...


class MediaKeeper:
    """Downloads some media at a time, in the order of their messages. `largest`: bytes of one file at most."""

    def __init__(
        self, journal: Journal, library: Library, room: Room, files: Files, *, largest: int, clock: Callable[[], float]
    ) -> None:
        self._journal, self._library, self._room, self._files = journal, library, room, files
        self._largest, self._clock = min(largest, room.size), clock
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Keep what comes, until cancelled. After a restart it goes on where it was."""
        await _when_it_works(self._journal.begin_to_keep_media)
        while True:
            seen = self._journal.changes
            found = await _when_it_works(lambda: self._journal.media_to_keep(self._clock()))
            await asyncio.gather(*(self._keep(*one) for one in found.media))
            if found.media or found.more:
                await _when_it_works(partial(self._journal.media_are_kept, found.upto))
            if not found.more:
                await asyncio.sleep(LOOK_SECONDS)
                await self._journal.changed(seen, IDLE_SECONDS)

    async def _keep(self, message_id: int, contact_id: int, medium: Medium) -> None:
        """Keep one medium, unless it cannot be had, or its sender is forgotten meanwhile."""
        there, pauses, first = partial(self._journal.has_message, message_id), Pauses(), True
        while not await asyncio.to_thread(self._files.has, contact_id, medium) and await _when_it_works(there):
            try:
                async with self._turns:
                    await self._fetch(message_id, contact_id, medium)
                return
            except MediumMissing as error:
                pause, reason = pauses.after(error.missing), str(error)
            except OSError as error:  # such as a full disk
                pause, reason = pauses.after(Missing.OUTAGE), error.strerror or type(error).__name__
            if first or pause is None:
                log.warning("media.not_kept", medium=medium.kind, reason=reason, again_in_seconds=pause)
            if pause is None:
                return
            first = False
            await asyncio.sleep(pause)

    async def _fetch(self, message_id: int, contact_id: int, medium: Medium) -> None:
        """Download it and write its file. Raises MediumMissing, OSError."""
        located = await self._library.look_up(medium)
        size = self._largest if located.size is None else located.size
        if size > self._largest:
            raise MediumMissing(f"it has {size} bytes, which is too large")
        async with self._room.of(size):
            content = await content_of(self._library, medium, located, size)
            await asyncio.to_thread(self._files.keep, contact_id, medium, content)
        # Asked afterwards: who is forgotten from now on finds the file.
        if not await _when_it_works(partial(self._journal.has_message, message_id)):
            await asyncio.to_thread(self._files.drop, contact_id, medium)


class Pauses:
    """How long to wait until the next try for one medium. An outage uses up no try, but lasts a day at the most."""

    def __init__(self) -> None:
        self._tries, self._outage = iter(PAUSES), repeat(OUTAGE_SECONDS, OUTAGE_TRIES)

    def after(self, missing: Missing) -> float | None:
        """Seconds until the next try; None if there is none."""
        if missing is Missing.GONE:
            return None
        return next(self._outage if missing is Missing.OUTAGE else self._tries, None)


async def _when_it_works(ask: Callable[[], Awaitable[T]]) -> T:
    """What the journal answers, as soon as it can."""
    while True:
        try:
            return await ask()
        except JournalDown as error:
            log.warning("media.waiting", reason=str(error))
            await asyncio.sleep(OUTAGE_SECONDS)
