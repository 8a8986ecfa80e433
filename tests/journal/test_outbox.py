from __future__ import annotations

from dataclasses import replace

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, POLICY, Scene, said, sent
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.journal.outbox_list import Query
from wabot.journal.retry_and_cancel import CannotMove


async def failed(scene: Scene, number: str = ANA) -> int:
    await scene.batch(number, batch_id=f"failed-{number}")
    job = await scene.claim_one()
    await scene.settle(job, Outcome(Event.GIVE_UP, error="declined", code=131047))
    return job.id


async def test_a_send_is_told_whole(scene: Scene) -> None:
    await scene.batch(ANA, name="hello")
    job = await scene.claim_one()
    await scene.settle(job, sent("wamid.1"))
    told = await scene.journal.outbox_one(job.id)
    assert told is not None
    assert told["outbox_id"] == f"{scene.journal.name}-{job.id}"
    assert (told["number"], told["state"], told["batch_id"], told["attempts"]) == (ANA, "done", "b1", 1)
    assert (told["message_id"], told["message_status"], told["status_times"]) == ("wamid.1", "sent", {"sent": NOW})
    assert told["content"]["template"]["name"] == "hello"
    assert told["response"] == {"messages": [{"id": "wamid.1"}]}
    assert (told["error"], told["error_code"]) == (None, None)


async def test_a_send_that_failed_says_why(scene: Scene) -> None:
    told = await scene.journal.outbox_one(await failed(scene))
    assert told is not None
    assert (told["state"], told["error"], told["error_code"]) == ("failed", "declined", 131047)


async def test_a_cancelled_head_wakes_whoever_sends_the_next(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.batch(ANA, batch_id="next")
    scene.notified.clear()
    await scene.journal.cancel(1, scene.now)
    assert scene.state(2) is State.QUEUED
    assert Kind.SEND in scene.notified


async def test_a_reply_is_no_send(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    assert await scene.journal.outbox(Query()) == []
    reply = await scene.journal.outbox_one(1)
    assert reply is not None
    assert (reply["kind"], "content" in reply) == ("reply", False)
    assert await scene.journal.outbox_one(99) is None
    assert await scene.journal.retry(1, NOW) is None
    assert await scene.journal.cancel(1, NOW) is None


async def test_the_list_is_newest_first_in_pages(scene: Scene) -> None:
    await scene.batch(ANA, BEN, EVA)
    first = await scene.journal.outbox(Query(limit=2))
    assert [row["number"] for row in first] == [EVA, BEN]
    rest = await scene.journal.outbox(Query(limit=2, before=int(first[-1]["outbox_id"].split("-")[1])))
    assert [row["number"] for row in rest] == [ANA]


async def test_the_list_is_narrowed_by_state_person_and_batch(scene: Scene) -> None:
    await scene.batch(ANA, BEN)
    await scene.batch(ANA, batch_id="b2")

    async def numbers(**query: object) -> list[tuple[str, str]]:
        return [(row["number"], row["batch_id"]) for row in await scene.journal.outbox(Query(**query))]  # type: ignore[arg-type]

    assert await numbers(state=State.WAITING) == [(ANA, "b2")]
    assert await numbers(identity=ANA) == [(ANA, "b2"), (ANA, "b1")]
    assert await numbers(identity=EVA) == []
    assert await numbers(batch_id="b1") == [(BEN, "b1"), (ANA, "b1")]
    assert await numbers(batch_id="b1", identity=ANA, state=State.QUEUED) == [(ANA, "b1")]


async def test_a_failed_send_is_tried_again_with_all_its_tries(scene: Scene) -> None:
    job = await failed(scene)
    scene.now += DAY
    assert await scene.journal.retry(job, scene.now) is not None
    assert scene.state(job) is State.QUEUED
    row, message = scene.job(job), scene.carried(job)
    assert (row["spent"], row["error"], row["settled_at"], row["expires_at"]) == (0, None, None, None)
    assert (message["status"], message["error"], message["wamid"]) == ("queued", None, None)
    again = await scene.claim_one()
    assert (again.id, again.attempt) == (job, 2), "the tag of an attempt is never used twice"
    assert await scene.settle(again, sent("wamid.1")) is State.DONE


async def test_a_send_that_is_tried_again_stands_behind_what_is_on_its_way(scene: Scene) -> None:
    job = await failed(scene)
    await scene.batch(ANA, batch_id="b2")
    running = await scene.claim_one()
    await scene.batch(ANA, batch_id="b3")
    await scene.journal.retry(job, NOW)
    assert scene.state(job) is State.WAITING
    await scene.settle(running, sent("wamid.1"))
    assert (await scene.claim_one()).id == job


async def test_a_parked_send_is_tried_again_or_cancelled_by_a_person(scene: Scene) -> None:
    scene.policy = replace(POLICY, resend_in_doubt=False)
    await scene.restart()
    jobs = [await scene.doubtful(number) for number in (ANA, BEN)]
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    await scene.journal.retry(jobs[0].id, scene.now)
    await scene.journal.cancel(jobs[1].id, scene.now)
    assert [scene.state(job.id) for job in jobs] == [State.QUEUED, State.CANCELLED]


@pytest.mark.parametrize("state", [State.QUEUED, State.WAITING, State.HELD])
async def test_what_has_not_left_can_be_cancelled_and_lets_the_next_go(scene: Scene, state: State) -> None:
    if state is State.WAITING:
        await scene.batch(ANA, batch_id="before")
        await scene.claim_one()
    await scene.batch(ANA)
    ((job, *_),) = scene.jobs(columns="max(id)")
    if state is State.HELD:
        await scene.settle(await scene.claim_one(), Outcome(Event.HOLD, due_at=NOW + DAY))
    await scene.batch(ANA, batch_id="after")
    assert scene.state(job) is state
    assert await scene.journal.cancel(job, NOW) is State.CANCELLED
    assert (scene.carried(job)["status"], scene.carried(job)["error_code"]) == ("failed", "cancelled")
    expected = State.WAITING if state is State.WAITING else State.QUEUED
    assert scene.state(job + 1) is expected


async def test_what_left_or_may_have_left_cannot_be_cancelled(scene: Scene) -> None:
    await scene.batch(ANA)
    running = await scene.claim_one()
    with pytest.raises(CannotMove, match="a send that is running cannot be cancelled"):
        await scene.journal.cancel(running.id, NOW)
    await scene.settle(running, Outcome(Event.LOSE_TRACK, due_at=NOW + 90))
    with pytest.raises(CannotMove, match="a send that is in doubt cannot be cancelled"):
        await scene.journal.cancel(running.id, NOW)


async def test_what_meta_has_cannot_be_tried_again(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.1")
    with pytest.raises(CannotMove, match="a send that is done cannot be tried again"):
        await scene.journal.retry(job, NOW)
    assert scene.state(job) is State.DONE


async def test_a_retry_wakes_the_sender(scene: Scene) -> None:
    job = await failed(scene)
    scene.notified.clear()
    await scene.journal.retry(job, NOW)
    assert scene.notified == [Kind.SEND]
