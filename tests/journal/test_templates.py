from __future__ import annotations

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, Scene, said
from wabot.core.errors import Effect
from wabot.core.jobs import Event, Job, Outcome, State
from wabot.core.messages import Delivery, Receipt, Status, TemplateNews
from wabot.journal.templates import REVIEW_SECONDS

PAUSED, UNKNOWN, TOO_MANY = 132015, 132001, 131048


async def news(scene: Scene, event: str, name: str = "sale") -> None:
    await scene.journal.accept(Delivery(templates=(TemplateNews(name, "en", event),)), scene.now)


async def held(scene: Scene, number: str = ANA, *, name: str = "sale", code: int | None = PAUSED) -> Job:
    """A send that waits because Meta paused its template."""
    await scene.batch(number, batch_id=f"{number}-{name}", name=name)
    job = await scene.claim_one()
    outcome = Outcome(
        Event.HOLD, due_at=NOW + 3600, spent=False, error="paused", code=code,
        effect=Effect.PAUSE_TEMPLATE, effect_seconds=3600,
    )  # fmt: skip
    assert await scene.settle(job, outcome) is State.HELD
    return job


async def pause_of_next(scene: Scene, name: str, number: str = EVA) -> object:
    await scene.batch(number, batch_id=f"next-{name}-{scene.now}", name=name)
    (job,) = [job for job in await scene.claim() if job.contact.wa_id == number]
    return job.pause


async def test_a_pause_concerns_its_template_alone_and_ends(scene: Scene) -> None:
    await held(scene)
    pause = await pause_of_next(scene, "sale")
    assert (pause.until, pause.refuse, pause.code) == (NOW + 3600, False, PAUSED)  # type: ignore[attr-defined]
    assert await pause_of_next(scene, "other", BEN) is None
    scene.now += 3600
    assert await pause_of_next(scene, "sale", "491711234568") is None


async def test_a_template_that_meta_does_not_know_is_refused_for_a_while(scene: Scene) -> None:
    await scene.batch(ANA, name="tpyo")
    outcome = Outcome(
        Event.GIVE_UP, error="no such template", code=UNKNOWN, effect=Effect.PAUSE_TEMPLATE, effect_seconds=60
    )
    await scene.settle(await scene.claim_one(), outcome)
    pause = await pause_of_next(scene, "tpyo")
    assert (pause.until, pause.refuse, pause.reason) == (NOW + 60, True, "no such template")  # type: ignore[attr-defined]


async def test_a_limit_on_templates_concerns_all_of_them_and_no_free_text(scene: Scene) -> None:
    await scene.batch(ANA, name="sale")
    outcome = Outcome(Event.HOLD, due_at=NOW + 3600, code=TOO_MANY, effect=Effect.PAUSE_TEMPLATES, effect_seconds=3600)
    await scene.settle(await scene.claim_one(), outcome)
    assert await pause_of_next(scene, "other", BEN) is not None
    await scene.hear(said("wamid.1", EVA))
    await scene.owe(EVA)
    assert (await scene.claim_one()).pause is None


async def test_pauses_outlive_a_restart(scene: Scene) -> None:
    await held(scene)
    await scene.restart()
    assert await pause_of_next(scene, "sale") is not None


@pytest.mark.parametrize("event", ["PAUSED", "DISABLED"])
async def test_bad_news_pauses_before_meta_has_to_refuse(scene: Scene, event: str) -> None:
    await news(scene, event)
    pause = await pause_of_next(scene, "sale")
    assert (pause.until, pause.refuse) == (NOW + REVIEW_SECONDS, False)  # type: ignore[attr-defined]


@pytest.mark.parametrize("event", ["PENDING_DELETION", "REJECTED", "FLAGGED"])
async def test_other_news_pauses_nothing(scene: Scene, event: str) -> None:
    await news(scene, event)
    assert await pause_of_next(scene, "sale") is None


@pytest.mark.parametrize("event", ["APPROVED", "REINSTATED", "UNPAUSED"])
async def test_good_news_releases_what_was_held(scene: Scene, event: str) -> None:
    job, other = await held(scene), await held(scene, BEN, name="other")
    await news(scene, event)
    await scene.journal.tend(scene.now)
    assert (scene.state(job.id), scene.state(other.id)) == (State.QUEUED, State.HELD)
    assert (await scene.claim_one()).pause is None


async def test_good_news_releases_what_bad_news_held(scene: Scene) -> None:
    await news(scene, "PAUSED")
    job = await held(scene, code=None)
    await news(scene, "PAUSED")
    await news(scene, "UNPAUSED")
    await scene.journal.tend(scene.now)
    assert scene.state(job.id) is State.QUEUED


async def test_good_news_leaves_alone_what_waits_for_another_reason(scene: Scene) -> None:
    await held(scene)
    await scene.batch(BEN, batch_id="later", name="sale")
    job = await scene.claim_one()
    await scene.settle(job, Outcome(Event.HOLD, due_at=NOW + DAY, code=131049, error="not before tomorrow"))
    await news(scene, "UNPAUSED")
    await scene.journal.tend(scene.now)
    assert scene.state(job.id) is State.HELD


async def test_a_damaged_row_does_not_refuse_the_news(scene: Scene) -> None:
    job, damaged = await held(scene), await held(scene, BEN)
    await scene.journal.writer(
        lambda db: db.execute("UPDATE messages SET raw = '{' WHERE job_id = ?", (damaged.id,)).rowcount
    )
    await news(scene, "UNPAUSED")
    await scene.journal.tend(scene.now)
    assert scene.state(job.id) is State.QUEUED


async def test_a_template_that_meta_pauses_after_it_took_the_message_rests_too(
    scene: Scene,
) -> None:
    await scene.batch(ANA, name="sale")
    job = await scene.claim_one()
    await scene.settle(job, Outcome(Event.SUCCEED, wamid="wamid.sale"))
    failed = Receipt("wamid.sale", Status.FAILED, NOW, error={"code": PAUSED, "title": "Template is paused"})
    await scene.journal.accept(Delivery(receipts=(failed,)), scene.now)
    assert (await pause_of_next(scene, "sale")).code == PAUSED  # type: ignore[attr-defined]
    assert await pause_of_next(scene, "other", BEN) is None
