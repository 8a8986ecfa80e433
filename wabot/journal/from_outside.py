"""The journal read from outside, also while a running wabot writes it, or when none runs: nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Kind
from wabot.journal import event_queue, history, message_documents, outbox_documents, outbox_list
from wabot.journal.connections import OnLoop
from wabot.journal.contact_list_and_search import ContactLists
from wabot.journal.event_queue import EventQuery
from wabot.journal.journal import FILE_NAME
from wabot.journal.outbox_list import Query
from wabot.journal.sqlite import Reader
from wabot.ownership import whose


class JournalFile(ContactLists):
    """What can be read of a journal. For commands, which have nothing else to do: reads are made where one waits."""

    def __init__(self, read: Reader, name: str) -> None:
        self._read_long, self._name = read, name

    @classmethod
    @asynccontextmanager
    async def open(cls, data_dir: Path) -> AsyncIterator[JournalFile]:
        """The journal of a data directory. Raises JournalDown if there is none, or it is not to be read."""
        try:
            connection = await OnLoop().reader(_file(data_dir))
        except sqlite3.Error as error:
            raise JournalDown(f"the journal in {whose(data_dir)} cannot be read: {error}") from error
        try:
            read = Reader(connection)
            yield cls(read, await read(_name))
        finally:
            await connection.close()

    async def talk(self, identity: str, limit: int) -> list[dict[str, Any]]:
        """The messages with a person, newest first, as `/get` shows them with those that wait or failed."""
        page = await self._read_long(history.of_contact, identity, limit, include=("queued", "failed"))
        return [message_documents.shown(one) for one in page.messages]

    async def outbox(self, query: Query) -> list[dict[str, Any]]:
        """Sends, replies or events, newest first."""
        if query.kind is not Kind.EVENT:
            return await self._read_long(outbox_list.listing, query, self._name)
        events = EventQuery(query.state, query.limit, query.before, query.identity)
        found = await self._read_long(event_queue.listing, events)
        return [{"outbox_id": f"{self._name}-{one.pop('id')}", "kind": str(Kind.EVENT), **one} for one in found]

    async def outbox_one(self, outbox_id: str) -> dict[str, Any] | None:
        """One send or reply; None if it is not of this journal."""
        job_id = self.job_id(outbox_id)
        return None if job_id is None else await self._read_long(outbox_documents.one, job_id, self._name)

    def job_id(self, outbox_id: str) -> int | None:
        """The job id in an outbox id; None if it is not one of this journal."""
        name, _, number = outbox_id.partition("-")
        ours = name == self._name and number.isascii() and number.isdigit() and len(number) <= 18
        return int(number) if ours else None


def _file(data_dir: Path) -> Path:
    path = data_dir.absolute() / FILE_NAME
    if not path.exists():
        raise JournalDown(f"there is no journal in {data_dir}")
    return path


def _name(db: sqlite3.Connection) -> str:
    return str(db.execute("SELECT value FROM meta WHERE key = 'journal'").fetchone()[0])
