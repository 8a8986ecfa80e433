"""What the tests of the journal speak with: people, what they say, and a journal whose clock stands still."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wabot.core.jobs import Event, Job, Kind, Outcome, Policy, State
from wabot.core.messages import Inbound, Person, Receipt, Status, Webhook
from wabot.core.optout import Consent
from wabot.core.outgoing import Origin, Outgoing
from wabot.journal.accept import Rules, Taken
from wabot.journal.batches import NewBatch, Queued, Recipient
from wabot.journal.journal import FILE_NAME, Journal, open_journal
from wabot.journal.queue import enqueue

NOW = 1_760_000_000.0
DAY = 86400.0
ANA, BEN, EVA = "919216598210", "919876543210", "491711234567"

RULES = Rules(
    quiet_seconds=2.0,
    quiet_max_seconds=15.0,
    reply_expires_seconds=3600.0,
    consent=Consent.of(["stop", "unsubscribe"], ["start"], "You will hear nothing more.", "Welcome back."),
)
POLICY = Policy(attempts=4, backoff_base_seconds=1.0, backoff_max_seconds=60.0, hold_seconds=90.0)


def said(wamid: str, person: Person | str = ANA, *, at: float = NOW, body: str = "Hello", **more: Any) -> Inbound:
    """Somebody's message."""
    known = {"type": "text", "raw": json.dumps({"id": wamid}), **more}
    person = Person(wa_id=person) if isinstance(person, str) else person
    return Inbound(wamid=wamid, person=person, timestamp=at, body=body, **known)


def receipt(
    wamid: str, status: Status, *, tag: str | None = None, at: float = NOW, code: int | None = None, **more: Any
) -> Receipt:
    """Meta's later word on a message; `code` is the error's."""
    error: Mapping[str, Any] | None = {"code": code, "title": f"error {code}"} if code is not None else None
    return Receipt(wamid, status, at, tag=tag, error=error, **more)


def text(body: str = "Hi", origin: Origin = Origin.AI) -> Outgoing:
    return Outgoing({"type": "text", "text": {"body": body}}, body, origin)


def template(name: str = "hello_world", origin: Origin = Origin.BULK) -> Outgoing:
    content = {"type": "template", "template": {"name": name, "language": {"code": "en_US"}}}
    return Outgoing(content, f"[template {name}]", origin)


def sent(wamid: str, **more: Any) -> Outcome:
    """Meta took it."""
    return Outcome(Event.SUCCEED, wamid=wamid, answer={"messages": [{"id": wamid}]}, **more)


@dataclass
class Scene:
    """A journal on disk and the time; nothing moves but what a test moves."""

    data_dir: Path
    journal: Journal
    now: float = NOW
    policy: Policy = POLICY
    notified: list[Kind] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.data_dir / FILE_NAME

    async def hear(self, *messages: Inbound) -> Taken:
        """A delivery of messages."""
        return await self.journal.accept(Webhook(count=len(messages), messages=messages), self.now)

    async def told(self, *receipts: Receipt) -> Taken:
        """A delivery of receipts."""
        return await self.journal.accept(Webhook(receipts=receipts), self.now)

    async def batch(
        self,
        *numbers: str | None,
        batch_id: str = "b1",
        key: str | None = None,
        fingerprint: str = "f",
        name: str = "t",
    ) -> Queued:
        """A bulk request: one template for `numbers`; None is one that cannot be a number."""
        recipients = [Recipient(n or "12", n, template(name) if n else None) for n in numbers]
        return await self.journal.queue_batch(NewBatch(batch_id, key, fingerprint, recipients), self.now)

    async def owe(self, number: str, outgoing: Outgoing | None = None, *, expires_at: float | None = None) -> int:
        """A send to somebody who wrote to us before; its job's id."""
        contact, _ = await self.journal.of_contact(number, 1, ())
        assert contact is not None
        return await self.journal.writer(enqueue, contact.id, outgoing or text(), now=self.now, expires_at=expires_at)

    async def claim(self, kind: Kind = Kind.SEND, limit: int = 10) -> list[Job]:
        return await self.journal.claim(kind, limit=limit, now=self.now)

    async def claim_one(self, kind: Kind = Kind.SEND) -> Job:
        (job,) = await self.claim(kind)
        return job

    async def settle(self, job: Job, outcome: Outcome) -> State | None:
        return await self.journal.settle(job, outcome, self.now)

    async def send_to(self, number: str, wamid: str) -> int:
        """One bulk message, queued and accepted by Meta; its job's id."""
        await self.batch(number, batch_id=f"to-{wamid}")
        job = await self.claim_one()
        assert await self.settle(job, sent(wamid)) is State.DONE
        return job.id

    async def doubtful(self, number: str = ANA) -> Job:
        """A send of which nobody knows whether Meta has it."""
        await self.batch(number, batch_id=f"doubt-{number}")
        job = await self.claim_one()
        lost = Outcome(Event.LOSE_TRACK, due_at=self.now + self.policy.hold_seconds, error="cut")
        assert await self.settle(job, lost) is State.IN_DOUBT
        return job

    async def restart(self, *, rules: Rules = RULES) -> tuple[int, int]:
        """Close, open, recover: (replies, sends) that were running."""
        await self.journal.close()
        await self.open(rules=rules)
        return await self.journal.recover(self.now)

    async def open(self, *, rules: Rules = RULES) -> None:
        self.journal = await open_journal(self.data_dir, rules=rules, policy=self.policy)
        self.listen()

    def listen(self) -> None:
        """Write down which lanes are woken."""
        self.journal.notify = lambda kind, *_: self.notified.append(kind)

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """What is on disk."""
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, values)]

    def row(self, sql: str, *values: Any) -> dict[str, Any]:
        (row,) = self.rows(sql, *values)
        return row

    def job(self, job_id: int) -> dict[str, Any]:
        return self.row("SELECT * FROM jobs WHERE id = ?", job_id)

    def state(self, job_id: int) -> State:
        return State(self.job(job_id)["state"])

    def carried(self, job_id: int) -> dict[str, Any]:
        """The message of a send."""
        return self.row("SELECT * FROM messages WHERE job_id = ?", job_id)

    def jobs(self, kind: Kind = Kind.SEND, columns: str = "id, state") -> list[tuple[Any, ...]]:
        """Jobs of a kind, oldest first."""
        return [
            tuple(row.values()) for row in self.rows(f"SELECT {columns} FROM jobs WHERE kind = ? ORDER BY id", kind)
        ]
