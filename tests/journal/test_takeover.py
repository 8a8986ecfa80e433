"""While a person answers, the assistant says nothing: not what it thinks of, and not what it had queued."""

from __future__ import annotations

import pytest

from tests.journal.scene import ANA, NOW, Scene, receipt, said, sent, text
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.core.may_send import check
from wabot.core.messages import Person, Status
from wabot.core.outgoing import OF_ASSISTANT, Origin

HOUR = 3600.0


async def pause(scene: Scene, hours: float = 1.0) -> None:
    await scene.journal.pause(ANA, scene.now + hours * HOUR, None, scene.now)


async def test_a_reply_that_waits_or_runs_comes_to_nothing(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 5
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.2"))
    await pause(scene)
    assert {state for _, state in scene.jobs(Kind.REPLY)} == {"cancelled"}
    assert await scene.settle(running, Outcome(Event.SUCCEED, says=(text("Too late"),))) is None
    assert scene.jobs(Kind.SEND) == []


@pytest.mark.parametrize("origin", Origin)
async def test_of_what_is_queued_only_the_assistants_is_withdrawn(scene: Scene, origin: Origin) -> None:
    await scene.hear(said("wamid.1"))
    sends = [await scene.owe(ANA, text("a", origin)) for _ in range(2)]
    await pause(scene)
    states = {scene.state(send) for send in sends}
    if origin in OF_ASSISTANT:
        assert states == {State.CANCELLED}
        assert {scene.carried(send)["error_code"] for send in sends} == {"taken_over"}
    else:
        assert states == {State.QUEUED, State.WAITING}


async def test_what_had_left_is_not_sent_again_even_after_the_pause(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    retried, doubted = await scene.owe(ANA), await scene.owe(ANA)
    job = await scene.claim_one()
    await pause(scene)
    assert await scene.settle(job, Outcome(Event.RETRY, due_at=scene.now + 1)) is State.QUEUED
    await scene.journal.resume(ANA)
    scene.now += 2
    again = await scene.claim_one()
    assert again.id == retried
    outcome = check(again, scene.now, attempts=8)
    assert outcome is not None
    assert (outcome.event, outcome.code) == (Event.TAKE_OVER, "taken_over")
    assert await scene.settle(again, outcome) is State.CANCELLED
    assert scene.carried(retried)["error_code"] == "taken_over"
    assert scene.state(doubted) is State.CANCELLED


async def test_a_doubt_ends_with_its_receipt_and_is_not_sent_again_without(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    await scene.owe(ANA)
    job = await scene.claim_one()
    await scene.settle(job, Outcome(Event.LOSE_TRACK, due_at=scene.now + 90))
    await pause(scene)
    assert scene.state(job.id) is State.IN_DOUBT
    scene.now += 100
    await scene.journal.tend(scene.now)
    again = await scene.claim_one()
    outcome = check(again, scene.now, attempts=8)
    assert outcome is not None
    assert await scene.settle(again, outcome) is State.CANCELLED
    await scene.told(receipt("wamid.out", Status.DELIVERED, tag=job.tag))
    assert (scene.state(job.id), scene.carried(job.id)["status"]) == (State.DONE, "delivered")


async def test_what_comes_while_paused_is_history_and_queues_no_reply(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 5
    await scene.settle(await scene.claim_one(Kind.REPLY), Outcome(Event.SUCCEED))
    await pause(scene)
    taken = await scene.hear(said("wamid.2", body="Meanwhile"))
    assert (taken.stored, taken.replies) == (1, 0)
    scene.now += HOUR + 1  # nobody resumed: it ends by time
    assert (await scene.hear(said("wamid.3", at=scene.now, body="Now"))).replies == 1
    scene.now += 5
    job = await scene.claim_one(Kind.REPLY)
    talk = await scene.journal.talk(job, 20, 0.0)
    assert [(one.body, one.asked) for one in talk.said] == [("Hello", False), ("Meanwhile", False), ("Now", True)]


async def test_a_pause_survives_a_restart_and_a_merge_and_its_undoing(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA)), said("wamid.2", Person(bsuid="IN.7")))
    await pause(scene)
    await scene.restart()
    await scene.hear(said("wamid.3", Person(ANA, "IN.7"), at=NOW + 1))
    assert (await scene.hear(said("wamid.4", Person(bsuid="IN.7"), at=NOW + 2))).replies == 0
    (merge,) = scene.rows("SELECT id FROM merges")
    await scene.journal.tend(scene.now)
    await scene.journal.undo_merge(merge["id"], scene.now)
    paused = scene.rows("SELECT paused_until FROM contacts")
    assert {row["paused_until"] for row in paused} == {NOW + HOUR}


async def test_a_send_of_staff_leaves_while_the_assistant_is_silent(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    await pause(scene)
    await scene.owe(ANA, text("Eva here", Origin.STAFF))
    job = await scene.claim_one()
    assert check(job, scene.now, attempts=8) is None
    assert await scene.settle(job, sent("wamid.out")) is State.DONE
