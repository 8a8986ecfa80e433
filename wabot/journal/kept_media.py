"""Which media are to be kept (media.keep), and their files beside the journal. A forgotten person takes them along."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence, Set
from contextlib import suppress
from pathlib import Path

from wabot.core.exceptions import JournalDown
from wabot.core.media import FOLDER, KINDS, ToKeep, kept_prefix, medium_of
from wabot.journal.sqlite import Reader, Writer

AT_META_SECONDS = 7 * 86400.0
"""How long a medium that came in can be had at Meta.
https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media"""
LOOKED_AT = 500
"""Messages that one question looks at."""

_UPTO = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'media_kept'"
_NEXT = "SELECT id, contact_id, direction, type, timestamp, raw FROM messages WHERE id > ? ORDER BY id LIMIT ?"


class KeepsMedia:
    """The journal's part in keeping media. It remembers up to which message they are kept."""

    writer: Writer
    _read_long: Reader
    _path: Path

    async def begin_to_keep_media(self) -> None:
        """Keep what comes from now on, if it is the first time."""
        await self.writer(_begin)

    async def drop_files_of_nobody(self) -> None:
        """Delete the files whose contacts are not here any more: wabot was killed while one was written.

        To be called before anything is kept. Raises JournalDown.
        """
        if not (self._path.parent / FOLDER).is_dir():
            return
        known = await self._read_long(_contacts_of_files)
        try:
            await asyncio.to_thread(delete_all_but, self._path, known)
        except OSError as error:
            raise JournalDown(f"kept files cannot be deleted: {error.strerror or type(error).__name__}") from error

    async def media_to_keep(self, now: float) -> ToKeep:
        """The media of the next messages."""
        return await self._read_long(_to_keep, now)

    async def media_are_kept(self, upto: int) -> None:
        """All media of messages up to this id are kept, or cannot be had."""
        await self.writer(_kept, upto)

    async def has_message(self, message_id: int) -> bool:
        """Whether a message is here: not if its sender was forgotten, or is being forgotten."""
        return await self._read_long(_has_message, message_id)


def _begin(db: sqlite3.Connection) -> None:
    db.execute("INSERT OR IGNORE INTO meta SELECT 'media_kept', coalesce(max(id), 0) FROM messages")


def _to_keep(db: sqlite3.Connection, now: float) -> ToKeep:
    (upto,) = db.execute(_UPTO).fetchone()
    rows = db.execute(_NEXT, (upto, LOOKED_AT)).fetchall()
    media = [
        (row["id"], row["contact_id"], medium)
        for row in rows
        if row["direction"] == "in" and row["type"] in KINDS and row["timestamp"] > now - AT_META_SECONDS
        if (medium := medium_of(json.loads(row["raw"]))) is not None
    ]
    return ToKeep(media, rows[-1]["id"] if rows else upto, more=len(rows) == LOOKED_AT)


def _kept(db: sqlite3.Connection, upto: int) -> None:
    db.execute("UPDATE meta SET value = ? WHERE key = 'media_kept'", (str(upto),))


def _has_message(db: sqlite3.Connection, message_id: int) -> bool:
    return db.execute("SELECT 1 FROM messages WHERE id = ?", (message_id,)).fetchone() is not None


def _contacts_of_files(db: sqlite3.Connection) -> frozenset[int]:
    """All contacts, and those that became part of one: files keep the names that they were given."""
    return frozenset(row[0] for row in db.execute("SELECT id FROM contacts UNION SELECT gone FROM merges"))


def delete_all_but(journal: Path, contact_ids: Set[int]) -> None:
    """Delete the files of all other contacts, and what was not written to its end. Raises OSError."""
    folder = journal.parent / FOLDER
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            owner = file.name.partition("-")[0]
            if file.name.startswith(".") or (owner.isdecimal() and int(owner) not in contact_ids):
                file.unlink(missing_ok=True)


def delete_all_of(journal: Path, contact_ids: Sequence[int]) -> int:
    """Delete all files of these contacts; how many there were. Raises OSError."""
    deleted, prefixes = 0, tuple(map(kept_prefix, contact_ids))
    folder = journal.parent / FOLDER
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            if file.name.lstrip(".").startswith(prefixes):
                file.unlink(missing_ok=True)
                deleted += not file.name.startswith(".")
    return deleted


def find(journal: Path, media_id: str) -> Path | None:
    """The file of a medium, by Meta's id; None if it was not kept."""
    folder = journal.parent / FOLDER
    with suppress(FileNotFoundError):
        return next((file for file in folder.iterdir() if file.stem.partition("-")[2] == media_id), None)
    return None
