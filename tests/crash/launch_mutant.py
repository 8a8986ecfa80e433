"""wabot with one mistake, to show that the crash suite would see it: `launch_mutant.py NAME [run.py's arguments]`."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from wabot.cli import main
from wabot.core.jobs import Event, move
from wabot.journal import accept, batches, jobs
from wabot.journal.journal import Journal


def acknowledges_before_the_commit() -> None:
    """A 200 to Meta for what is only in memory."""
    kept = Journal.accept
    tasks = set()

    async def accept_later(self: Journal, delivery: Any, now: float) -> accept.Taken:
        async def later() -> None:
            await asyncio.sleep(0.1)
            await kept(self, delivery, now)

        task = asyncio.create_task(later())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return accept.Taken(stored=len(delivery.messages))

    Journal.accept = accept_later  # type: ignore[method-assign]


def sends_again_at_once_what_was_running() -> None:
    """A restart that knows no doubt."""
    recover = jobs.recover

    def forgetful(db: Any, **arguments: Any) -> tuple[int, int]:
        db.execute("UPDATE jobs SET state = 'queued' WHERE kind = 'send' AND state = 'running'")
        return recover(db, **arguments)

    jobs.recover = forgetful  # type: ignore[assignment]


def forgets_the_replies_that_were_running() -> None:
    """A restart that leaves in nobody's hands what was in somebody's."""
    recover = jobs.recover

    def forgetful(db: Any, **arguments: Any) -> tuple[int, int]:
        db.execute("UPDATE jobs SET state = 'cancelled' WHERE kind = 'reply' AND state = 'running'")
        return recover(db, **arguments)

    jobs.recover = forgetful  # type: ignore[assignment]


def forgets_idempotency_keys() -> None:
    """The same request twice is two batches."""
    queue_batch = batches.queue_batch

    def keyless(db: Any, batch: batches.NewBatch, now: float) -> batches.Queued:
        return queue_batch(db, dataclasses.replace(batch, key=None), now)

    batches.queue_batch = keyless


def answers_again_what_was_delivered_again() -> None:
    """A message is new whenever Meta delivers it."""
    take = accept.accept

    def forgetful(db: Any, delivery: Any, *more: Any) -> accept.Taken:
        for message in delivery.messages:
            db.execute("UPDATE messages SET wamid = wamid || '-old' || id WHERE wamid = ?", (message.wamid,))
        return take(db, delivery, *more)

    accept.accept = forgetful


def settles_in_two_commits() -> None:
    """The reply is done in one commit, what it says is queued in the next: a kill in between loses the answer."""
    settle = Journal.settle

    async def in_two(self: Journal, job: Any, outcome: Any, now: float) -> Any:
        if not outcome.says:
            return await settle(self, job, outcome, now)

        def first(db: Any) -> None:
            done = move(jobs.State.RUNNING, Event.SUCCEED)
            db.execute("UPDATE jobs SET state = ?, settled_at = ? WHERE id = ?", (done, now, job.id))

        def second(db: Any) -> Any:
            db.execute("UPDATE jobs SET state = 'running' WHERE id = ?", (job.id,))
            return jobs.settle(db, job, outcome, now, self._receipt_rules())

        await self.writer(first)
        await asyncio.sleep(0.5)  # long enough that a kill falls into it
        state = await self.writer(second)
        for kind in jobs.Kind:
            self.notify(kind, now)
        return state

    Journal.settle = in_two  # type: ignore[method-assign]


MUTANTS: Mapping[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (
        acknowledges_before_the_commit,
        sends_again_at_once_what_was_running,
        forgets_the_replies_that_were_running,
        forgets_idempotency_keys,
        answers_again_what_was_delivered_again,
        settles_in_two_commits,
    )
}

if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
