"""The journal: all state of this machine, and the operations on it that the rest of wabot uses.

Every verb that changes something is one operation of the writer, answered after the fsync. A question goes to one of
two readers: what the lanes ask is answered within milliseconds, and does not wait behind what people, the metrics and
the archiver ask, which may be long. `notify` is called with the time of what a change makes due, so that lanes wait
instead of polling.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Job, Kind, Outcome, Policy, State
from wabot.core.messages import Webhook
from wabot.core.new_ids import new_id
from wabot.journal import (
    accept,
    after_restore,
    batches,
    files,
    foreign_webhooks,
    forgotten,
    gauges,
    jobs,
    opening,
    pruning,
    timeouts,
)
from wabot.journal.archiving import Archiving
from wabot.journal.batch_queueing import Slices
from wabot.journal.batch_waiters import Watchers
from wabot.journal.between_accounts import BetweenAccounts
from wabot.journal.connections import Connect, Connection, OnDemand, Threads
from wabot.journal.contact_list_and_search import ContactLists
from wabot.journal.costs import Costs
from wabot.journal.event_queue import TellsPrograms
from wabot.journal.first_messages import FirstMessages
from wabot.journal.history import Talks
from wabot.journal.kept_media import KeepsMedia
from wabot.journal.manual import ByHand
from wabot.journal.merge_undo import Merges
from wabot.journal.model_calls import ModelCalls
from wabot.journal.opening import Purpose
from wabot.journal.receipts import ReceiptRules
from wabot.journal.sqlite import Reader, Writer
from wabot.log import get_logger

FILE_NAME = "wabot.db"

log = get_logger()


class Journal(
    Archiving,
    BetweenAccounts,
    ByHand,
    ContactLists,
    Costs,
    FirstMessages,
    KeepsMedia,
    Merges,
    ModelCalls,
    Talks,
    TellsPrograms,
):
    """An open journal; made by `open_journal`. Times are Unix seconds."""

    def __init__(
        self,
        identity: opening.Identity,
        path: Path,
        connections: tuple[Connection, Connection, Connection],
        lock: int,
        *,
        rules: accept.Rules,
        policy: Policy,
        noise: Callable[[], float],
    ) -> None:
        self.name = identity.name
        self.notify: Callable[[Kind, float], None] = lambda _kind, _due: None
        self.writer = Writer(connections[0])
        self._connection, *self._readers = connections
        self._read, self._read_long = map(Reader, self._readers)
        self._lock, self._path = lock, path
        self._salt = forgotten.read_salt(path)
        self._rules, self._policy, self._noise = rules, policy, noise
        self._token = identity.epoch << 32
        self._business = identity.business
        self._watchers = Watchers(lambda batch_id: self._read(batches.is_open, batch_id))
        self._slices = Slices(self.writer, self._read, self._watchers, lambda now: self.notify(Kind.SEND, now))

    async def close(self) -> None:
        """Commit what waits and close the file."""
        try:
            with suppress(JournalDown):
                await self.beat()
            await self.writer.close()
            for reader in self._readers:
                await reader.close()
            await self._seal()
        finally:
            try:
                await self._connection.close()
            finally:
                os.close(self._lock)

    async def _seal(self) -> None:
        try:
            await self._connection.run(opening.seal)
        except sqlite3.Error as error:  # all that was acknowledged is on disk; the next start looks closer
            log.warning("journal.unsealed", reason=str(error))

    async def accept(self, incoming: Webhook, now: float) -> accept.Taken:
        """Store a webhook. Raises JournalDown: answer 503, and Meta delivers it again."""
        self._refuse_when_crowded()
        if incoming.messages and incoming.messages[-1].business_number not in (self._business, ""):
            await self._learn_our_number(incoming.messages[-1].business_number)
        taken = accept.Taken()
        store = partial(forgotten.accept, salt=self._salt) if self._salt else accept.accept
        for part in accept.slices(incoming):
            new = await self.writer(store, part, now, self._rules, self._receipt_rules())
            if new.replies:
                self.notify(Kind.REPLY, now + self._rules.quiet_seconds)
            if new.sends:
                self.notify(Kind.SEND, now)
                await self._watchers.tell()
            taken.add(new)
        if incoming.foreign:
            await self.writer(foreign_webhooks.keep, incoming.foreign, now)
        return taken

    async def queue_batch(self, batch: batches.NewBatch, now: float) -> batches.Queued:
        """Queue a batch, all of it or none: a small one in one commit, a large one in slices. Raises JournalDown."""
        self._refuse_when_crowded()
        await self._welcome_back((each.number for each in batch.recipients if each.number), now)
        return await self._slices.queue(batch, now)

    async def batch_settled(self, batch_id: str, timeout: float) -> None:
        """Wait until nothing of a batch is open, `timeout` seconds at the most, or until `let_watchers_go`."""
        await self._watchers.wait(batch_id, timeout)

    def let_watchers_go(self) -> None:
        """End all waiting for batches, since wabot stops."""
        self._watchers.let_go()

    async def claim(self, kind: Kind, *, limit: int, now: float) -> list[Job]:
        """Claim due jobs: committed before anything is done with them."""
        self._token += 1
        return await self.writer(jobs.claim, kind, limit=limit, now=now, token=self._token, journal=self.name)

    async def settle(self, job: Job, outcome: Outcome, now: float) -> State | None:
        """Store the outcome of a job; its new state, or None if a receipt or a restart settled it before."""
        state = await self.writer(jobs.settle, job, outcome, now, self._receipt_rules())
        if outcome.says:
            self.notify(Kind.SEND, now)
        if job.batch_id in self._watchers:
            await self._watchers.tell(job.batch_id)
        return state

    async def next_due(self, kind: Kind) -> float | None:
        """When the next queued job of a kind is due; None if none is queued."""
        return await self._read(jobs.next_due, kind)

    async def recover(self, now: float) -> tuple[int, int]:
        """After a restart: how many replies start again, and how many sends are in doubt. A copy begins anew."""
        held = await self.writer(after_restore.hold, now)
        if held is not None:
            remedy = "python run.py outbox list --state parked (if need be, --account); then retry or cancel each"
            log.warning("journal.restored", sends_held=held.sends, replies_ended=held.replies, remedy=remedy)
        await self.beat()
        await self._learn_who_leaves()
        return await self.writer(jobs.recover, policy=self._policy, now=now)

    async def beat(self) -> None:
        """Count on, so that an older copy of this journal is known for one."""
        await self._read(after_restore.keep_beat, self._path, await self.writer(after_restore.beat))

    async def recently_sent(self, since: float) -> list[tuple[int, float]]:
        """(contact id, time) of what was handed to Meta since a time, oldest first."""
        return await self._read(jobs.recently_sent, since)

    async def tend(self, now: float) -> list[tuple[int, State]]:
        """End doubts whose hold is over, let held sends go, expire what is too late; the doubts that ended."""
        doubts, more = list[tuple[int, State]](), True
        while more:
            tended = await self.writer(timeouts.tend, policy=self._policy, handoff=self._rules.handoff, now=now)
            if tended:
                self.notify(Kind.SEND, now)
                self.notify(Kind.REPLY, now)
                await self._watchers.tell()
            doubts += tended.doubts
            more = tended.more
        await self._slices.clean_up(now)
        return doubts

    async def tend_at(self, now: float) -> float:
        """When `tend` has something to do next: infinite where nothing waits."""
        return await self._read(timeouts.tend_at, policy=self._policy, handoff=self._rules.handoff, now=now)

    async def depths(self) -> list[gauges.Depth]:
        """The open jobs by kind and state."""
        return await self._read_long(gauges.depths)

    async def held_by_pair_limit(self, now: float) -> int:
        """How many contacts wait because of Meta's limit of messages to one person."""
        return await self._read_long(gauges.held_by_pair_limit, now)

    async def not_arrived(self, since: float) -> int:
        """How many sends failed or came too late since a time; a thousand at the most."""
        return await self._read_long(gauges.not_arrived, since)

    async def archive_lag(self) -> int:
        """Messages that the archive does not have as they are."""
        return await self._read_long(gauges.archive_lag)

    def sizes(self) -> dict[str, int]:
        """Bytes of the journal's files."""
        files = {"main": self._path, "wal": self._path.with_name(self._path.name + "-wal")}
        return {name: file.stat().st_size for name, file in files.items() if file.exists()}

    async def prune(self, *, before: float, now: float) -> int:
        """Forget some of what is older than `before`, but no message; 0 when there is nothing left to forget."""
        return await self.writer(pruning.prune, before=before, now=now)

    @property
    def refused_lately(self) -> str | None:
        """Why something could not be written a moment ago."""
        return self.writer.refused_lately

    async def ping(self) -> None:
        """Commit something. Raises JournalDown where that fails."""
        await self.writer(_touch)

    async def set_stop(self, identity: str, now: float, *, stop: bool) -> None:
        """Store that a person wants no more messages, or wants them again."""
        await self._welcome_back([identity], now)
        await self.writer(accept.set_stop, identity, now, stop=stop)
        await self._watchers.tell()

    async def _learn_our_number(self, number: str) -> None:
        """Meta names it in every webhook; until the first we use the phone number id."""
        await self.writer(opening.set_business, number)
        self._business = number

    def _receipt_rules(self) -> ReceiptRules:
        return ReceiptRules(self.name, self._policy, self._noise())

    def _refuse_when_crowded(self) -> None:
        if self.writer.crowded:
            raise JournalDown("too much waits for the journal")


async def open_journal(
    data_dir: Path,
    *,
    rules: accept.Rules,
    policy: Policy,
    business: str = "",
    purpose: Purpose = Purpose.LIVE,
    fresh: bool = False,
    connect: Connect | None = None,
    noise: Callable[[], float] = random.random,
) -> Journal:
    """The journal in `data_dir`, made if need be. Raises files.CannotOpen with what to do.

    `business` stands for our number until Meta's first webhook names it. A journal that does not know its purpose yet
    gets `purpose`. `fresh`: a sandbox's journal is emptied first. `connect` None: on threads. `noise`: from 0 to 1, for
    back-offs and for the name of a new journal.
    """
    path = Path(os.path.abspath(data_dir), FILE_NAME)  # noqa: ASYNC240  touches no disk
    lock = files.take(path)
    connect = connect or Threads()
    writer = reader = None
    try:
        with opening.told_in_words():
            writer = await connect.writer(path, partial(opening.refuse_strangers, purpose=purpose, fresh=fresh))
            if fresh:
                await writer.run(opening.empty)
            identity = await writer.run(opening.migrate, business, purpose, new_id(noise, 8))
            await writer.run(after_restore.mark_if_older, path)
            reader = await connect.reader(path)
        long_reader = OnDemand(partial(connect.reader, path, long=True))
        return Journal(identity, path, (writer, reader, long_reader), lock, rules=rules, policy=policy, noise=noise)
    except BaseException:
        for connection in filter(None, (reader, writer)):
            await connection.close()
        os.close(lock)
        raise


def _touch(db: sqlite3.Connection) -> None:
    # Something must change: SQLite does not write a page that stays the same.
    db.execute("INSERT INTO meta VALUES ('touched', '0') ON CONFLICT (key) DO UPDATE SET value = 1 - value")
