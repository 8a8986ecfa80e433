"""Each fake keeps the small contract of what it stands for; the real one runs the same tests here or in its module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapters.archive_contract import ArchiveContract
from tests.adapters.assistant_contract import TALK, AssistantContract
from tests.fakes import MemoryArchive, MemoryQueue, ScriptedAssistant
from tests.journal.scene import NOW, POLICY, RULES, Scene
from wabot.core.exceptions import ArchiveDown, AssistantFailed, JournalDown
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.journal.journal import open_journal
from wabot.work.lane import Source

DONE = Outcome(Event.SUCCEED, wamid="wamid.1", answer={"messages": [{"id": "wamid.1"}]})


@dataclass
class Queue:
    """A source of jobs, and how a test puts one there: a send to somebody of their own, due at once."""

    source: Source
    put: Callable[[], Awaitable[None]]


@pytest.fixture(params=["memory", "journal"])
async def queue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Queue]:
    if request.param == "memory":
        memory = MemoryQueue()

        async def put() -> None:
            memory.put(NOW)

        yield Queue(memory, put)
        return
    scene = Scene(tmp_path, await open_journal(tmp_path, rules=RULES, policy=POLICY))
    numbers = iter(f"9192165982{number:02}" for number in range(100))

    async def put_batch() -> None:
        number = next(numbers)
        await scene.batch(number, batch_id=f"to-{number}")

    yield Queue(scene.journal, put_batch)
    await scene.journal.close()


async def test_what_is_due_is_claimed_oldest_first_and_once(queue: Queue) -> None:
    for _ in range(3):
        await queue.put()
    first = await queue.source.claim(Kind.SEND, limit=2, now=NOW)
    rest = await queue.source.claim(Kind.SEND, limit=2, now=NOW)
    assert [job.id for job in first + rest] == sorted(job.id for job in first + rest)
    assert (len(first), len(rest)) == (2, 1)
    assert await queue.source.claim(Kind.SEND, limit=2, now=NOW) == []
    assert {job.attempt for job in first + rest} == {1}
    assert all(job.outgoing is not None and job.kind is Kind.SEND for job in first + rest)


async def test_what_is_not_due_or_of_another_kind_is_not_claimed(queue: Queue) -> None:
    await queue.put()
    assert await queue.source.claim(Kind.SEND, limit=1, now=NOW - 1) == []
    assert await queue.source.claim(Kind.REPLY, limit=1, now=NOW) == []


async def test_it_tells_when_the_next_is_due(queue: Queue) -> None:
    assert await queue.source.next_due(Kind.SEND) is None
    await queue.put()
    assert await queue.source.next_due(Kind.SEND) == NOW
    assert await queue.source.next_due(Kind.REPLY) is None
    await queue.source.claim(Kind.SEND, limit=1, now=NOW)
    assert await queue.source.next_due(Kind.SEND) is None


async def test_what_is_done_is_over(queue: Queue) -> None:
    await queue.put()
    (job,) = await queue.source.claim(Kind.SEND, limit=1, now=NOW)
    assert await queue.source.settle(job, DONE, NOW) is State.DONE
    assert await queue.source.claim(Kind.SEND, limit=1, now=NOW + 1e6) == []


async def test_what_is_to_be_tried_again_comes_back_at_its_time_with_one_try_less(queue: Queue) -> None:
    await queue.put()
    (job,) = await queue.source.claim(Kind.SEND, limit=1, now=NOW)
    assert await queue.source.settle(job, Outcome(Event.RETRY, due_at=NOW + 60), NOW) is State.QUEUED
    assert await queue.source.next_due(Kind.SEND) == NOW + 60
    assert await queue.source.claim(Kind.SEND, limit=1, now=NOW + 59) == []
    (again,) = await queue.source.claim(Kind.SEND, limit=1, now=NOW + 60)
    assert (again.id, again.attempt, again.spent) == (job.id, 2, 1)
    assert await queue.source.settle(again, Outcome(Event.RETRY, due_at=NOW + 61, spent=False), NOW) is State.QUEUED
    (last,) = await queue.source.claim(Kind.SEND, limit=1, now=NOW + 61)
    assert (last.attempt, last.spent) == (3, 1)


async def test_a_late_failure_of_an_earlier_claim_changes_nothing(queue: Queue) -> None:
    await queue.put()
    (job,) = await queue.source.claim(Kind.SEND, limit=1, now=NOW)
    await queue.source.settle(job, Outcome(Event.RETRY, due_at=NOW), NOW)
    (again,) = await queue.source.claim(Kind.SEND, limit=1, now=NOW)
    assert await queue.source.settle(job, Outcome(Event.GIVE_UP, error="too late"), NOW) is None
    assert await queue.source.settle(again, DONE, NOW) is State.DONE
    assert await queue.source.settle(again, DONE, NOW) is None


async def test_an_id_that_cannot_be_written_is_an_error(queue: Queue) -> None:
    await queue.put()
    (job,) = await queue.source.claim(Kind.SEND, limit=1, now=NOW)
    with pytest.raises(UnicodeEncodeError):
        await queue.source.settle(job, Outcome(Event.SUCCEED, wamid="\ud800"), NOW)
    assert await queue.source.settle(job, DONE, NOW) is State.DONE


async def test_a_queue_in_memory_can_be_down() -> None:
    queue = MemoryQueue()
    queue.down = True
    with pytest.raises(JournalDown):
        await queue.claim(Kind.SEND, limit=1, now=NOW)
    with pytest.raises(JournalDown):
        await queue.next_due(Kind.SEND)


class TestMemoryArchive(ArchiveContract):
    """The archive in memory keeps the contract that MongoDB keeps in tests/adapters/test_mongo.py."""

    @pytest.fixture
    def archive(self) -> MemoryArchive:
        return MemoryArchive()

    async def test_it_can_be_down(self, archive: MemoryArchive) -> None:
        archive.down = True
        with pytest.raises(ArchiveDown):
            await archive.lacks({"a": 1})
        with pytest.raises(ArchiveDown):
            await archive.ping()


class TestScriptedAssistant(AssistantContract):
    """The scripted one keeps the contract of every assistant."""

    @pytest.fixture
    def assistant(self) -> ScriptedAssistant:
        return ScriptedAssistant()

    async def test_it_can_fail(self) -> None:
        with pytest.raises(AssistantFailed):
            await ScriptedAssistant(failures=["HTTP 500"]).answer(TALK)
