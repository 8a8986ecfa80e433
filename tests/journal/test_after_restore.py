"""A copy put back in place of a journal that had gone on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.journal.scene import ANA, BEN, EVA, Scene, receipt, said, sent
from wabot.core.jobs import OPEN, Event, Kind, Outcome, State
from wabot.core.messages import Status
from wabot.journal import backup
from wabot.journal.after_restore import SUFFIX
from wabot.journal.journal import FILE_NAME
from wabot.journal.outbox_list import Query

PEOPLE = [f"49171123450{n}" for n in range(6)]


TABLES = ("contacts", "messages", "jobs")
"""Whose ids go out: as the archive's keys, as outbox ids, in Meta's tags."""


async def by_backup(scene: Scene, to: Path) -> None:
    """As docs/operations.md says."""
    backup.copy(scene.data_dir, to)


async def by_hand_while_stopped(scene: Scene, to: Path) -> None:
    await scene.journal.close()
    shutil.copy(scene.path, to)
    await scene.open()
    await scene.journal.recover(scene.now)


async def by_hand_while_running(scene: Scene, to: Path) -> None:
    """With all that is in the write-ahead log; then a minute passes."""
    await scene.journal._connection.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    shutil.copy(scene.path, to)
    await scene.journal.beat()


async def put_back(scene: Scene, copy: Path) -> None:
    """Stop, move aside, put the copy in place, start."""
    await scene.journal.close()
    for suffix in ("", "-wal", "-shm"):
        scene.path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
    shutil.copy(copy, scene.path)
    await scene.open()
    await scene.journal.recover(scene.now)


async def one_in_every_open_state(scene: Scene) -> dict[State, int]:
    """Sends, by their state."""
    await scene.batch(*PEOPLE[:3], batch_id="first")
    running, lost, held = await scene.claim(limit=3)
    await scene.settle(lost, Outcome(Event.LOSE_TRACK, due_at=scene.now + 90))
    await scene.settle(held, Outcome(Event.HOLD, due_at=scene.now + 900))
    await scene.batch(PEOPLE[3], batch_id="second")
    await scene.batch(PEOPLE[3], batch_id="third")
    found = {State(state): job for job, state in scene.jobs() if State(state) in OPEN}
    assert (found.keys(), found[State.RUNNING]) == (OPEN, running.id)
    return found


@pytest.mark.parametrize("made", [by_backup, by_hand_while_stopped, by_hand_while_running])
async def test_what_was_open_in_a_copy_waits_for_a_person(
    scene: Scene, tmp_path: Path, made: Callable[[Scene, Path], Awaitable[None]]
) -> None:
    await scene.hear(said("wamid.ana", ANA), said("wamid.ben", BEN))
    scene.now += 2
    await scene.claim(Kind.REPLY, limit=1)
    done = await scene.send_to(EVA, "wamid.done")
    jobs = await one_in_every_open_state(scene)
    await made(scene, tmp_path / "copy.db")

    await put_back(scene, tmp_path / "copy.db")

    assert {scene.state(job) for job in jobs.values()} == {State.PARKED}
    assert {state for (state,) in scene.jobs(Kind.REPLY, "state")} == {"expired"}
    assert scene.state(done) is State.DONE
    assert await scene.journal.tend(scene.now + 86_400) == []
    assert (await scene.claim(), await scene.claim(Kind.REPLY)) == ([], [])
    sends = await scene.journal.outbox(Query(state=State.PARKED))
    assert {send["error_code"] for send in sends} == {"restored"}
    assert all("it may have been sent since" in send["error"] for send in sends)

    third = max(jobs.values())
    for job in sorted(jobs.values()):
        await scene.journal.retry(job, scene.now)
    claimed = [job.id for job in await scene.claim()]
    assert third not in claimed, "it stands behind the older one of the same person"
    assert sorted([*claimed, third]) == sorted(jobs.values())


@pytest.mark.parametrize("made", [by_backup, by_hand_while_stopped])
async def test_no_id_of_the_lost_time_comes_back(
    scene: Scene, tmp_path: Path, made: Callable[[Scene, Path], Awaitable[None]]
) -> None:
    await made(scene, tmp_path / "copy.db")
    given: list[dict[str, set[int]]] = []
    for life in range(3):  # the lost time, then the same copy put back twice
        await scene.hear(*(said(f"wamid.{life}.{n}", person) for n, person in enumerate(PEOPLE)))
        await scene.batch(ANA, BEN, batch_id=f"b{life}")
        given.append({table: {row["id"] for row in scene.rows(f"SELECT id FROM {table}")} for table in TABLES})
        scene.now += 1
        await put_back(scene, tmp_path / "copy.db")
    for table in TABLES:
        ids = [life[table] for life in given]
        assert len(set().union(*ids)) == sum(map(len, ids))
        assert max(set().union(*ids)) < 2**53


async def test_a_late_receipt_of_a_lost_send_proves_nobody_elses(scene: Scene, tmp_path: Path) -> None:
    backup.copy(scene.data_dir, tmp_path / "copy.db")
    await scene.batch(ANA)
    lost = await scene.claim_one()
    await put_back(scene, tmp_path / "copy.db")
    await scene.batch(BEN, batch_id="b2")

    await scene.told(receipt("wamid.lost", Status.DELIVERED, tag=lost.tag))

    bens = await scene.claim_one()
    assert bens.contact.wa_id == BEN
    assert await scene.settle(bens, sent("wamid.ben")) is State.DONE


async def test_a_receipt_of_what_left_before_the_copy_still_proves_it(scene: Scene, tmp_path: Path) -> None:
    job = await scene.doubtful(ANA)
    backup.copy(scene.data_dir, tmp_path / "copy.db")
    await put_back(scene, tmp_path / "copy.db")
    assert scene.state(job.id) is State.PARKED
    await scene.told(receipt("wamid.proof", Status.DELIVERED, tag=job.tag))
    assert scene.state(job.id) is State.DONE


async def test_a_copy_is_put_back_once_and_goes_on_as_any_journal(scene: Scene, tmp_path: Path) -> None:
    backup.copy(scene.data_dir, tmp_path / "copy.db")
    await put_back(scene, tmp_path / "copy.db")
    await scene.batch(ANA)
    await scene.restart()
    assert [state for (state,) in scene.jobs(columns="state")] == ["queued"]


async def test_what_is_no_older_copy_is_taken_for_none(scene: Scene, tmp_path: Path) -> None:
    """A clean end, a kill, a pulse that could not be written, and the file of another journal."""
    await scene.batch(ANA)
    file = scene.path.with_name(FILE_NAME + SUFFIX)
    await scene.restart()
    early = file.read_text()
    await scene.restart()
    killed, data_dir = tmp_path / "killed", scene.data_dir
    shutil.copytree(data_dir, killed)
    file.write_text(early)
    await scene.restart()
    file.unlink()
    await scene.restart()
    for damaged in ("", "[]", '{"journal": 1}', json.dumps({"journal": "another", "pulse": 10**9})):
        file.write_text(damaged)
        await scene.restart()
    assert [state for (state,) in scene.jobs(columns="state")] == ["queued"]
    await scene.journal.close()
    scene.data_dir = killed
    await scene.open()
    await scene.journal.recover(scene.now)
    assert [state for (state,) in scene.jobs(columns="state")] == ["queued"]


async def test_a_pulse_that_cannot_be_written_stops_nobody(scene: Scene) -> None:
    await scene.batch(ANA)
    unfinished = scene.path.with_name(FILE_NAME + SUFFIX + ".new")
    unfinished.mkdir()
    await scene.restart()
    await scene.journal.beat()
    assert [state for (state,) in scene.jobs(columns="state")] == ["queued"]
