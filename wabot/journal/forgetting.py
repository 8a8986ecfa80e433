"""Forgetting a person: nothing of what they said stays in the journal, in its free pages and its WAL.

What is deleted is overwritten (secure_delete), and the WAL is emptied at the end, when no reader needs it. The archive
forgets after the journal has, so that nothing is recorded there anew. All of it goes on after a crash.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path

from wabot.core.exceptions import JournalDown
from wabot.core.messages import Person
from wabot.journal import batch_results, erasure, forgotten, kept_media
from wabot.journal.accept import Rules
from wabot.journal.batch_waiters import Watchers
from wabot.journal.connections import Connection
from wabot.journal.erasure import Erased, Forgetting
from wabot.journal.sqlite import Reader, Writer
from wabot.log import get_logger

REWRITTEN = 64 << 20
"""The most bytes of a journal that is written anew for a person: some tenths of a second."""
PEOPLE_AT_ONCE = 1000
"""People who are looked for in one commit among those who were forgotten."""


log = get_logger()


class ForgetsPeople:
    """The journal's operations for people who ask to be forgotten."""

    writer: Writer
    _read_long: Reader
    _connection: Connection
    _path: Path
    _salt: bytes | None
    _rules: Rules
    _watchers: Watchers
    leaving: frozenset[str] = frozenset()
    """The names of all who are being forgotten."""

    @cached_property
    def _turn(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def forget(self, identity: str, now: float, *, archive: bool) -> Erased:
        """Erase a person, known or not. Raises JournalDown; what was begun goes on later.

        `archive`: whether there is an archive, which is to forget them too.
        """
        salt = await self._known_salt()
        forgetting = await self.writer(erasure.begin, identity, salt, now)
        await self._learn_who_leaves()
        await self._watchers.tell()
        await self.go_on_forgetting(now, archive=archive)  # of this person, an earlier forgetting may be unfinished
        return await self._read_long(erasure.outcome, forgetting)

    async def archive_has_forgotten(self, forgetting: int, seconds: float) -> Erased:
        """How much of a person was removed, as soon as the archive has forgotten them, after `seconds` at the most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    seen = self.writer.changes
                    if (erased := await self._read_long(erasure.outcome, forgetting)).archived is not None:
                        return erased
                    await self.writer.changed(seen, seconds)
        return await self._read_long(erasure.outcome, forgetting)

    async def go_on_forgetting(self, now: float, *, archive: bool) -> None:
        """Erase all whom a request, or a crash, a full disk or a long read, has left to be erased; one at a time."""
        async with self._turn:
            for forgetting in await self._read_long(erasure.unfinished):
                await self._erase(forgetting, await self._known_salt(), now, archive=archive)

    async def owed_by_archive(self) -> list[Forgetting]:
        """The people whom the archive has yet to forget."""
        return await self._read_long(erasure.owed_by_archive)

    async def archive_forgot(self, forgetting: int, documents: int) -> None:
        """Store that the archive has forgotten a person, of whom it had so many documents."""
        await self.writer(erasure.archived, forgetting, documents)
        await self._connection.run(_empty_wal)  # of the names
        await self._learn_who_leaves()

    async def _known_salt(self) -> bytes:
        """The salt, made if need be on the writer's thread, since a disk may be slow. Raises JournalDown."""
        if self._salt is None:
            try:
                self._salt = await self._connection.run(forgotten.keep_salt, self._path)
            except OSError as error:
                raise JournalDown(f"the salt cannot be kept: {error.strerror or type(error).__name__}") from error
        return self._salt

    async def _welcome_back(self, names: Iterable[str], now: float) -> None:
        """See forgotten.welcome_back, for numbers and BSUIDs; nothing where nobody was forgotten."""
        people = map(Person.of, names)
        while self._salt and (some := list(islice(people, PEOPLE_AT_ONCE))):
            await self.writer(forgotten.welcome_back, self._salt, some, now)

    async def _erase(self, forgetting: int, salt: bytes, now: float, *, archive: bool) -> None:
        while await self.writer(erasure.erase_some, forgetting, salt, now):
            pass
        after: tuple[int, int] | None = (0, 0)
        while after is not None:
            after = await self.writer(erasure.look_through, forgetting, after)
        place: batch_results.Place | None = batch_results.FIRST
        while place is not None:
            place = await self.writer(erasure.leave_results, forgetting, place)
        while await self.writer(erasure.leave_alerts, forgetting, now):
            pass
        await self._delete_files(forgetting)
        await self.writer(erasure.end, forgetting)
        if await self._connection.run(_rewrite) and await self._connection.run(_empty_wal):
            await self.writer(erasure.erased, forgetting, now, archive=archive)
            await self._connection.run(_empty_wal)  # of the names
            await self._learn_who_leaves()

    async def _delete_files(self, forgetting: int) -> None:
        contact_ids = await self._read_long(erasure.contact_ids, forgetting)
        try:
            media = await asyncio.to_thread(kept_media.delete_all_of, self._path, contact_ids)
        except OSError as error:
            raise JournalDown(f"kept files cannot be deleted: {error.strerror or type(error).__name__}") from error
        if media:
            await self.writer(erasure.count_media, forgetting, media)

    async def _learn_who_leaves(self) -> None:
        self.leaving = await self._read_long(erasure.being_forgotten)


def _rewrite(db: sqlite3.Connection) -> bool:
    """Write the file anew, if it is small; False if that is not possible now.

    Where SQLite has moved rows from one page to another, the old bytes stay between the rows, which secure_delete does
    not clear. A large file would stop the writer for too long: there they are overwritten as others need the place.
    """
    (pages,), (size,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA page_size").fetchone()
    if pages * size <= REWRITTEN:
        try:
            db.execute("VACUUM")
        except sqlite3.Error as error:
            log.warning("journal.not_rewritten", reason=str(error))
            return False
    return True


def _empty_wal(db: sqlite3.Connection) -> bool:
    """Copy the WAL into the main file and truncate it; False while a reader needs it."""
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
