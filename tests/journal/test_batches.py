from __future__ import annotations

import asyncio

import pytest

from tests.journal.scene import ANA, BEN, EVA, NOW, Scene, receipt, said, sent
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.core.messages import Status
from wabot.journal.batches import Result


async def results(scene: Scene, batch_id: str = "b1") -> list[Result]:
    found = await scene.journal.results(batch_id)
    assert found is not None
    return found


async def test_a_batch_is_queued_in_one_commit_and_told_in_the_order_asked(scene: Scene) -> None:
    numbers = [f"4917112{n:05}" for n in reversed(range(300))]
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
