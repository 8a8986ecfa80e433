"""Which connection answers what: nobody who asks for much is in the lanes' way."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journal.scene import ANA, NOW, POLICY, RULES, Scene, said
from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Kind
from wabot.core.messages import Webhook
from wabot.journal.bulk_retry import Retry
from wabot.journal.connections import Check, Connection, Threads
from wabot.journal.journal import Journal, open_journal
from wabot.journal.outbox_list import Query


class Busy:
    """A connection on which a long question runs until `done`."""

    def __init__(self, connection: Connection, done: asyncio.Event) -> None:
        self._connection, self._done = connection, done

    async def run(self, function: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        await self._done.wait()
        return await self._connection.run(function, *args, **kw)

    async def close(self) -> None:
        await self._connection.close()


class OneBusyReader:
    """Connects on threads; every reader but the first, the lanes' own, is busy until `done`."""

    def __init__(self) -> None:
        self.readers, self.done = 0, asyncio.Event()

    async def writer(self, path: Path, check: Check) -> Connection:
        return await Threads().writer(path, check)

    async def reader(self, path: Path, *, long: bool = False) -> Connection:
        self.readers += 1
        connection = await Threads().reader(path, long=long)
        return connection if self.readers == 1 else Busy(connection, self.done)


@pytest.fixture
async def connect() -> OneBusyReader:
    return OneBusyReader()


@pytest.fixture
async def journal(tmp_path: Path, connect: OneBusyReader) -> AsyncIterator[Journal]:
    journal = await open_journal(tmp_path / "data", rules=RULES, policy=POLICY, connect=connect)
    await journal.accept(Webhook(messages=(said("wamid.1"),)), NOW)
    yield journal
    connect.done.set()
    await journal.close()


LONG: dict[str, Callable[[Journal], Awaitable[Any]]] = {
    "/get": lambda journal: journal.of_contact(ANA, 0, ()),
    "/outbox": lambda journal: journal.outbox(Query()),
    "/outbox/{id}": lambda journal: journal.outbox_one(1),
    "/outbox/retry": lambda journal: journal.retry_all(Retry(), NOW),
    "/batches": lambda journal: journal.batches(5, None),
    "/batches/{id}": lambda journal: journal.results("b"),
    "the counts of a batch": lambda journal: journal.batch_counts("b"),
    "/merges": lambda journal: journal.merges(5),
    "the depths": lambda journal: journal.depths(),
    "the archive's lag": lambda journal: journal.archive_lag(),
    "recording": lambda journal: journal.ahead_of_archive(0, 5),
    "what to ask the archive for": lambda journal: journal.witnesses(5),
    "what may be deleted": lambda journal: journal.outdated(0, before=NOW, now=NOW, limit=5),
    "who wants nothing": lambda journal: journal.wishes(),
}


@pytest.mark.parametrize("question", LONG)
async def test_the_lanes_do_not_wait_while_somebody_asks_for_much(
    journal: Journal, connect: OneBusyReader, question: str
) -> None:
    asking = asyncio.ensure_future(LONG[question](journal))
    assert await journal.next_due(Kind.REPLY) == NOW + RULES.quiet_seconds
    (job,) = await journal.claim(Kind.REPLY, limit=1, now=NOW + RULES.quiet_seconds)
    assert (await journal.talk(job, 20)).said
    assert not await journal.more_waits(job)
    await journal.tend(NOW)
    assert not asking.done()
    connect.done.set()
    await asking


async def test_the_connection_for_long_lists_is_opened_for_the_first_of_them(
    journal: Journal, connect: OneBusyReader
) -> None:
    await journal.next_due(Kind.SEND)
    assert connect.readers == 1
    connect.done.set()
    await asyncio.gather(*(journal.depths() for _ in range(5)))
    assert connect.readers == 2


async def test_a_closed_journal_opens_no_connection_any_more(scene: Scene) -> None:
    await scene.journal.close()
    with pytest.raises(JournalDown, match="closed"):
        await scene.journal.depths()
    await scene.open()


async def test_a_reader_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    class Failing(OneBusyReader):
        async def reader(self, path: Path, *, long: bool = False) -> Connection:
            if self.readers == 1:
                self.readers += 1
                raise sqlite3.OperationalError("unable to open database file")
            return await super().reader(path, long=long)

    connect = Failing()
    connect.done.set()
    journal = await open_journal(tmp_path / "data", rules=RULES, policy=POLICY, connect=connect)
    with pytest.raises(JournalDown, match="unable to open"):
        await journal.depths()
    assert await journal.depths()
    await journal.close()
