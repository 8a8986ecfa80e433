"""What a person decides for many sends at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, POLICY, Scene, receipt, sent
from wabot.core.jobs import Event, Job, Kind, Outcome, State
from wabot.core.messages import Person, Status
from wabot.journal import backup, bulk_retry
from wabot.journal.bulk_retry import Retry

REFUSED = Outcome(Event.GIVE_UP, error="declined", code=131047)
SURE, ANYWAY = Retry(), Retry(may_repeat=True)


async def left_with(scene: Scene, outcome: Outcome, number: str = ANA) -> Job:
    """A send whose only request came to this."""
    await scene.batch(number, batch_id=f"to-{number}")
    job = await scene.claim_one()
    await scene.settle(job, outcome)
    return job


def lost(scene: Scene) -> Outcome:
    return Outcome(Event.LOSE_TRACK, due_at=scene.now + POLICY.hold_seconds, error="cut")


async def doubted_then(scene: Scene, outcome: Outcome) -> Job:
    """A send of which nobody knows whether Meta accepted its first request, and whose second came to this."""
    await scene.doubtful()
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    job = await scene.claim_one()
    await scene.settle(job, outcome)
    return job


async def test_what_failed_and_what_is_held_is_tried_again_with_all_its_tries(scene: Scene) -> None:
    failed = await left_with(scene, REFUSED)
    held = await left_with(scene, Outcome(Event.HOLD, due_at=NOW + DAY, error="paused"), BEN)
    scene.notified.clear()
    assert await scene.journal.retry_all(SURE, scene.now) == (2, 0)
    for job in (failed, held):
        row = scene.job(job.id)
        assert (row["state"], row["spent"], row["error"], row["error_code"]) == ("queued", 0, None, None)
        assert scene.carried(job.id)["status"] == "queued"
    assert Kind.SEND in scene.notified
    assert await scene.journal.retry_all(SURE, scene.now) == (0, 0), "twice is once"


async def test_a_message_that_meta_accepted_and_then_failed_can_not_arrive_twice(scene: Scene) -> None:
    job = await scene.send_to(ANA, "w1")
    await scene.told(receipt("w1", Status.FAILED, code=131026))
    assert scene.state(job) is State.FAILED
    assert await scene.journal.retry_counts(SURE) == (1, 0)
    assert await scene.journal.retry_all(SURE, scene.now) == (1, 0)


async def test_what_is_in_doubt_is_left_unless_it_may_arrive_twice(scene: Scene) -> None:
    job = await scene.doubtful()
    assert await scene.journal.retry_all(SURE, scene.now) == (0, 1)
    assert scene.state(job.id) is State.IN_DOUBT
    assert await scene.journal.retry_all(ANYWAY, scene.now) == (1, 0)
    assert scene.state(job.id) is State.QUEUED


async def test_what_is_parked_is_left_unless_it_may_arrive_twice(scene: Scene) -> None:
    scene.policy = replace(POLICY, resend_in_doubt=False)
    await scene.restart()
    job = await scene.doubtful()
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    assert scene.state(job.id) is State.PARKED
    assert await scene.journal.retry_counts(ANYWAY) == (0, 1)
    assert await scene.journal.retry_all(SURE, scene.now) == (0, 1)
    assert await scene.journal.retry_all(ANYWAY, scene.now) == (1, 0)


@pytest.mark.parametrize("outcome", [REFUSED, Outcome(Event.HOLD, due_at=NOW + DAY)], ids=["then refused", "then held"])
async def test_what_was_in_doubt_before_it_failed_is_left(scene: Scene, outcome: Outcome) -> None:
    job = await doubted_then(scene, outcome)
    assert await scene.journal.retry_all(SURE, scene.now) == (0, 1)
    assert await scene.journal.retry_all(ANYWAY, scene.now) == (1, 0)
    assert scene.state(job.id) is State.QUEUED


async def test_several_requests_that_meta_certainly_declined_are_no_doubt(scene: Scene) -> None:
    await left_with(scene, Outcome(Event.RETRY, due_at=scene.now, error="busy"))
    await scene.settle(await scene.claim_one(), REFUSED)
    assert await scene.journal.retry_all(SURE, scene.now) == (1, 0)


async def test_a_receipt_of_the_doubtful_request_ends_the_doubt(scene: Scene) -> None:
    first = await scene.doubtful()
    await scene.told(receipt("w1", Status.FAILED, code=131047, tag=first.tag, person=Person(wa_id=ANA)))
    assert scene.state(first.id) is State.FAILED
    assert await scene.journal.retry_all(SURE, scene.now) == (1, 0)


async def test_so_does_a_receipt_that_says_sent_and_one_that_says_failed_later(scene: Scene) -> None:
    first = await scene.doubtful()
    for status, code in ((Status.SENT, None), (Status.FAILED, 131047)):
        await scene.told(receipt("w1", status, code=code, tag=first.tag, person=Person(wa_id=ANA)))
    assert scene.state(first.id) is State.FAILED
    assert await scene.journal.retry_all(SURE, scene.now) == (1, 0)


async def test_so_does_a_late_receipt_after_another_request_was_refused(scene: Scene) -> None:
    last = await doubted_then(scene, REFUSED)
    tag = last.tag.removesuffix(":2") + ":1"
    await scene.told(receipt("w1", Status.FAILED, code=131047, tag=tag, person=Person(wa_id=ANA)))
    assert await scene.journal.retry_all(SURE, scene.now) == (1, 0)


async def test_a_receipt_of_a_request_that_runs_ends_no_doubt_about_another(scene: Scene) -> None:
    await scene.doubtful()
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    second = await scene.claim_one()
    await scene.told(receipt("w2", Status.FAILED, code=131047, tag=second.tag, person=Person(wa_id=ANA)))
    await scene.settle(second, lost(scene))
    assert scene.state(second.id) is State.FAILED
    assert scene.job(second.id)["doubts"] == "[1]"
    assert await scene.journal.retry_all(SURE, scene.now) == (0, 1)


async def test_what_ran_when_the_process_ended_is_a_doubt(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.claim_one()
    await scene.restart()
    assert await scene.journal.retry_all(SURE, scene.now) == (0, 1)


async def test_what_a_restored_copy_holds_stays_a_doubt_when_it_fails_later(scene: Scene) -> None:
    await scene.batch(ANA)
    copy = scene.data_dir / "copy.db"
    backup.copy(scene.data_dir, copy)
    await scene.journal.close()
    copy.replace(scene.path)
    await scene.open()
    await scene.journal.recover(scene.now)
    assert await scene.journal.retry_all(SURE, scene.now) == (0, 1)
    assert await scene.journal.retry_all(Retry(error_code="restored", may_repeat=True), scene.now) == (1, 0)
    await scene.settle(await scene.claim_one(), REFUSED)
    assert await scene.journal.retry_all(SURE, scene.now) == (0, 1)


async def test_a_retry_is_narrowed_by_batch_and_by_code(scene: Scene) -> None:
    await scene.batch(ANA, BEN, batch_id="a")
    await scene.batch(EVA, batch_id="b")
    for job, code in zip(await scene.claim(), (131047, 131026, 131047), strict=True):
        await scene.settle(job, replace(REFUSED, code=code))
    assert await scene.journal.retry_all(Retry("nothing"), scene.now) == (0, 0)
    assert await scene.journal.retry_all(Retry(error_code="opted_out"), scene.now) == (0, 0)
    assert await scene.journal.retry_all(Retry("a", 131047), scene.now) == (1, 0)
    assert [state for _, state in scene.jobs()] == ["queued", "failed", "failed"]
    assert await scene.journal.retry_all(Retry(error_code=131047), scene.now) == (1, 0)
    assert await scene.journal.retry_all(Retry("a"), scene.now) == (1, 0)


async def test_nothing_else_is_touched(scene: Scene) -> None:
    done = await scene.send_to(ANA, "w1")
    await scene.batch(BEN, EVA, "4917112345678", "4917112345679", batch_id="b2")
    running = await scene.claim(limit=1)
    await scene.journal.cancel(running[0].id + 1, scene.now)
    await scene.settle((await scene.claim(limit=1))[0], Outcome(Event.EXPIRE, code="expired"))
    before = scene.jobs()
    assert {state for _, state in before} == {"done", "running", "cancelled", "expired", "queued"}
    assert await scene.journal.retry_all(ANYWAY, scene.now) == (0, 0)
    assert scene.jobs() == before
    assert scene.state(done) is State.DONE


async def test_many_are_tried_again_in_slices_and_leave_in_the_order_they_were_queued(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "PAGE", 7)
    monkeypatch.setattr(bulk_retry, "SLICE", 3)
    numbers = [f"4917112{n:05}" for n in range(20)]
    await scene.batch(*numbers, batch_id="b1")
    await scene.batch(*numbers, batch_id="b2")
    while jobs := await scene.claim(limit=20):
        for job in jobs:
            await scene.settle(job, REFUSED)
    commits = scene.journal.writer.commits
    assert await scene.journal.retry_all(SURE, scene.now) == (40, 0)
    assert scene.journal.writer.commits - commits >= 14
    assert [state for _, state in scene.jobs()] == ["queued"] * 20 + ["waiting"] * 20


async def test_what_moves_between_the_look_and_the_retry_is_left(scene: Scene) -> None:
    failed = await left_with(scene, REFUSED)
    page = await scene.journal._read(bulk_retry.to_retry, SURE, 0)
    assert page == ([failed.id], 0, None)
    await scene.told(receipt("w1", Status.DELIVERED, tag=failed.tag, person=Person(wa_id=ANA)))
    assert scene.state(failed.id) is State.DONE
    assert await scene.journal.writer(bulk_retry.retry_some, page.ids, scene.now, may_repeat=False) == 0
    assert scene.state(failed.id) is State.DONE
    assert sent("w1").wamid == scene.carried(failed.id)["wamid"]
