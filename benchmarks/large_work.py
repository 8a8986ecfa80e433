"""All that a journal does, done once or some times on a large one, and named while it is done."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, product
from pathlib import Path
from typing import get_args

from benchmarks.large_journal import OPEN_LATER, SPAN_SECONDS, TALKER, Size
from benchmarks.timed import Measured
from benchmarks.webhooks import NAME, number
from wabot.core.exceptions import Effect
from wabot.core.jobs import OF_CONTACTS, Event, Job, Kind, Outcome, Policy, State
from wabot.core.messages import ForeignPart, Inbound, Person, Receipt, Status, TemplateNews, Webhook
from wabot.core.outgoing import Origin, Outgoing
from wabot.journal.accept import Rules
from wabot.journal.batches import NewBatch, Recipient
from wabot.journal.bulk_retry import Retry
from wabot.journal.journal import Journal, open_journal
from wabot.journal.outbox_list import Fate, Query

DAY = 86400.0
AT_ONCE = 64
"""Webhooks that are accepted at the same time."""
ROUNDS = 5
PRUNED = 50
"""Steps of pruning that are looked at."""

_TEMPLATE = Outgoing(
    {"type": "template", "template": {"name": "t", "language": {"code": "en"}}}, "[template t]", Origin.BULK
)


async def accept_seconds(data: Path, size: Size, now: float, steps: int) -> list[float]:
    """The CPU seconds, of the whole process, that a message of somebody known takes: several rounds."""
    journal = await open_journal(data, rules=Rules(), policy=Policy())
    try:
        work = Work(journal, Measured(), size, now, steps)
        await work.hear()
        return [await work.hear() for _ in range(ROUNDS)]
    finally:
        await journal.close()


@dataclass
class Work:
    """Does it, at the time `now`; `steps`: how often what is done often."""

    journal: Journal
    measured: Measured
    size: Size
    now: float
    steps: int
    _noise: random.Random = field(default_factory=random.Random)
    _wamids: Iterator[int] = field(default_factory=count)

    async def all(self) -> None:
        """Everything."""
        with self.doing("recovery at the start"):
            await self.journal.recover(self.now)
        await self.webhooks()
        await self.replies()
        await self.sends()
        await self.batches()
        await self.people_ask()
        await self.archive()
        await self.by_time()
        await self.odd_ones()

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """What is measured now."""
        self.measured.what = what
        yield

    async def hear(self) -> float:
        """Messages of people in no order; the CPU seconds of one."""
        people = [self._noise.randrange(2, self.size.contacts) for _ in range(self.steps * 2)]
        started = time.process_time()
        await self._hear(people)
        return (time.process_time() - started) / len(people)

    async def webhooks(self) -> None:
        """Messages of people, known and new."""
        with self.doing("accept"):
            await self._hear([TALKER])
            await self.hear()
        with self.doing("accept of new people"):
            await self._hear(range(self.size.contacts + 1, self.size.contacts + self.steps))
        with self.doing("news of templates"):
            for event in ("PAUSED", "APPROVED"):
                await self.journal.accept(Webhook(templates=(TemplateNews("t", "en", event),)), self.now)

    async def replies(self) -> None:
        """Replies are claimed, read their conversations and settle."""
        longest, jobs = list[Job](), list[Job]()
        with self.doing("claim of replies"):
            while not longest:
                jobs = await self.journal.claim(Kind.REPLY, limit=100, now=self.now + 20)
                longest = [job for job in jobs if job.contact.id == TALKER]
        with self.doing("talk"):
            for job in jobs:
                await self.journal.talk(job, 20)
                await self.journal.more_waits(job)
        with self.doing("talk after a long outage"):
            for job in jobs[-3:]:
                await self.journal.talk(replace(job, since=self.size.messages // 2), 20)
        with self.doing("talk of the longest conversation"):
            for job in longest:
                for since in (job.since, self.size.messages // 2):
                    await self.journal.talk(replace(job, since=since), 20)
        with self.doing("settle of a reply"):
            says = (Outgoing({"type": "text", "text": {"body": "Hi"}}, "Hi", Origin.AI),)
            for job in jobs:
                await self.journal.settle(job, Outcome(Event.SUCCEED, says=says), self.now)

    async def sends(self) -> None:
        """Sends are claimed one by one and in groups, and settle in all ways; their receipts come."""
        later = self.now + OPEN_LATER + 1
        for limit in (1, 32):
            with self.doing(f"claim of {limit}"):
                jobs = [
                    job
                    for _ in range(self.steps // 10)
                    for job in await self.journal.claim(Kind.SEND, limit=limit, now=later)
                ]
        with self.doing("settle of a send"):
            for job in jobs:
                await self.journal.settle(job, self._outcome(job, later), later)
        with self.doing("receipts"):
            for status in (Status.SENT, Status.DELIVERED, Status.READ):
                for job in jobs:
                    receipt = Receipt(f"wamid.{job.id}", status, self.now, tag=job.tag)
                    await self.journal.accept(Webhook(receipts=(receipt,)), self.now)
        with self.doing("next_due"):
            for kind in OF_CONTACTS:
                await self.journal.next_due(kind)
        with self.doing("recently_sent"):
            await self.journal.recently_sent(self.now - 60)

    async def batches(self) -> None:
        """A batch of 10 000 is queued, looked at and cancelled."""
        recipients = [
            Recipient(number(person), number(person), _TEMPLATE)
            for person in self._noise.sample(range(self.size.contacts), min(self.size.contacts, 10_000))
        ]
        with self.doing("a batch of 10 000"):
            await self.journal.queue_batch(NewBatch("large", "key", "f", recipients), self.now)
        with self.doing("whether a batch is open"):
            await self.journal.batch_settled("large", 0.0)
        with self.doing("results of a batch of 10 000"):
            await self.journal.results("large")
        with self.doing("counts of a batch of 10 000"):
            await self.journal.batch_counts("large")
        with self.doing("the batches"):
            for cursor in (None, "large"):
                for head in await self.journal.batches(50, cursor) or ():
                    await self.journal.batch_head(head.id)
        with self.doing("cancelling a batch of 10 000"):
            await self.journal.cancel_batch("large", self.now)

    async def people_ask(self) -> None:
        """What the API and the metrics ask for."""
        with self.doing("/get of the longest conversation"):
            await self.journal.of_contact(number(TALKER - 1), 99_000, ())
        with self.doing("/get"):
            for _ in range(self.steps // 10):
                await self.journal.of_contact(number(self._noise.randrange(self.size.contacts)), 0, ())
        for kind, state, fate in product(Kind, (None, *State), (None, *get_args(Fate))):
            with self.doing(f"/outbox of {kind} {state} {fate}"):
                for limit, before in ((50, None), (500, None), (500, self.size.last_job - self.size.messages // 40)):
                    await self.journal.outbox(Query(kind, state, message=fate, limit=limit, before=before))
        for identity, batch in ((number(TALKER - 1), ""), (number(5), ""), ("", "large")):
            with self.doing(f"/outbox of {'a contact' if identity else 'a batch'}"):
                for state in (None, *State):
                    await self.journal.outbox(Query(state=state, identity=identity, batch_id=batch, limit=500))
        with self.doing("/outbox of one"):
            await self.journal.outbox_one(self.size.last_job - 1)
        with self.doing("the depths"):
            await self.journal.depths()
        with self.doing("the archive's lag"):
            await self.journal.archive_lag()
        with self.doing("what is kept for other numbers"):
            others = tuple(ForeignPart(str(n), '{"entry": []}') for n in range(20))
            await self.journal.accept(Webhook(foreign=others), self.now)
            await self.journal.foreign_kept({"1"})
            await self.journal.reclaim("2", self.now)

    async def archive(self) -> None:
        """What the archiver does, and what is deleted after it."""
        with self.doing("recording"):
            ahead = await self.journal.ahead_of_archive(0, 500)
            await self.journal.mark_archived([(row[0], row[1]) for row in ahead])
        with self.doing("witnesses"):
            await self.journal.witnesses(50)
        with self.doing("an archive that lost messages"):
            before = await self.journal.forget_archived(1, None, 5000)
            await self.journal.forget_archived(1, before, 5000)
            await self.journal.lost_by_archive([row[0] for row in ahead[:200]])
        with self.doing("deleting messages"):
            after: int | None = 0
            for _ in range(PRUNED):
                if after is not None:
                    held, after = await self.journal.outdated(
                        after, before=self.now - SPAN_SECONDS / 3, now=self.now, limit=200
                    )
                    await self.journal.forget_messages(held)
        with self.doing("deleting messages of the archive's own"):
            await self.journal.forget_adopted(before=self.now, now=self.now, limit=200)

    async def by_time(self) -> None:
        """What the timers do."""
        with self.doing("tend"):
            await self.journal.tend_at(self.now)
            await self.journal.tend(self.now)
        with self.doing("tend when much is due"):
            for _ in range(3):
                await self.journal.tend(self.now + 2 * DAY)
        with self.doing("pruning"):
            for _ in range(PRUNED):
                await self.journal.prune(before=self.now - 10 * DAY, now=self.now)
        with self.doing("pruning what strangers sent"):
            for _ in range(PRUNED):
                await self.journal.prune(before=0, now=self.now + 8 * DAY)
        with self.doing("ping and beat"):
            await self.journal.ping()
            await self.journal.beat()

    async def odd_ones(self) -> None:
        """What happens seldom."""
        with self.doing("bulk retry"):
            for retry in (Retry(error_code=1), Retry(batch_id="large"), Retry()):
                await self.journal.retry_all(retry, self.now)
        with self.doing("opting out"):
            for person in (TALKER - 1, 5, 7):
                await self.journal.set_stop(number(person), self.now, stop=True)
        with self.doing("a merge"):
            for person in range(1001, 1011):
                await self._say(Person(wa_id=f"5511{person}"))
                await self._say(Person(bsuid=f"BR.{person}"))
                await self._say(Person(wa_id=f"5511{person}", bsuid=f"BR.{person}"))

    def _outcome(self, job: Job, now: float) -> Outcome:
        match job.id % 50:
            case 1:
                return Outcome(Event.LOSE_TRACK, due_at=now + 90)
            case 2:
                return Outcome(Event.GIVE_UP, effect=Effect.SUPPRESS, code=131026)
            case 3:
                return Outcome(Event.RETRY, due_at=now + 90)
        return Outcome(Event.SUCCEED, wamid=f"wamid.{job.id}", answer={"messages": [{"id": f"wamid.{job.id}"}]})

    async def _hear(self, people: Sequence[int]) -> None:
        """Each of these people (ids of contacts) writes something."""
        for start in range(0, len(people), AT_ONCE):
            named = [(number(one - 1), f"IN.{number(one - 1)}") for one in people[start : start + AT_ONCE]]
            await asyncio.gather(*(self._say(Person(wa_id, bsuid, NAME)) for wa_id, bsuid in named))

    async def _say(self, person: Person) -> None:
        wamid = f"wamid.HBgM{self._noise.getrandbits(96):024X}{next(self._wamids)}"
        raw = f'{{"id":"{wamid}","type":"text","text":{{"body":"Are you open tomorrow?"}}}}'
        message = Inbound(wamid, person, self.now, "text", "Are you open tomorrow?", raw)
        await self.journal.accept(Webhook(count=1, messages=(message,)), self.now)
