from __future__ import annotations

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, Scene, said
from wabot.core.account_news import AccountNews, Standing
from wabot.core.exceptions import Effect
from wabot.core.jobs import Event, Job, Outcome, State
from wabot.core.messages import Receipt, Status, TemplateNews, Webhook
from wabot.core.outgoing import Origin, Outgoing
from wabot.journal.batches import NewBatch, Recipient
from wabot.journal.templates import REVIEW_SECONDS

PAUSED, UNKNOWN, TOO_MANY = 132015, 132001, 131048


async def news(scene: Scene, event: str, name: str = "sale", language: str = "en_US") -> None:
    await scene.journal.accept(Webhook(templates=(TemplateNews(name, language, event),)), scene.now)


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
    await scene.journal.accept(Webhook(receipts=(failed,)), scene.now)
    assert (await pause_of_next(scene, "sale")).code == PAUSED  # type: ignore[attr-defined]
    assert await pause_of_next(scene, "other", BEN) is None


# One name, several languages.


async def owe_in(scene: Scene, number: str, language: str) -> Job:
    """A send of "sale" in a language, claimed."""
    content = {"type": "template", "template": {"name": "sale", "language": {"code": language}}}
    recipient = Recipient(number, number, Outgoing(content, "[template sale]", Origin.BULK))
    await scene.journal.queue_batch(NewBatch(f"{number}-{language}", None, "-", [recipient]), scene.now)
    (job,) = [job for job in await scene.claim() if job.contact.wa_id == number]
    return job


async def test_a_typo_in_one_language_stops_no_other(scene: Scene) -> None:
    outcome = Outcome(
        Event.GIVE_UP, error="no such template", code=UNKNOWN, effect=Effect.PAUSE_TEMPLATE, effect_seconds=60
    )
    await scene.settle(await owe_in(scene, ANA, "en-US"), outcome)
    assert (await owe_in(scene, BEN, "en_US")).pause is None
    assert (await owe_in(scene, EVA, "en-US")).pause is not None


async def test_news_concern_the_language_that_they_name(scene: Scene) -> None:
    await news(scene, "PAUSED", language="de")
    assert (await owe_in(scene, ANA, "en_US")).pause is None
    german = await owe_in(scene, BEN, "de")
    assert german.pause is not None
    await scene.settle(german, Outcome(Event.HOLD, due_at=NOW + 3600, spent=False, error="paused"))
    await news(scene, "UNPAUSED", language="en_US")
    await scene.journal.tend(scene.now)
    assert scene.state(german.id) is State.HELD
    await news(scene, "UNPAUSED", language="de")
    await scene.journal.tend(scene.now)
    assert scene.state(german.id) is State.QUEUED


async def test_news_without_a_language_concern_all(scene: Scene) -> None:
    await news(scene, "DISABLED", language="")
    job = await owe_in(scene, ANA, "de")
    assert job.pause is not None
    await scene.settle(job, Outcome(Event.HOLD, due_at=NOW + 3600, spent=False, error="paused"))
    await news(scene, "UNPAUSED", language="")
    await scene.journal.tend(scene.now)
    assert scene.state(job.id) is State.QUEUED


async def test_news_of_a_pause_do_not_forget_the_code_of_what_it_holds(scene: Scene) -> None:
    job = await held(scene)
    await news(scene, "PAUSED")
    assert (await pause_of_next(scene, "sale")).code == PAUSED  # type: ignore[attr-defined]
    await news(scene, "UNPAUSED")
    await scene.journal.tend(scene.now)
    assert scene.state(job.id) is State.QUEUED


# What Meta says of the account.


async def account(scene: Scene, standing: Standing, at: float, until: float | None = None) -> list[AccountNews]:
    said = AccountNews(standing, "Meta lets the account only answer", at, until)
    return (await scene.journal.accept(Webhook(account=(said,)), scene.now)).account


async def test_an_account_that_may_only_answer_holds_what_it_would_begin_and_keeps_that_over_a_restart(
    scene: Scene,
) -> None:
    await account(scene, Standing.RESTRICTED, NOW, until=NOW + DAY)
    await scene.restart()
    pause = await pause_of_next(scene, "sale")
    assert (pause.until, pause.refuse) == (NOW + DAY, False)  # type: ignore[attr-defined]
    await scene.hear(said("wamid.1", ANA))
    await scene.owe(ANA)
    (answer,) = [job for job in await scene.claim() if job.contact.wa_id == ANA]
    assert answer.pause is None


async def test_an_account_that_is_reinstated_sends_at_once_what_was_held_for_it(scene: Scene) -> None:
    await account(scene, Standing.RESTRICTED, NOW)
    await scene.batch(ANA, name="sale")
    job = await scene.claim_one()
    assert job.pause is not None
    outcome = Outcome(Event.HOLD, due_at=job.pause.until, spent=False, error="waits", code=job.pause.code)
    await scene.settle(job, outcome)
    other = await held(scene, BEN, name="other")
    await account(scene, Standing.LIFTED, NOW + 60)
    await scene.journal.tend(scene.now)
    assert (scene.state(job.id), scene.state(other.id)) == (State.QUEUED, State.HELD)
    assert (await scene.claim_one()).pause is None


async def test_what_a_send_meets_meanwhile_neither_ends_a_restriction_nor_outlives_its_end(scene: Scene) -> None:
    meanwhile = await owe_in(scene, ANA, "en_US")
    await account(scene, Standing.RESTRICTED, NOW, until=NOW + 30 * DAY)
    spam = Outcome(
        Event.HOLD, due_at=NOW + 60, spent=False, error="spam", code=131048, effect=Effect.PAUSE_TEMPLATES,
        effect_seconds=60,
    )  # fmt: skip
    await scene.settle(meanwhile, spam)
    assert (await pause_of_next(scene, "sale")).until == NOW + 30 * DAY  # type: ignore[attr-defined]
    scene.now = NOW + 61
    await account(scene, Standing.LIFTED, NOW + 61)
    assert (await owe_in(scene, BEN, "en_US")).pause is None


async def test_the_end_of_a_restriction_does_not_end_what_a_send_met(scene: Scene) -> None:
    await account(scene, Standing.RESTRICTED, NOW)
    spam = Outcome(
        Event.HOLD, due_at=NOW + DAY, spent=False, error="spam", code=131048, effect=Effect.PAUSE_TEMPLATES,
        effect_seconds=DAY,
    )  # fmt: skip
    await scene.settle(await owe_in(scene, ANA, "en_US"), spam)
    await account(scene, Standing.LIFTED, NOW + 1)
    assert (await pause_of_next(scene, "sale")).code == 131048  # type: ignore[attr-defined]


async def test_of_news_that_overtake_each_other_the_latest_holds(scene: Scene) -> None:
    assert await account(scene, Standing.LIFTED, NOW + 60)
    assert await account(scene, Standing.RESTRICTED, NOW) == []
    assert await account(scene, Standing.BLOCKED, NOW) == []
    assert await pause_of_next(scene, "sale") is None
    assert await account(scene, Standing.FASTER, NOW), "which is no standing that another one ends"
