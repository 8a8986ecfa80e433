from __future__ import annotations

import contextlib
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, Scene, receipt, said, sent
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.core.messages import Notice, Status, Webhook
from wabot.core.outgoing import Origin, Outgoing
from wabot.journal import archiving, notices, opening
from wabot.journal.backup import BackupFailed, copy
from wabot.journal.batches import NewBatch, Recipient
from wabot.journal.gauges import Depth

MONTH = 30 * DAY


async def prune(scene: Scene, *, retention: float = MONTH, embedded: bool = False) -> int:
    """Forget all that may be forgotten, of an archive that has what the journal believes; how many rows that were."""
    gone, ages = 0, {"before": scene.now - retention, "now": scene.now}
    while step := await scene.journal.prune(**ages):
        gone += step
    after: int | None = None if embedded else 0
    while after is not None:
        held, after = await scene.journal.outdated(after, **ages, limit=200)
        gone += await scene.journal.forget_messages(held)
    return gone + (0 if embedded else await scene.journal.forget_adopted(**ages, limit=200))


async def archive_everything(scene: Scene) -> None:
    rows = await scene.journal.ahead_of_archive(-(1 << 62), 100_000)
    await scene.journal.mark_archived((row[0], row[1]) for row in rows)


def count(scene: Scene, table: str) -> int:
    return int(scene.row(f"SELECT count(*) AS n FROM {table}")["n"])


async def talked(scene: Scene, number: str = ANA) -> None:
    """A message, our reply, and a bulk send, all settled."""
    await scene.hear(said(f"wamid.in.{number}", number, at=scene.now))
    scene.now += 2
    await scene.settle(await scene.claim_one(Kind.REPLY), Outcome(Event.SUCCEED))
    await scene.send_to(number, f"wamid.out.{number}")


async def test_a_large_batch_is_forgotten_in_steps_the_last_results_first(scene: Scene) -> None:
    await scene.batch(*(f"4917112{n:05}" for n in range(1500)))
    for job in await scene.claim(limit=1500):
        await scene.settle(job, Outcome(Event.GIVE_UP, code=131026))
    scene.now += 2 * MONTH
    ages = {"before": scene.now - MONTH, "now": scene.now}
    assert await scene.journal.prune(**ages) == 1000
    results = await scene.journal.results("b1")
    assert results is not None
    assert [result.number for result in results] == [f"4917112{n:05}" for n in range(500)]
    assert await scene.journal.prune(**ages) == 501 + 100  # the first jobs go with the batch
    assert await scene.journal.results("b1") is None


async def test_what_is_old_and_archived_is_forgotten(scene: Scene) -> None:
    await talked(scene)
    await archive_everything(scene)
    scene.now += MONTH + 1
    await talked(scene, BEN)
    assert await prune(scene) == 1 + 1 + 2 + 2
    assert [row["wamid"] for row in scene.rows("SELECT wamid FROM messages")] == [f"wamid.in.{BEN}", f"wamid.out.{BEN}"]
    assert (count(scene, "jobs"), count(scene, "batches"), count(scene, "recipients")) == (2, 1, 1)
    assert count(scene, "contacts") == 2, "a stop must outlive the talk"


async def test_what_the_archive_does_not_have_is_kept(scene: Scene) -> None:
    await talked(scene)
    scene.now += 2 * MONTH
    await prune(scene)
    assert count(scene, "messages") == 2
    await archive_everything(scene)
    await prune(scene)
    assert count(scene, "messages") == 0


async def test_a_long_content_goes_with_the_last_message_that_has_it(scene: Scene) -> None:
    content = {"type": "template", "template": {"name": "t", "components": [{"type": "body", "text": "x" * 5000}]}}
    long = Outgoing(content, "[template t]", Origin.BULK)
    batch = NewBatch("b1", None, "", [Recipient(number, number, long) for number in (ANA, EVA)])
    await scene.journal.queue_batch(batch, scene.now)
    first, second = await scene.claim()
    await scene.settle(first, sent("wamid.1"))
    await archive_everything(scene)
    scene.now += 2 * MONTH
    await prune(scene)
    assert (count(scene, "messages"), count(scene, "contents")) == (2, 1), "its batch is open"

    await scene.settle(second, sent("wamid.2"))
    await archive_everything(scene)
    scene.now += 2 * MONTH
    await prune(scene)
    assert (count(scene, "messages"), count(scene, "contents"), count(scene, "batches")) == (0, 0, 0)


async def test_what_changed_since_it_was_archived_is_kept(scene: Scene) -> None:
    await talked(scene)
    await archive_everything(scene)
    await scene.told(receipt(f"wamid.out.{ANA}", Status.READ))
    scene.now += 2 * MONTH
    await prune(scene)
    assert [row["wamid"] for row in scene.rows("SELECT wamid FROM messages")] == [f"wamid.out.{ANA}"]


async def test_an_embedded_journal_is_the_archive_and_keeps_what_was_said(scene: Scene) -> None:
    await talked(scene)
    scene.now += 2 * MONTH
    await prune(scene, embedded=True)
    assert (count(scene, "messages"), count(scene, "jobs")) == (2, 0)
    _, documents = await scene.journal.of_contact(ANA, 0, ())
    assert {doc["outbox_id"] for doc in documents} == {None, f"{scene.journal.name}-2"}


async def test_open_jobs_and_what_they_carry_are_kept(scene: Scene) -> None:
    await scene.batch(ANA)
    await archive_everything(scene)
    scene.now += 2 * MONTH
    await prune(scene)
    assert (count(scene, "jobs"), count(scene, "messages"), count(scene, "batches")) == (1, 1, 1)


@pytest.mark.parametrize("retention", [0.0, DAY])
async def test_idempotency_keys_and_wamids_live_as_long_as_meta_and_clients_repeat_themselves(
    scene: Scene, retention: float
) -> None:
    await scene.batch(ANA, key="k")
    await scene.settle(await scene.claim_one(), sent("wamid.out"))
    await scene.hear(said("wamid.in", BEN))
    await archive_everything(scene)
    scene.now += 6.9 * DAY
    await prune(scene, retention=retention)
    assert (await scene.batch(ANA, batch_id="b2", key="k")).known
    assert (await scene.hear(said("wamid.in", BEN))).stored == 0
    results = await scene.journal.results("b1")
    assert results is not None
    assert [result.state for result in results] == [State.DONE]
    scene.now += 0.2 * DAY
    await archive_everything(scene)
    await prune(scene, retention=retention)
    assert not (await scene.batch(ANA, batch_id="b3", key="k")).known


async def test_receipts_that_nobody_claimed_are_kept_for_a_week(scene: Scene) -> None:
    await scene.told(receipt("wamid.?", Status.SENT))
    scene.now += 6.9 * DAY
    await prune(scene)
    assert count(scene, "receipts") == 1
    scene.now += 0.2 * DAY
    await prune(scene)
    assert count(scene, "receipts") == 0


async def test_the_latest_notices_are_kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "KEPT", 3)
    said = tuple(Notice("field", "reason", str(n)) for n in range(10))
    await scene.journal.accept(Webhook(notices=said), NOW)
    await prune(scene)
    assert [row["raw"] for row in scene.rows("SELECT raw FROM notices ORDER BY id")] == ["7", "8", "9"]


async def test_pruning_goes_in_steps(scene: Scene) -> None:
    await scene.hear(*(said(f"wamid.{n}", answerable=False) for n in range(500)))
    await archive_everything(scene)
    scene.now += 2 * MONTH
    first, after = await scene.journal.outdated(0, before=scene.now - MONTH, now=scene.now, limit=200)
    assert (len(first), after) == (200, 200)
    assert [held.key for held in first[:2]] == ["wamid.0", "wamid.1"]
    assert await prune(scene) == 500


async def test_messages_that_the_archive_refuses_do_not_keep_all_the_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "SCANNED", 100)
    await scene.hear(*(said(f"wamid.{n}", answerable=False) for n in range(700)))
    rows = await scene.journal.ahead_of_archive(0, 1000)
    await scene.journal.mark_archived((row[0], row[1]) for row in rows[300:])
    scene.now += 2 * MONTH
    assert await prune(scene) == 400


async def test_what_is_young_ends_the_search_for_what_is_old(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "SCANNED", 100)
    scene.now += 2 * MONTH
    await scene.hear(*(said(f"wamid.{n}", at=scene.now, answerable=False) for n in range(150)))
    assert await scene.journal.outdated(0, before=scene.now - MONTH, now=scene.now, limit=200) == ([], None)


async def test_what_is_young_among_what_is_old_is_kept(scene: Scene) -> None:
    await scene.hear(said("wamid.old", ANA, at=scene.now))
    scene.now += MONTH + 1
    await scene.hear(said("wamid.young", BEN, at=scene.now))
    await archive_everything(scene)
    await prune(scene)
    assert [row["wamid"] for row in scene.rows("SELECT wamid FROM messages")] == ["wamid.young"]


async def test_the_key_by_which_the_archive_is_asked_is_the_one_that_it_was_given(scene: Scene) -> None:
    await talked(scene)
    documents = {row[0]: row[2]["_id"] for row in await scene.journal.ahead_of_archive(0, 10)}
    await archive_everything(scene)
    scene.now += 2 * MONTH
    await scene.journal.prune(before=scene.now - MONTH, now=scene.now)
    held, _ = await scene.journal.outdated(0, before=scene.now - MONTH, now=scene.now, limit=200)
    assert {one.id: one.key for one in held} == documents
    assert {one.key for one in await scene.journal.witnesses(50)} == set(documents.values())


async def test_what_changed_after_the_archive_was_asked_is_kept(scene: Scene) -> None:
    await talked(scene)
    await archive_everything(scene)
    scene.now += 2 * MONTH
    await scene.journal.prune(before=scene.now - MONTH, now=scene.now)
    held, _ = await scene.journal.outdated(0, before=scene.now - MONTH, now=scene.now, limit=200)
    await scene.told(receipt(f"wamid.out.{ANA}", Status.READ))
    await scene.journal.mark_archived([(held[1].id, held[1].version + 1)])
    assert await scene.journal.forget_messages(held) == 1
    assert [row["wamid"] for row in scene.rows("SELECT wamid FROM messages")] == [f"wamid.out.{ANA}"]


async def test_a_contact_whose_talk_was_forgotten_is_looked_up_in_the_archive_again(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    job = await scene.claim_one(Kind.REPLY)
    await scene.journal.adopt(job, [], scene.now)
    await scene.settle(job, Outcome(Event.SUCCEED))
    await archive_everything(scene)
    scene.now += 2 * MONTH
    await prune(scene)
    await scene.hear(said("wamid.2", at=scene.now))
    scene.now += 2
    talk = await scene.journal.talk(await scene.claim_one(Kind.REPLY), 20)
    assert (talk.earlier, talk.searched) == (False, False)


async def test_an_outbox_id_that_was_pruned_never_comes_back(scene: Scene) -> None:
    await scene.send_to(ANA, "wamid.1")
    await archive_everything(scene)
    scene.now += 2 * MONTH
    await prune(scene)
    await scene.restart()
    await scene.batch(ANA)
    assert (await scene.claim_one()).id == 2


async def test_depths_count_what_is_open(scene: Scene) -> None:
    await scene.hear(said("wamid.1", BEN))
    scene.now += 10
    await scene.batch(ANA)
    await scene.batch(ANA, batch_id="b2")
    depths = {(depth.kind, depth.state): depth for depth in await scene.journal.depths()}
    assert depths["send", "queued"] == Depth("send", "queued", 1, NOW + 10)
    assert depths["send", "waiting"].count == 1
    assert depths["reply", "queued"] == Depth("reply", "queued", 1, NOW)
    assert (depths["send", "in_doubt"].count, depths["send", "in_doubt"].oldest) == (0, None)
    jobs = await scene.claim()
    await scene.settle(jobs[0], Outcome(Event.LOSE_TRACK, due_at=scene.now + 90))
    assert {(d.kind, d.state): d.count for d in await scene.journal.depths()}["send", "in_doubt"] == 1


async def test_a_copy_of_a_running_journal_is_whole_and_private(scene: Scene, tmp_path: Path) -> None:
    await scene.hear(said("wamid.1"))
    target = copy(scene.data_dir, tmp_path / "copy.db")
    await scene.hear(said("wamid.2"))
    assert target.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(target)) as db:
        assert db.execute("SELECT wamid FROM messages").fetchall() == [("wamid.1",)]
        assert db.execute("PRAGMA user_version").fetchone() == (opening.VERSION,)


async def test_a_copy_is_private_while_it_is_being_written_too(scene: Scene, tmp_path: Path) -> None:
    await scene.hear(*(said(f"wamid.{n}", body="x" * 50_000) for n in range(200)))
    unfinished, modes, over = tmp_path / "copy.db.unfinished", set(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            with contextlib.suppress(FileNotFoundError):
                modes.add(unfinished.stat().st_mode & 0o777)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        copy(scene.data_dir, tmp_path / "copy.db")
    finally:
        over.set()
        watcher.join()
    assert modes == {0o600}


async def test_a_copy_opens_as_the_same_journal(scene: Scene, tmp_path: Path) -> None:
    await scene.hear(said("wamid.1"))
    (tmp_path / "restored").mkdir()
    copy(scene.data_dir, tmp_path / "restored" / "wabot.db")
    name, data_dir = scene.journal.name, scene.data_dir
    await scene.journal.close()
    scene.data_dir = tmp_path / "restored"
    await scene.open()
    assert scene.journal.name == name
    assert (await scene.hear(said("wamid.1"))).stored == 0
    await scene.journal.close()
    scene.data_dir = data_dir
    await scene.open()


async def test_a_copy_never_replaces_a_file(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(BackupFailed, match="exists already"):
        copy(scene.data_dir, tmp_path / "copy.db")
    with pytest.raises(BackupFailed, match="no journal"):
        copy(tmp_path / "nowhere", tmp_path / "other.db")
    with pytest.raises(BackupFailed, match=f"there is no folder {tmp_path}/none: make it first"):
        copy(scene.data_dir, tmp_path / "none" / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"
