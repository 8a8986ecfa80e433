"""Recording, with a real journal: into an archive in memory that does as it is told, and into a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fakes import MemoryArchive
from tests.journal.scene import ANA, BEN, DAY, Scene, receipt, said
from tests.mongo_fixtures import proxy
from tests.process import eventually
from wabot.adapters import mongo
from wabot.adapters.mongo import MongoArchive
from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Event, Kind, Outcome
from wabot.core.messages import Person, Status
from wabot.work.archive_circuit import Circuit
from wabot.work.archiver import CHECK_SECONDS, PROMPT_SECONDS, REFUSED_SECONDS, Archiver

COLLECTION = "user_chat"


@pytest.fixture
def archive() -> MemoryArchive:
    return MemoryArchive()


@pytest.fixture
def circuit() -> Circuit:
    return Circuit()


@pytest.fixture
def archiver(scene: Scene, archive: MemoryArchive, circuit: Circuit) -> Archiver:
    return Archiver(scene.journal, archive, circuit, clock=lambda: scene.now)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr("wabot.work.archiver.EVERY_SECONDS", 0.01)
    monkeypatch.setattr("wabot.work.archiver.RETRY_MAX_SECONDS", 0.02)


@asynccontextmanager
async def running(archiver: Archiver) -> AsyncIterator[None]:
    task = asyncio.create_task(archiver.run())
    try:
        yield
        assert not task.done(), "it works until it is cancelled"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def caught_up(scene: Scene) -> None:
    """Wait until the archive lacks nothing."""
    async with asyncio.timeout(10):
        while await scene.journal.archive_lag():
            await asyncio.sleep(0.01)


def kept(archive: MemoryArchive) -> dict[str, str]:
    return {key: document["status"] for key, document in archive.documents.items()}


async def talk(scene: Scene, count: int, *, begin: int = 0) -> None:
    """Some messages, a second apart."""
    scene.now += count
    numbers = range(begin, begin + count)
    await scene.hear(*[said(f"wamid.{number}", at=scene.now - begin - count + number) for number in numbers])


# Shipping.


async def test_what_the_journal_has_is_recorded_once(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, circuit: Circuit
) -> None:
    await talk(scene, 3)
    assert await archiver.ship() == 3
    assert list(archive.documents) == ["wamid.0", "wamid.1", "wamid.2"]
    asked = archive.asked
    assert await archiver.ship() == 0
    assert archive.asked == asked, "nothing new is no reason to ask"
    assert circuit.works is True


async def test_what_changes_is_recorded_again(scene: Scene, archiver: Archiver, archive: MemoryArchive) -> None:
    job_id = await scene.send_to(ANA, "wamid.out")
    await archiver.ship()
    key = f"{scene.journal.name}-{job_id}"
    assert kept(archive) == {key: "sent"}
    await scene.told(receipt("wamid.out", Status.READ))
    assert await archiver.ship() == 1
    assert kept(archive) == {key: "read"}
    assert archive.documents[key]["outbox_id"] == key


async def test_what_changes_while_it_is_recorded_is_recorded_again(scene: Scene, archive: MemoryArchive) -> None:
    await scene.send_to(ANA, "wamid.out")

    class Slow(MemoryArchive):
        async def record(self, documents: Any) -> dict[int, str]:
            refused = await archive.record(documents)
            if archive.asked == 1:
                await scene.told(receipt("wamid.out", Status.DELIVERED))
            return refused

    archiver = Archiver(scene.journal, Slow(), Circuit())
    await archiver.ship()
    assert await scene.journal.archive_lag() == 1
    await archiver.ship()
    assert list(kept(archive).values()) == ["delivered"]
    assert await scene.journal.archive_lag() == 0


async def test_many_are_recorded_in_batches(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wabot.work.archiver.BATCH", 10)
    await talk(scene, 35)
    assert await archiver.ship() == 35
    assert archive.asked == 1 + 4, "a look, and four batches"
    assert len(archive.documents) == 35


# An archive that is down.


async def test_while_the_archive_is_down_nothing_is_lost(
    scene: Scene,
    archiver: Archiver,
    archive: MemoryArchive,
    circuit: Circuit,
    hasty: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await talk(scene, 1)
    async with running(archiver):
        await caught_up(scene)
        archive.down = True
        await talk(scene, 2, begin=1)
        asked = archive.asked
        async with asyncio.timeout(10):
            while archive.asked < asked + 3:
                await asyncio.sleep(0.01)
        assert circuit.works is False
        assert archiver.sure is False
        archive.down = False
        await caught_up(scene)
        assert circuit.works is True
    assert len(archive.documents) == 3
    logged = capsys.readouterr().out
    assert logged.count("archive.lost") == logged.count("archive.found") == 1
    assert "Traceback" not in logged


async def test_how_the_archive_is_is_known_from_the_first_pass_on(
    scene: Scene, archiver: Archiver, circuit: Circuit
) -> None:
    assert (circuit.works, archiver.sure) == (None, False)
    await archiver.ship()
    assert (circuit.works, archiver.sure) == (True, True)


async def test_what_a_question_found_lost_the_recorder_finds_again_though_nothing_is_new(
    scene: Scene, archiver: Archiver, circuit: Circuit, hasty: None
) -> None:
    async with running(archiver):
        circuit.open("a question was not answered")
        async with asyncio.timeout(10):
            while not circuit.works:
                await asyncio.sleep(0.01)


async def test_an_archive_too_slow_for_questions_is_recorded_to(
    scene: Scene, archive: MemoryArchive, circuit: Circuit
) -> None:
    class Slow(MemoryArchive):
        async def ping(self) -> None:
            scene.now += PROMPT_SECONDS + 0.5

    slow = Slow()
    circuit.open("a question was not answered")
    await talk(scene, 3)
    assert await Archiver(scene.journal, slow, circuit, clock=lambda: scene.now).ship() == 3
    assert circuit.works is False


async def test_a_journal_that_is_down_is_waited_for(scene: Scene, archive: MemoryArchive, hasty: None) -> None:
    class Flaky:
        def __init__(self) -> None:
            self.down = 3

        def __getattr__(self, verb: str) -> Any:
            return getattr(scene.journal, verb)

        async def mark_archived(self, versions: Any) -> None:
            self.down -= 1
            if self.down > 0:
                raise JournalDown("the disk is full")
            await scene.journal.mark_archived(versions)

    await talk(scene, 2)
    async with running(Archiver(Flaky(), archive, Circuit())):
        await caught_up(scene)
    assert len(archive.documents) == 2


# Documents that are refused.


async def test_one_that_is_refused_holds_up_nobody_and_is_offered_again_later(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.refused["wamid.1"] = "too large"
    await talk(scene, 3)
    assert await archiver.ship() == 2
    asked = archive.asked
    assert await archiver.ship() == 0
    assert archive.asked == asked
    scene.now += REFUSED_SECONDS
    assert await archiver.ship() == 0
    assert archive.asked == asked + 2, "it is offered again, and the archive is checked every hour"
    archive.refused.clear()
    scene.now += REFUSED_SECONDS
    assert await archiver.ship() == 1
    assert await scene.journal.archive_lag() == 0
    assert capsys.readouterr().out.count("archive.refused") == 2


async def test_a_new_version_of_one_that_was_refused_is_offered_at_once(
    scene: Scene, archiver: Archiver, archive: MemoryArchive
) -> None:
    job_id = await scene.send_to(ANA, "wamid.out")
    archive.refused[f"{scene.journal.name}-{job_id}"] = "too large"
    assert await archiver.ship() == 0
    archive.refused.clear()
    await scene.told(receipt("wamid.out", Status.READ))
    assert await archiver.ship() == 1


# Another archive.


async def test_another_archive_gets_everything_that_the_journal_has(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    await talk(scene, 20)
    await scene.send_to(BEN, "wamid.out")
    await archiver.ship()
    other = MemoryArchive()
    assert await Archiver(scene.journal, other, Circuit()).ship() == 21
    assert other.documents == archive.documents
    assert capsys.readouterr().out.count("archive.behind") == 1


async def test_the_same_archive_gets_nothing_twice(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    await talk(scene, 20)
    await archiver.ship()
    assert await Archiver(scene.journal, archive, Circuit()).ship() == 0
    assert "archive.behind" not in capsys.readouterr().out


@pytest.mark.parametrize("lost", [1, 2, 49, 50, 51, 150, 399, 400])
async def test_an_archive_that_lost_its_last_writes_gets_them_again(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, lost: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A power cut, or a dump that was restored: of 50 witnesses 49 may be there."""
    await talk(scene, 400)
    await archiver.ship()
    whole = dict(archive.documents)
    for number in range(400 - lost, 400):
        del archive.documents[f"wamid.{number}"]
    again = await Archiver(scene.journal, archive, Circuit()).ship()
    assert archive.documents == whole
    assert lost <= again <= min(400, 2 * lost + 50), "and not much more than these"
    assert capsys.readouterr().out.count("archive.behind") == 1


async def test_an_archive_that_lost_a_change_gets_it_again(
    scene: Scene, archiver: Archiver, archive: MemoryArchive
) -> None:
    job_id = await scene.send_to(ANA, "wamid.out")
    await archiver.ship()
    before = dict(archive.documents)
    await scene.told(receipt("wamid.out", Status.READ))
    await archiver.ship()
    archive.documents = before
    await Archiver(scene.journal, archive, Circuit()).ship()
    assert kept(archive) == {f"{scene.journal.name}-{job_id}": "read"}


async def test_one_that_was_refused_hides_nothing_that_was_recorded_after_it(
    scene: Scene, archiver: Archiver, archive: MemoryArchive
) -> None:
    archive.refused["wamid.2"] = "too large"
    await talk(scene, 100)
    await archiver.ship()
    del archive.documents["wamid.99"]
    await Archiver(scene.journal, archive, Circuit()).ship()
    assert len(archive.documents) == 99


async def test_one_that_changed_hides_nothing_that_was_recorded_after_it(
    scene: Scene, archiver: Archiver, archive: MemoryArchive
) -> None:
    await scene.send_to(ANA, "wamid.out")
    await talk(scene, 100)
    await archiver.ship()
    del archive.documents["wamid.99"]
    await scene.told(receipt("wamid.out", Status.READ))
    await talk(scene, 5000, begin=100)
    await Archiver(scene.journal, archive, Circuit()).ship()
    assert len(archive.documents) == 5101


async def test_an_archive_restored_from_before_gets_what_it_lacks(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wabot.work.archiver.WITNESSES", 5)
    await talk(scene, 20)
    await archiver.ship()
    backup = dict(archive.documents)
    await talk(scene, 20, begin=20)
    await archiver.ship()
    archive.documents = backup
    await Archiver(scene.journal, archive, Circuit()).ship()
    assert len(archive.documents) == 40


# What is forgotten here.


async def prune(scene: Scene, archiver: Archiver) -> None:
    """Forget what is older than 30 days."""
    await archiver.prune(before=scene.now - 30 * DAY, now=scene.now)


async def wamids(scene: Scene) -> set[str]:
    return {row["wamid"] for row in scene.rows("SELECT wamid FROM messages")}


async def test_only_what_the_archive_has_when_it_is_asked_is_forgotten(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hole so old that no witness showed it."""
    await talk(scene, 450)
    await archiver.ship()
    whole = dict(archive.documents)
    del archive.documents["wamid.7"], archive.documents["wamid.300"]
    scene.now += 40 * DAY
    await prune(scene, archiver)
    assert await wamids(scene) == {"wamid.7", "wamid.300"}
    assert "archive.behind" in capsys.readouterr().out
    assert await archiver.ship() == 2
    assert archive.documents == whole
    await prune(scene, archiver)
    assert await wamids(scene) == set()


async def test_nothing_is_forgotten_while_the_archive_does_not_answer(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, circuit: Circuit
) -> None:
    await talk(scene, 5)
    await archiver.ship()
    scene.now += 40 * DAY
    archive.down = True
    await prune(scene, archiver)
    assert circuit.works is False
    archive.down = False
    await prune(scene, archiver)
    assert len(await wamids(scene)) == 5, "nor before the archiver has found it again"
    await archiver.ship()
    await prune(scene, archiver)
    assert await wamids(scene) == set()


async def test_an_archive_that_was_swapped_during_an_outage_is_noticed(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, hasty: None
) -> None:
    await talk(scene, 5)
    async with running(archiver):
        await caught_up(scene)
        archive.down = True
        await talk(scene, 1, begin=5)
        async with asyncio.timeout(10):
            while archiver.sure:
                await asyncio.sleep(0.01)
        archive.documents.clear()
        archive.down = False
        await caught_up(scene)
    assert len(archive.documents) == 6


async def test_an_archive_that_was_swapped_while_nobody_asked_it_is_noticed_within_the_hour(
    scene: Scene, archiver: Archiver, archive: MemoryArchive
) -> None:
    await talk(scene, 3)
    await archiver.ship()
    archive.documents.clear()
    assert await archiver.ship() == 0, "an idle wabot asks it nothing"
    scene.now += CHECK_SECONDS
    assert await archiver.ship() == 3
    assert len(archive.documents) == 3


async def test_a_first_archive_is_nobodys_replacement(
    scene: Scene, archiver: Archiver, capsys: pytest.CaptureFixture[str]
) -> None:
    await talk(scene, 5)
    assert await archiver.ship() == 5
    assert "archive.behind" not in capsys.readouterr().out


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_crash_while_it_is_noticed_loses_nothing(
    scene: Scene, archiver: Archiver, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr("wabot.work.archiver.FORGET_STEP", 5)
    await talk(scene, 20)
    await archiver.ship()
    before = None
    for _ in range(steps):
        before = await scene.journal.forget_archived(1, before, 5)
    await scene.restart()
    other = MemoryArchive()
    assert await Archiver(scene.journal, other, Circuit()).ship() == 20
    assert len(other.documents) == 20


async def test_what_another_archive_lacks_is_made_up_for_in_small_steps(scene: Scene, archiver: Archiver) -> None:
    await talk(scene, 12)
    await archiver.ship()
    lacking, before = [], None
    while (before := await scene.journal.forget_archived(1, before, 5)) is not None:
        lacking.append(await scene.journal.archive_lag())
    assert lacking == [5, 10, 12]


async def test_what_was_brought_back_from_an_archive_is_not_sent_to_it_as_our_own(
    scene: Scene, archiver: Archiver, archive: MemoryArchive
) -> None:
    await talk(scene, 1)
    scene.now += 2
    job = await scene.claim_one(Kind.REPLY)
    old = {"id": "wamid.old", "from": ANA, "to": "1", "timestamp": "1", "type": "text", "body": "", "raw": {}}
    await scene.journal.adopt(job, [{**old, "direction": "in", "origin": "person"}], scene.now)
    await archiver.ship()
    other = MemoryArchive()
    await Archiver(scene.journal, other, Circuit()).ship()
    assert list(other.documents) == ["wamid.0"]


async def test_what_was_never_recorded_does_not_hide_what_was(scene: Scene, archiver: Archiver) -> None:
    await talk(scene, 10)
    await archiver.ship()
    await talk(scene, 30, begin=10)
    assert [held.key for held in await scene.journal.witnesses(3)] == [f"wamid.{n}" for n in (2, 7, 8, 9)]


async def test_what_was_brought_back_is_no_document_of_ours_whatever_becomes_of_it(
    scene: Scene, archiver: Archiver, archive: MemoryArchive
) -> None:
    """The archive has it under a key of its own: recording it would make a second document."""
    await scene.hear(said("wamid.0"), said("wamid.1", Person(bsuid="IN.1")))
    scene.now += 2
    _, job = await scene.claim(Kind.REPLY)
    await scene.settle(job, Outcome(Event.SUCCEED))
    old = {"id": "wamid.old", "from": "1", "to": ANA, "timestamp": "1", "type": "text", "body": "", "raw": {}}
    await scene.journal.adopt(job, [{**old, "direction": "out", "origin": "ai"}], scene.now)
    await archiver.ship()
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid="IN.1")))  # they are one person
    await scene.told(receipt("wamid.old", Status.READ))
    await archiver.ship()
    assert scene.row("SELECT version > 1 AS changed FROM messages WHERE wamid = 'wamid.old'") == {"changed": 1}
    assert sorted(archive.documents) == ["wamid.0", "wamid.1", "wamid.2"]
    assert await scene.journal.archive_lag() == 0


# A real one.


@asynccontextmanager
async def mongo_archive(uri: str, database: str, collection: str = COLLECTION) -> AsyncIterator[MongoArchive]:
    archive = MongoArchive(uri, database=database, collection=collection)
    try:
        yield archive
    finally:
        await archive.close()


async def test_a_talk_is_recorded_in_mongodb_and_told_from_there(scene: Scene, mongo_uri: str, database: str) -> None:
    await talk(scene, 3)
    await scene.send_to(ANA, "wamid.out")
    async with mongo_archive(mongo_uri, database) as archive:
        archiver = Archiver(scene.journal, archive, Circuit())
        assert await archiver.ship() == 4
        assert await archiver.ship() == 0
        _, ours = await scene.journal.of_contact(ANA, 0, ())
        theirs = await archive.history([ANA], None, 0, ())
        assert theirs == [{**message, "raw": json.loads(message["raw"])} for message in ours]
        assert len(await archive.recent([ANA], "j-1", 10)) == 4


async def test_another_database_gets_everything_too(scene: Scene, mongo_uri: str, database: str) -> None:
    await talk(scene, 30)
    async with mongo_archive(mongo_uri, database) as archive:
        await Archiver(scene.journal, archive, Circuit()).ship()
        assert await Archiver(scene.journal, archive, Circuit()).ship() == 0
    async with mongo_archive(mongo_uri, database, "another") as other:
        assert await Archiver(scene.journal, other, Circuit()).ship() == 30
        assert len(await other.history([ANA], None, 0, ())) == 30


async def test_a_database_that_is_down_at_start_is_caught_up_with(
    scene: Scene, mongo_uri: str, database: str, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo, "SELECT_MS", 100)
    async with proxy(mongo_uri, opened=False) as way, mongo_archive(way.uri, database) as archive:
        circuit = Circuit()
        archiver = Archiver(scene.journal, archive, circuit)
        async with running(archiver):
            await talk(scene, 3)
            async with asyncio.timeout(10):
                while circuit.works is None:
                    await asyncio.sleep(0.02)
            assert circuit.works is False
            await way.open()
            await caught_up(scene)
            assert circuit.works is True
        assert len(await archive.history([ANA], None, 0, ())) == 3


async def test_a_document_over_16_megabytes_is_refused_alone(scene: Scene, mongo_uri: str, database: str) -> None:
    await scene.hear(said("wamid.0"), said("wamid.1", body="x" * 17_000_000), said("wamid.2"))
    async with mongo_archive(mongo_uri, database) as archive:
        assert await Archiver(scene.journal, archive, Circuit()).ship() == 2
        assert {m["id"] for m in await archive.history([ANA], None, 0, ())} == {"wamid.0", "wamid.2"}
    assert await scene.journal.archive_lag() == 1


async def test_an_outage_that_a_question_meets_wakes_the_archiver(
    scene: Scene, archiver: Archiver, circuit: Circuit, hasty: None
) -> None:
    async with running(archiver):
        await eventually(lambda: archiver.sure)
        circuit.open("a question got no answer")
        await eventually(lambda: circuit.works, what="the archive answers")


async def test_an_outage_that_another_account_met_is_followed_by_a_check(
    scene: Scene, archiver: Archiver, archive: MemoryArchive, circuit: Circuit
) -> None:
    await scene.hear(said("wamid.1"))
    await archiver.ship()
    circuit.open("another account's question got no answer")
    archive.documents.clear()
    circuit.close()
    assert await archiver.ship() == 1
