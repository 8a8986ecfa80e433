"""Writes new and changed messages to the archive in batches, and retries until it has them.

The journal marks what the archive has acknowledged. Another MongoDB, an old backup, or a MongoDB that lost acknowledged
writes makes these marks wrong. So whenever the archive becomes reachable, at the start or after an outage, and every
hour, the archiver checks whether it has some witnesses (a sample of messages); from the first missing one on, all
that the journal still has is recorded again. And before the journal deletes a message, the archive is asked for exactly
that message, which finds what the sample missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, Protocol

from wabot.core.exceptions import ArchiveDown, JournalDown
from wabot.log import get_logger
from wabot.work.archive_circuit import RETRY_MAX_SECONDS

BATCH = 500
EVERY_SECONDS = 0.5
IDLE_SECONDS = 300.0
"""The longest time between two looks at a journal in which nothing changes."""

CHECK_SECONDS = 3600.0
"""For so long a check of the archive counts: an outage in an hour in which nobody asks it is not noticed."""

PROMPT_SECONDS = 1.0
"""If a ping takes longer than this, the archiver writes to the archive, but queries still do not use it."""

REFUSED_SECONDS = 3600.0
"""When a refused document is tried again: the database may have refused it by a rule that is gone by then."""

WITNESSES = 50
"""How many of the newest messages are checked when the archive becomes reachable; and a sample of older ones."""

FORGET_STEP = 5000
PRUNE_STEP = 100
STEP_SECONDS = 0.05
"""Pause between two steps of deletion, so that other work is not delayed."""

log = get_logger()


class Held(Protocol):
    """A message that the archive should have under `key`, in this version or a later one."""

    @property
    def id(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def version(self) -> int: ...


class Leaving(Protocol):
    """A person who is to be forgotten: `names` are nobody else's, `keys` stand in our documents.

    `told`: what stands of them in documents about others: (the document's key, the words).
    """

    @property
    def id(self) -> int: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def keys(self) -> Sequence[str]: ...
    @property
    def told(self) -> Sequence[tuple[str, str]]: ...


class Ledger(Protocol):
    """The journal, as recording needs it."""

    @property
    def changes(self) -> int: ...
    @property
    def leaving(self) -> Set[str]: ...
    async def owed_by_archive(self) -> Sequence[Leaving]: ...
    async def archive_forgot(self, forgetting: int, documents: int) -> None: ...
    async def changed(self, since: int, seconds: float) -> None: ...
    async def ahead_of_archive(self, after: int, limit: int) -> list[tuple[int, int, dict[str, Any]]]: ...
    async def mark_archived(self, versions: Iterable[tuple[int, int]]) -> None: ...
    async def witnesses(self, limit: int) -> Sequence[Held]: ...
    async def forget_archived(self, first: int, before: int | None, limit: int) -> int | None: ...
    async def lost_by_archive(self, ids: Iterable[int]) -> None: ...
    async def outdated(
        self, after: int, *, before: float, now: float, limit: int
    ) -> tuple[Sequence[Any], int | None]: ...
    async def forget_messages(self, held: Sequence[Any]) -> int: ...
    async def forget_adopted(self, *, before: float, now: float, limit: int) -> int: ...


class WritableArchive(Protocol):
    """The archive, as recording needs it. Raises ArchiveDown."""

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]:
        """Upsert documents; the positions of those that were refused, each with the reason."""

    async def ping(self) -> None:
        """Check that it answers."""

    async def forget(self, names: Sequence[str], keys: Sequence[str]) -> int:
        """Delete all messages with a person; how many."""

    async def blank(self, told: Sequence[tuple[str, str]]) -> None:
        """Blank words in documents: (key, words)."""

    async def lacks(self, versions: Mapping[str, int]) -> set[str]:
        """Of documents (key → version) those that are not there, or are in an earlier version."""


class Circuit(Protocol):
    """The circuit breaker. `works`: the result of the last access to the archive, None before the first."""

    @property
    def works(self) -> bool | None: ...
    @property
    def outages(self) -> int: ...
    def open(self, reason: str) -> None: ...
    def close(self) -> None: ...
    async def lost(self) -> None: ...


class Archiver:
    """Writes messages whose version is newer than the archive's. Writing one twice is harmless: the key is our own.

    `sure`: the archive was checked and has what the journal's marks say.
    """

    def __init__(
        self, ledger: Ledger, archive: WritableArchive, circuit: Circuit, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._archive, self._circuit, self._clock = ledger, archive, circuit, clock
        self._refused: dict[int, tuple[int, float]] = {}
        self.sure, self._outages = False, 0
        self._checked_at = clock()

    async def run(self) -> None:
        """Work until cancelled."""
        wait = EVERY_SECONDS
        while True:
            seen, idle = self._ledger.changes, 0.0
            try:
                shipped = await self.ship()
                wait, idle = EVERY_SECONDS, IDLE_SECONDS
            except ArchiveDown as error:
                self._circuit.open(str(error))
                self.sure, shipped = False, 0
                wait = min(wait * 2, RETRY_MAX_SECONDS)
            except JournalDown:
                shipped = 0
            if not shipped:
                await asyncio.sleep(wait)
                if idle and self._ledger.changes == seen:
                    await self._rest(seen, idle)

    async def _rest(self, seen: int, seconds: float) -> None:
        """Wait until the journal changes or the archive is lost, for `seconds` at the most."""
        waits = [asyncio.ensure_future(wait) for wait in (self._ledger.changed(seen, seconds), self._circuit.lost())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def prune(self, *, before: float, now: float) -> None:
        """Delete from the journal the messages before a time that the archive has. Raises JournalDown."""
        after: int | None = 0
        try:
            while after is not None and self._circuit.works:
                held, after = await self._ledger.outdated(after, before=before, now=now, limit=PRUNE_STEP)
                lacking = await self._lacking(held)
                if lacking:
                    log.warning(
                        "archive.behind", reason="it lacks messages that were to be deleted here", messages=len(lacking)
                    )
                    await self._ledger.lost_by_archive([message.id for message in lacking])
                await self._ledger.forget_messages([message for message in held if message not in lacking])
                await asyncio.sleep(STEP_SECONDS)
        except ArchiveDown as error:
            self._circuit.open(str(error))
        while await self._ledger.forget_adopted(before=before, now=now, limit=PRUNE_STEP):
            await asyncio.sleep(STEP_SECONDS)

    async def ship(self) -> int:
        """One pass over everything that the archive lacks; how many messages were recorded."""
        if self._circuit.works is not True:
            await self._probe()
        if self._outages != self._circuit.outages:  # another account may have met it
            self.sure, self._outages = False, self._circuit.outages
        if not self.sure or not 0 <= self._clock() - self._checked_at < CHECK_SECONDS:
            await self._make_sure()
        if self._ledger.leaving:
            await self._forget_people()
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
            recorded = [(row[0], row[1]) for position, row in enumerate(rows) if position not in refused]
            await self._ledger.mark_archived(recorded)
            for message_id, _ in recorded:
                self._refused.pop(message_id, None)
            shipped += len(recorded)
        return shipped

    async def _forget_people(self) -> None:
        """Delete those whom the journal has forgotten. Here, so that none of their messages is just being recorded."""
        for person in await self._ledger.owed_by_archive():
            documents = await self._archive.forget(person.names, person.keys)
            await self._archive.blank(person.told)
            await self._ledger.archive_forgot(person.id, documents)
            log.info("archive.forgot", documents=documents)

    async def _probe(self) -> None:
        """Check whether the archive is reachable. After an outage its contents must be checked again."""
        self.sure, asked = False, self._clock()
        await self._archive.ping()
        if self._clock() - asked <= PROMPT_SECONDS:
            self._circuit.close()

    async def _make_sure(self) -> None:
        """Compare the archive with the journal's marks, and reset them from the first missing message on."""
        witnesses = await self._ledger.witnesses(WITNESSES)
        lacking = await self._lacking(witnesses)
        if lacking:
            first = lacking[0].id
            there = max((held.id for held in witnesses if held.id < first), default=0)
            log.warning("archive.behind", reason="it lost messages: recording them again", since=there + 1)
            before = await self._ledger.forget_archived(there + 1, None, FORGET_STEP)
            while before is not None:
                before = await self._ledger.forget_archived(there + 1, before, FORGET_STEP)
        self.sure, self._checked_at = True, self._clock()

    async def _lacking(self, held: Sequence[Held]) -> list[Held]:
        """Those of these messages that the archive lacks, in the order given."""
        if not held:
            return []
        lacking = await self._archive.lacks({message.key: message.version for message in held})
        return [message for message in held if message.key in lacking]

    def _was_refused(self, message_id: int, version: int) -> bool:
        refused, until = self._refused.get(message_id, (0, 0.0))
        return refused == version and self._clock() < until
