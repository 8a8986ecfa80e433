from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, Scene, receipt, said, sent, template
from tests.process import BESIDE_OTHERS
from wabot.core.exceptions import JournalDown
from wabot.core.jobs import OPEN, Event, Kind, Outcome, State
from wabot.core.messages import Person, Status
from wabot.core.outgoing import Origin, Outgoing
from wabot.journal import after_restore, batches, contents, sqlite
from wabot.journal.batch_results import RecipientResult
from wabot.journal.batches import NewBatch, Recipient


async def results(scene: Scene, batch_id: str = "b1") -> list[RecipientResult]:
    found = await scene.journal.results(batch_id)
    assert found is not None
    return found


async def test_a_batch_is_queued_in_one_commit_and_told_in_the_order_asked(scene: Scene) -> None:
    numbers = [f"4917112{n:05}" for n in reversed(range(200))]
    await scene.batch(*numbers)
    assert scene.journal.writer.commits == 1
    told = await results(scene)
    assert [result.number for result in told] == numbers
    assert {result.state for result in told} == {State.QUEUED}
    assert scene.notified == [Kind.SEND]


async def test_a_number_given_twice_is_sent_once_and_told_twice(scene: Scene) -> None:
    await scene.batch(ANA, BEN, ANA)
    first, _, second = await results(scene)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.job_id == second.job_id
    assert len(scene.jobs()) == 2
    for job in await scene.claim():
        await scene.settle(job, sent(f"wamid.{job.contact.wa_id}"))
    assert {result.state for result in await results(scene)} == {State.DONE}


async def test_what_cannot_be_a_number_fails_alone(scene: Scene) -> None:
    await scene.batch(None, ANA, None)
    told = await results(scene)
    assert [(result.number, result.error_code, result.duplicate) for result in told] == [
        ("12", "invalid_number", False),
        (ANA, None, False),
        ("12", "invalid_number", False),
    ]
    assert len(scene.jobs()) == 1


@pytest.mark.parametrize(("stop", "code"), [("all", "opted_out"), ("marketing", "opted_out"), ("unreachable",) * 2])
async def test_who_must_not_be_written_to_is_not_queued_for(scene: Scene, stop: str, code: str) -> None:
    await scene.hear(said("wamid.1", ANA))
    await scene.journal.writer(lambda db: db.execute("UPDATE contacts SET stopped = ?", (stop,)).rowcount)
    await scene.batch(ANA, BEN, ANA)
    told = await results(scene)
    assert [(result.error_code, result.job_id is None) for result in told] == [
        (code, True),
        (None, False),
        (code, True),
    ]


async def test_an_empty_batch_is_a_batch(scene: Scene) -> None:
    await scene.batch()
    assert await results(scene) == []
    assert await scene.journal.results("unknown") is None


async def test_the_same_key_and_request_is_the_same_batch_also_after_a_restart(scene: Scene) -> None:
    first = await scene.batch(ANA, batch_id="b1", key="k", fingerprint="f")
    await scene.restart()
    again = await scene.batch(ANA, batch_id="b2", key="k", fingerprint="f")
    assert (first.known, again.known, again.conflict) == (False, True, False)
    assert again.id == "b1"
    assert len(scene.jobs()) == 1


async def test_the_same_key_with_another_request_is_a_conflict_and_queues_nothing(scene: Scene) -> None:
    await scene.batch(ANA, batch_id="b1", key="k", fingerprint="f")
    other = await scene.batch(BEN, batch_id="b2", key="k", fingerprint="g")
    assert (other.known, other.conflict) == (True, True)
    assert len(scene.jobs()) == 1


async def test_the_same_key_at_the_same_moment_queues_once(scene: Scene) -> None:
    queued = await asyncio.gather(*(scene.batch(ANA, batch_id=f"b{n}", key="k") for n in range(20)))
    assert len({each.id for each in queued}) == 1
    assert [each.known for each in queued].count(False) == 1
    assert len(scene.jobs()) == 1


async def test_without_a_key_the_same_request_is_another_batch(scene: Scene) -> None:
    await scene.batch(ANA, batch_id="b1")
    assert not (await scene.batch(ANA, batch_id="b2")).known
    assert len(scene.jobs()) == 2


async def test_results_carry_metas_answer_and_metas_reason(scene: Scene) -> None:
    await scene.batch(ANA, BEN, EVA)
    ana, ben, _ = await scene.claim()
    await scene.settle(ana, sent("wamid.1"))
    await scene.settle(ben, Outcome(Event.GIVE_UP, error="declined", code=131047))
    first, second, third = await results(scene)
    assert (first.state, first.answer, first.error) == (State.DONE, {"messages": [{"id": "wamid.1"}]}, None)
    assert (second.state, second.error, second.error_code) == (State.FAILED, "declined", 131047)
    assert (third.state, third.error) == (State.RUNNING, None)


async def test_a_send_that_is_tried_again_shows_no_error_yet(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.settle(await scene.claim_one(), Outcome(Event.RETRY, due_at=NOW + 9, error="later", code=131000))
    (result,) = await results(scene)
    assert (result.state, result.error, result.error_code) == (State.QUEUED, None, None)


async def test_a_send_that_its_receipt_proved_has_an_answer_too(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.told(receipt("wamid.proof", Status.SENT, tag=job.tag))
    (result,) = await results(scene)
    assert (result.state, result.answer) == (State.DONE, {"messages": [{"id": "wamid.proof"}]})


async def test_what_meta_failed_later_is_told_as_failed(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.settle(await scene.claim_one(), sent("wamid.1"))
    await scene.told(receipt("wamid.1", Status.FAILED, code=131047))
    (result,) = await results(scene)
    assert (result.state, result.error, result.error_code) == (State.FAILED, "error 131047", 131047)


async def test_who_waits_for_a_batch_is_told_when_its_last_send_is_settled(scene: Scene) -> None:
    await scene.batch(ANA, BEN)
    waiting = asyncio.create_task(scene.journal.batch_settled("b1", 30))
    first, second = await scene.claim()
    await scene.settle(first, sent("wamid.1"))
    await scene.journal.ping()
    assert not waiting.done()
    await scene.settle(second, Outcome(Event.GIVE_UP))
    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize("how", ["receipt", "cancel", "opt-out", "expiry"])
async def test_whatever_settles_a_batch_is_told(scene: Scene, how: str) -> None:
    await scene.batch(ANA)
    waiting = asyncio.create_task(scene.journal.batch_settled("b1", 30))
    await scene.journal.ping()
    if how == "receipt":
        job = await scene.claim_one()
        await scene.told(receipt("wamid.1", Status.SENT, tag=job.tag))
    elif how == "cancel":
        await scene.journal.cancel(1, NOW)
    elif how == "opt-out":
        await scene.journal.set_stop(ANA, NOW, stop=True)
    else:
        await scene.journal.writer(lambda db: db.execute("UPDATE jobs SET expires_at = 1").rowcount)
        await scene.journal.tend(NOW)
    await asyncio.wait_for(waiting, 5)


async def test_one_who_gives_up_waiting_does_not_take_the_others_news_away(scene: Scene) -> None:
    await scene.batch(ANA)
    patient = asyncio.create_task(scene.journal.batch_settled("b1", 30))
    await asyncio.wait_for(scene.journal.batch_settled("b1", 0.01), 5)
    assert not patient.done()
    await scene.settle(await scene.claim_one(), sent("wamid.1"))
    await asyncio.wait_for(patient, 5)


async def test_nobody_waits_for_a_batch_that_is_settled_or_unknown(scene: Scene) -> None:
    await scene.batch(None)
    await asyncio.wait_for(scene.journal.batch_settled("b1", 30), 5)
    await asyncio.wait_for(scene.journal.batch_settled("unknown", 30), 5)


LONG = "x" * 5000


def long(text: str = LONG) -> Outgoing:
    components = [{"type": "body", "parameters": [{"type": "text", "text": text}]}]
    content = {"type": "template", "template": {"name": "t", "language": {"code": "en_US"}, "components": components}}
    return Outgoing(content, f"[template t] {text}", Origin.BULK)


def numbers(count: int) -> list[str]:
    return [f"4917112{n:05}" for n in range(count)]


def large(*recipients: Recipient, key: str | None = None, batch_id: str = "b1") -> NewBatch:
    return NewBatch(batch_id, key, "f", recipients)


@pytest.fixture
def three_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of more than three recipients are large."""
    monkeypatch.setattr(batches, "SLICE", 3)
    monkeypatch.setattr(batches, "WRITTEN_AT_ONCE", 1)


async def test_content_that_is_equal_is_stored_once_and_every_reader_has_it_whole(scene: Scene) -> None:
    await scene.journal.queue_batch(large(*(Recipient(n, n, long()) for n in numbers(50))), NOW)
    assert scene.row("SELECT count(*) AS n, max(length(raw)) > 5000 AS whole FROM contents") == {"n": 1, "whole": 1}
    assert scene.row("SELECT max(length(raw) + length(body)) < 2000 AS small FROM messages") == {"small": 1}
    (job, *_) = await scene.claim()
    assert job.outgoing is not None
    assert job.outgoing.content == long().content
    one = await scene.journal.outbox_one(job.id)
    assert one is not None
    assert one["content"] == long().content
    await scene.settle(job, sent("wamid.1"))
    _, (document,) = await scene.journal.of_contact(numbers(1)[0], 0, ())
    assert json.loads(document["raw"]) == long().content
    assert [doc["raw"] for _, _, doc in await scene.journal.ahead_of_archive(0, 2)] == [long().content] * 2


async def test_what_is_short_stands_in_the_message_itself(scene: Scene) -> None:
    await scene.batch(ANA, BEN)
    assert scene.rows("SELECT * FROM contents") == []
    assert {row["raw"] for row in scene.rows("SELECT raw FROM messages")} == {json.dumps(template("t").content)}


async def test_a_content_goes_with_the_last_message_that_has_it(scene: Scene) -> None:
    await scene.journal.queue_batch(large(*(Recipient(n, n, long()) for n in (ANA, BEN))), NOW)
    await scene.journal.writer(lambda db: db.execute("DELETE FROM messages WHERE job_id = 1").rowcount)
    await scene.journal.writer(contents.drop_unused, [1])
    assert scene.row("SELECT count(*) AS n FROM contents") == {"n": 1}
    await scene.journal.writer(lambda db: db.execute("DELETE FROM messages").rowcount)
    await scene.journal.writer(contents.drop_unused, [1])
    assert scene.row("SELECT count(*) AS n FROM contents") == {"n": 0}


@pytest.mark.usefixtures("three_at_once")
async def test_others_come_between_the_slices_of_a_large_batch(scene: Scene) -> None:
    large_one = asyncio.create_task(scene.batch(*numbers(30)))
    await asyncio.sleep(0)
    await scene.hear(said("wamid.1"))
    assert not large_one.done()
    await large_one
    assert [result.state for result in await results(scene)] == [State.QUEUED] * 30
    assert [result.number for result in await results(scene)] == numbers(30)


@pytest.mark.usefixtures("three_at_once")
async def test_a_large_batch_tells_of_each_recipient_what_a_small_one_tells(scene: Scene) -> None:
    await scene.journal.set_stop(EVA, NOW, stop=True)
    asked = [ANA, None, BEN, EVA, ANA, None, EVA, *numbers(4), ANA]
    await scene.batch(*asked)
    told = await results(scene)
    assert [result.number for result in told] == [number or "12" for number in asked]
    assert [result.duplicate for result in told] == [False] * 4 + [True, False, True] + [False] * 4 + [True]
    assert told[0].job_id == told[4].job_id == told[-1].job_id
    assert [result.error_code for result in told] == [
        None, "invalid_number", None, "opted_out", None, "invalid_number", "opted_out", *[None] * 5,
    ]  # fmt: skip
    assert len(scene.jobs()) == 6


@pytest.mark.usefixtures("three_at_once")
async def test_a_large_batch_of_a_known_key_queues_nothing(scene: Scene) -> None:
    await scene.batch(*numbers(10), key="k")
    again = await scene.batch(*numbers(10), batch_id="b2", key="k")
    other = await scene.batch(*numbers(9), batch_id="b3", key="k", fingerprint="g")
    assert (again.id, again.known, again.conflict, other.conflict) == ("b1", True, False, True)
    together = await asyncio.gather(*(scene.batch(*numbers(7), batch_id=f"c{n}", key="l") for n in range(5)))
    assert [each.known for each in together].count(False) == 1
    assert len({each.id for each in together}) == 1
    assert len(scene.jobs()) == 17
    await scene.journal.tend(NOW)  # forgets the drafts of those that were slower
    assert scene.row("SELECT count(*) AS n FROM batches") == {"n": 2}
    assert scene.row("SELECT count(*) AS n FROM recipients") == {"n": 17}


class Killed(BaseException):
    """The process ends here: nothing that would follow happens."""


async def killed_at(scene: Scene, step: int) -> None:
    """Queue a large batch, and end at the commit with this number."""
    commits = 0
    writer = scene.journal._slices._writer

    async def write(*args: Any, **more: Any) -> Any:
        nonlocal commits
        commits += 1
        if commits == step:
            raise Killed
        return await writer(*args, **more)

    scene.journal._slices._writer = write  # type: ignore[assignment]
    with suppress(Killed):
        await scene.journal.queue_batch(large(*(Recipient(n, n, long(n)) for n in numbers(10)), key="k"), NOW)


@pytest.mark.usefixtures("three_at_once")
@pytest.mark.parametrize("step", range(1, 12))
async def test_a_large_batch_that_a_kill_cut_off_is_queued_whole_or_not_at_all(scene: Scene, step: int) -> None:
    """Commits: the draft, four slices written down, the beginning, four slices queued."""
    await killed_at(scene, step)
    await scene.restart()
    begun = step > 6
    if not begun:
        await scene.journal.tend(NOW)
    assert (await scene.journal.results("b1") is not None) == begun
    if not begun:
        assert scene.jobs() == []
        for table in ("batches", "recipients", "contents"):
            assert scene.rows(f"SELECT * FROM {table}") == []
    again = await scene.journal.queue_batch(
        large(*(Recipient(n, n, long(n)) for n in numbers(10)), key="k", batch_id="b2"), NOW
    )
    assert (again.id, again.known) == (("b1", True) if begun else ("b2", False))
    await scene.journal.tend(NOW)
    assert [result.state for result in await results(scene, again.id)] == [State.QUEUED] * 10
    assert len(scene.jobs()) == 10
    assert len({job.outgoing.body for job in await scene.claim(limit=20) if job.outgoing}) == 10


@pytest.mark.usefixtures("three_at_once")
async def test_a_batch_that_is_being_queued_is_open(scene: Scene) -> None:
    await killed_at(scene, 8)
    waiting = asyncio.create_task(scene.journal.batch_settled("b1", 30))
    for job in await scene.claim():
        await scene.settle(job, sent(f"wamid.{job.id}"))
    states = [result.state for result in await results(scene)]
    assert states == [State.DONE] * 3 + [State.QUEUED] * 7
    assert not waiting.done()
    assert await scene.journal.results("b1") is not None
    waiting.cancel()


@pytest.mark.usefixtures("three_at_once")
async def test_in_a_copy_what_of_a_batch_was_not_queued_yet_is_not_sent(scene: Scene) -> None:
    await killed_at(scene, 8)
    await scene.journal.writer(after_restore.mark)
    await scene.restart()
    await scene.journal.tend(NOW)
    assert await scene.claim(limit=20) == []
    assert [result.error_code for result in await results(scene)][3:] == ["restored"] * 7


def refuse_once(monkeypatch: pytest.MonkeyPatch, scene: Scene, step: int) -> None:
    """The disk has no room for the commit of a slice with this number."""
    writer, commits = scene.journal._slices._writer, 0

    async def write(*args: Any, **more: Any) -> Any:
        nonlocal commits
        commits += 1
        if commits == step:
            raise JournalDown("the disk is full")
        return await writer(*args, **more)

    monkeypatch.setattr(scene.journal._slices, "_writer", write)


@pytest.mark.usefixtures("three_at_once")
async def test_a_draft_that_the_disk_refused_is_forgotten_and_a_batch_that_had_begun_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step, begun in ((3, False), (8, True)):
        refuse_once(monkeypatch, scene, step)
        batch = large(*(Recipient(n, n, long(n)) for n in numbers(10)), batch_id=f"b{step}")
        if begun:
            await scene.journal.queue_batch(batch, NOW)
            assert [result.state for result in await results(scene, batch.id)] == [State.QUEUED] * 10
        else:
            with pytest.raises(JournalDown):
                await scene.journal.queue_batch(batch, NOW)
            assert await scene.journal.results(batch.id) is None
        await scene.journal.tend(NOW)
        assert len(scene.jobs()) == (10 if begun else 0)
        assert scene.row("SELECT count(*) AS n FROM batches") == {"n": int(begun)}
        assert scene.rows("SELECT * FROM contents") == []


async def test_a_slice_ends_where_it_would_become_long() -> None:
    def batch(*sizes: int) -> NewBatch:
        return large(*(Recipient(n, n, long(), size) for n, size in zip(numbers(len(sizes)), sizes, strict=True)))

    assert batches.parts(batch(1, 1, 1)) == [range(3)]
    assert batches.parts(batch(3 << 20, 1, 3 << 20)) == [range(1), range(1, 2), range(2, 3)]
    assert batches.parts(batch(*[1 << 19] * 5)) == [range(2), range(2, 4), range(4, 5)]
    assert batches.parts(batch(*[1] * 1101)) == [range(500), range(500, 1000), range(1000, 1101)]
    assert batches.is_light(batch(*[6000] * 10))
    assert not batches.is_light(batch(*[7000] * 10))
    assert not batches.is_light(batch(*[1] * 11))


@pytest.mark.usefixtures("three_at_once")
async def test_of_many_large_batches_one_slice_is_written_at_a_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "FEW", 1)
    writer, busy, most = scene.journal._slices._writer, 0, 0

    async def write(*args: Any, **more: Any) -> Any:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        try:
            return await writer(*args, **more)
        finally:
            busy -= 1

    scene.journal._slices._writer = write  # type: ignore[assignment]
    await asyncio.gather(*(scene.batch(*numbers(2 + n), batch_id=f"b{n}") for n in range(8)))
    assert most == 1
    assert len(scene.jobs()) == sum(range(2, 10))


async def test_what_a_number_that_stands_there_twice_was_to_get_is_not_kept(scene: Scene) -> None:
    await scene.journal.queue_batch(
        large(Recipient(ANA, ANA, long("a" * 5000)), Recipient(ANA, ANA, long("b" * 5000))), NOW
    )
    assert scene.row("SELECT count(*) AS n FROM contents") == {"n": 1}


@pytest.mark.usefixtures("three_at_once")
async def test_the_timers_leave_a_batch_to_the_request_that_is_at_work_on_it(scene: Scene) -> None:
    at_work = asyncio.create_task(scene.batch(*numbers(30)))
    while not at_work.done():
        await scene.journal.tend(NOW)
    assert [result.state for result in await results(scene)] == [State.QUEUED] * 30
    assert len(scene.jobs()) == 30


@pytest.mark.usefixtures("three_at_once")
async def test_an_answer_overtakes_a_batch_that_is_being_queued(scene: Scene) -> None:
    await killed_at(scene, 8)
    await scene.hear(said("wamid.1", body="stop"))  # confirmed at once
    await scene.journal.tend(NOW)
    first, *others = await scene.claim(limit=20)
    assert first.outgoing is not None
    assert first.outgoing.origin is Origin.CONFIRMATION
    assert len(others) == 10


async def test_nobody_waits_long_for_the_writer_behind_a_large_batch(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 000 recipients who all get something else, as much as a request may hold.

    Who comes while a commit runs waits for that one and for their own. It is the CPU's time of the writer's thread
    that counts: what else this machine does is not the batch's fault.
    """
    commit, spent = sqlite._commit, list[float]()

    def timed(*args: Any) -> Any:
        began = time.thread_time()
        done = commit(*args)
        spent.append(time.thread_time() - began)
        return done

    monkeypatch.setattr(sqlite, "_commit", timed)

    async def longest_wait(batch_id: str) -> float:
        spent.clear()
        everybody = [Recipient(n, n, long(f"{batch_id}{n}{'x' * 1500}"), 1600) for n in numbers(10_000)]
        await scene.journal.queue_batch(large(*everybody, batch_id=batch_id), NOW)
        assert len(spent) > 20
        return 2 * max(spent)

    assert min([await longest_wait(f"b{n}") for n in range(3)]) < 0.1 * BESIDE_OTHERS


@pytest.mark.usefixtures("three_at_once")
async def test_who_gets_another_name_between_two_slices_gets_theirs_all_the_same(scene: Scene) -> None:
    both = Person(wa_id=ANA, bsuid="IN.1234567890abc")
    await scene.hear(said("wamid.1", Person(bsuid=both.bsuid)))
    queueing = asyncio.create_task(scene.batch(BEN, EVA, *numbers(5), ANA))
    await asyncio.sleep(0)
    await scene.hear(said("wamid.2", both))
    await queueing
    assert [result.state for result in await results(scene)] == [State.QUEUED] * 8
    assert scene.row("SELECT count(DISTINCT contact_id) AS n FROM jobs WHERE kind = 'send'") == {"n": 8}
    assert scene.row("SELECT count(*) AS n FROM contacts WHERE bsuid = 'IN.1234567890abc'") == {"n": 1}


async def settled_in_every_way(scene: Scene) -> None:
    """A batch whose recipients met everything that a recipient can meet."""
    await scene.journal.set_stop(BEN, scene.now, stop=True)
    await scene.batch(ANA, None, BEN, ANA, *(f"4917112{n:05}" for n in range(9)))
    jobs = await scene.claim(limit=8)
    ends = (
        sent("w1"), sent("w2"), Outcome(Event.GIVE_UP, error="declined", code=131047), Outcome(Event.PARK),
        Outcome(Event.HOLD, due_at=NOW + 9e4), Outcome(Event.LOSE_TRACK, due_at=NOW + 90), Outcome(Event.EXPIRE),
    )  # fmt: skip
    for job, outcome in zip(jobs, ends, strict=False):
        await scene.settle(job, outcome)
    await scene.told(receipt("w2", Status.FAILED, code=131026))


async def test_the_counts_of_a_batch_are_those_of_its_results(scene: Scene) -> None:
    await settled_in_every_way(scene)
    results = await scene.journal.results("b1")
    assert results is not None
    statuses = [result.status for result in results]
    assert await scene.journal.batch_counts("b1") == (13, *(statuses.count(s) for s in ("sent", "failed", "queued")))
    assert {result.state for result in results if result.status == "queued"} <= OPEN
    assert (statuses.count("sent"), statuses.count("failed"), statuses.count("queued")) == (2, 6, 5)


async def test_batches_are_listed_newest_first_in_pages_and_drafts_are_none(scene: Scene) -> None:
    for name in ("c", "a", "b"):
        await scene.batch(ANA, batch_id=name)
        scene.now += name == "a"  # c and a at one moment
    draft = NewBatch("draft", None, "f", [])
    await scene.journal.writer(batches.draft, draft, scene.now)

    async def listed(limit: int, cursor: str | None = None) -> list[str] | None:
        found = await scene.journal.batches(limit, cursor)
        return None if found is None else [head.id for head in found]

    assert await listed(10) == ["b", "c", "a"]
    assert (await listed(2), await listed(2, "c"), await listed(2, "a")) == (["b", "c"], ["a"], [])
    assert (await listed(2, "nothing"), await listed(2, "draft")) == (None, None)
    assert not await scene.journal.cancel_batch("draft", scene.now)


async def test_all_of_a_batch_that_has_not_left_is_cancelled(scene: Scene) -> None:
    await settled_in_every_way(scene)
    await scene.batch(ANA, batch_id="other")
    before = dict(scene.jobs())
    assert await scene.journal.cancel_batch("b1", scene.now)
    after = dict(scene.jobs())
    for job_id, state in before.items():
        gone = state in ("waiting", "queued", "held", "parked") and job_id != max(before)
        assert after[job_id] == ("cancelled" if gone else state)
    results = await scene.journal.results("b1")
    assert results is not None
    cancelled = [result for result in results if result.error_code == "cancelled"]
    assert {result.state for result in cancelled} == {State.CANCELLED}
    head = await scene.journal.batch_head("b1")
    assert head is not None
    assert head.cancelled_at == scene.now
    assert (await scene.journal.batch_counts("b1")).queued == 2, "what runs, and what is in doubt"


async def test_what_was_on_its_way_when_its_batch_was_cancelled_is_not_tried_again(scene: Scene) -> None:
    await scene.batch(ANA, BEN, EVA)
    returns, doubtful, bounces = await scene.claim()
    await scene.settle(doubtful, Outcome(Event.LOSE_TRACK, due_at=NOW + 90))
    await scene.settle(bounces, sent("w1"))
    await scene.journal.cancel_batch("b1", scene.now)
    await scene.settle(returns, Outcome(Event.RETRY, due_at=NOW + 1, error="busy"))
    await scene.told(receipt("w1", Status.FAILED, code=131000))
    scene.now += DAY
    for _ in range(3):
        await scene.journal.tend(scene.now)
    assert [state for _, state in scene.jobs()] == ["expired"] * 3


async def test_a_batch_is_cancelled_once_and_a_settled_one_stays_settled(scene: Scene) -> None:
    await scene.send_to(ANA, "w1")
    assert await scene.journal.cancel_batch("to-w1", scene.now)
    head = await scene.journal.batch_head("to-w1")
    assert head is not None
    assert head.cancelled_at is None
    await scene.batch(BEN)
    await scene.journal.cancel_batch("b1", scene.now)
    jobs = scene.jobs()
    await scene.journal.cancel_batch("b1", scene.now + 9)
    assert scene.jobs() == jobs
    assert scene.row("SELECT cancelled_at FROM batches WHERE id = 'b1'") == {"cancelled_at": scene.now}
    assert not await scene.journal.cancel_batch("nothing", scene.now)


@pytest.mark.parametrize("queued_before", [0, 1, 3])
async def test_what_of_a_batch_was_not_queued_yet_is_cancelled_too_also_after_a_restart(
    scene: Scene, queued_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SLICE", 3)
    monkeypatch.setattr(batches, "WRITTEN_AT_ONCE", 1)
    monkeypatch.setattr(batches, "CANCELLED_AT_ONCE", 2)
    numbers = [f"4917112{n:05}" for n in range(7)]
    batch = NewBatch("b1", None, "f", [Recipient(n, n, template()) for n in (*numbers, numbers[0])])
    await scene.journal.writer(batches.draft, batch, scene.now)
    for part in batches.parts(batch):
        await scene.journal.writer(batches.write_down, batch, batches.first_positions(batch), part)
    await scene.journal.writer(batches.begin, batch)
    for _ in range(queued_before):
        await scene.journal.writer(batches.queue_next, "b1", scene.now)
    await scene.journal.writer(batches.cancel, "b1", scene.now)  # and then the process ends
    await scene.restart()
    await scene.journal.tend(scene.now)
    results = await scene.journal.results("b1")
    assert results is not None
    assert [(r.status, r.error_code) for r in results] == [("failed", "cancelled")] * 8
    assert await scene.claim() == []
    assert scene.rows("SELECT * FROM batches WHERE next_position IS NOT NULL") == []


async def test_who_waits_for_a_batch_is_woken_by_its_cancelling(scene: Scene) -> None:
    await scene.batch(ANA)
    waiting = asyncio.create_task(scene.journal.batch_settled("b1", 10))
    await asyncio.sleep(0)
    await scene.journal.cancel_batch("b1", scene.now)
    async with asyncio.timeout(5):
        await waiting
