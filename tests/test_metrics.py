"""What Prometheus is told, by a real journal and a real lane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes import ScriptedGraph
from tests.journal.scene import ANA, BEN, NOW, POLICY, RULES, Scene, said
from wabot.core.exceptions import AssistantFailed
from wabot.core.jobs import Event, Kind, Outcome
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.core.rate_limits import Bucket, PairLedger
from wabot.journal.journal import open_journal
from wabot.metrics import CONTENT_TYPE, Metrics, render
from wabot.work.lane import Lane
from wabot.work.send import Limits, Sends

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path, await open_journal(tmp_path, rules=RULES, policy=POLICY))
    yield scene
    await scene.journal.close()


@pytest.fixture
def metrics(scene: Scene) -> Metrics:
    metrics = Metrics(scene.journal, clock=lambda: scene.now, archive=True)
    limits = Limits(Bucket(0, NOW), PairLedger(6.0, 45))
    sends = Sends(ScriptedGraph(), limits=limits, policy=POLICY, clock=lambda: scene.now)
    metrics.lanes = {Kind.SEND: Lane(Kind.SEND, scene.journal, sends, concurrency=4, clock=lambda: scene.now)}
    return metrics


async def told(metrics: Metrics) -> Samples:
    """Every sample, by name and labels, read as Prometheus reads it."""
    families = text_string_to_metric_families((await render(metrics)).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


async def test_what_is_open_is_counted_by_kind_and_state_with_the_age_of_the_oldest(
    scene: Scene, metrics: Metrics
) -> None:
    await scene.batch(ANA, BEN)
    scene.now += 30
    await scene.hear(said("wamid.1"))
    await scene.claim(Kind.SEND, limit=1)
    scene.now += 10
    samples = await told(metrics)
    assert samples["wabot_jobs_open", labelled(kind="send", state="queued")] == 1
    assert samples["wabot_jobs_open", labelled(kind="send", state="running")] == 1
    assert samples["wabot_jobs_open", labelled(kind="reply", state="queued")] == 1
    assert samples["wabot_jobs_open", labelled(kind="send", state="in_doubt")] == 0
    assert samples["wabot_jobs_oldest_seconds", labelled(kind="send", state="queued")] == 40
    assert samples["wabot_jobs_oldest_seconds", labelled(kind="reply", state="queued")] == 10
    assert samples["wabot_jobs_oldest_seconds", labelled(kind="send", state="held")] == 0


async def test_what_was_settled_is_counted_and_what_is_done_is_timed(scene: Scene, metrics: Metrics) -> None:
    await scene.batch(ANA, BEN)
    jobs = await scene.claim()
    scene.now += 2
    metrics.job_settled(jobs[0], Outcome(Event.SUCCEED), await scene.settle(jobs[0], Outcome(Event.SUCCEED, wamid="w")))
    metrics.job_settled(jobs[1], Outcome(Event.GIVE_UP), await scene.settle(jobs[1], Outcome(Event.GIVE_UP)))
    metrics.job_settled(jobs[1], Outcome(Event.GIVE_UP), None)
    samples = await told(metrics)
    assert samples["wabot_jobs_settled_total", labelled(kind="send", state="done")] == 1
    assert samples["wabot_jobs_settled_total", labelled(kind="send", state="failed")] == 1
    assert samples["wabot_jobs_settled_total", labelled(kind="send", state="already_settled")] == 1
    assert samples["wabot_job_seconds_count", labelled(kind="send")] == 1
    assert samples["wabot_job_seconds_sum", labelled(kind="send")] == 2
    assert samples["wabot_job_seconds_bucket", labelled(kind="send", le="1.0")] == 0
    assert samples["wabot_job_seconds_bucket", labelled(kind="send", le="2.5")] == 1


async def test_the_models_time_is_told(metrics: Metrics) -> None:
    metrics.answer_made(1.5)
    metrics.answer_made(40)
    samples = await told(metrics)
    assert samples["wabot_llm_seconds_count", ()] == 2
    assert samples["wabot_llm_seconds_sum", ()] == 41.5


async def test_tokens_time_and_failures_are_told_for_each_model(metrics: Metrics) -> None:
    first, second = ModelName("openai", "gpt"), ModelName("gemini", "flash", "assistant.fallbacks[0]")
    metrics.model_failed(first, 2.0, AssistantFailed("empty answer", tokens=(30, 4)))
    for _ in range(2):
        metrics.model_answered(second, 1.0, ModelAnswer("Yes.", 120, 7))
    samples = await told(metrics)
    assert samples["wabot_model_failures_total", labelled(provider="openai", model="gpt")] == 1
    assert samples["wabot_model_seconds_sum", labelled(provider="openai", model="gpt")] == 2
    assert samples["wabot_model_tokens_total", labelled(provider="openai", model="gpt", direction="input")] == 30
    of_second = {"provider": "gemini", "model": "flash"}
    assert samples["wabot_model_seconds_count", labelled(**of_second)] == 2
    assert samples["wabot_model_tokens_total", labelled(**of_second, direction="input")] == 240
    assert samples["wabot_model_tokens_total", labelled(**of_second, direction="output")] == 14


STATES = ("running", "paused", "stopped")


async def test_a_lane_is_in_one_state_at_a_time(metrics: Metrics) -> None:
    samples = await told(metrics)
    states = {state: samples["wabot_lane_up", labelled(lane="send", state=state)] for state in STATES}
    assert states == {"running": 0, "paused": 0, "stopped": 1}
    metrics.lanes[Kind.SEND]._alive = True
    metrics.lanes[Kind.SEND].pause("the token has expired")
    samples = await told(metrics)
    states = {state: samples["wabot_lane_up", labelled(lane="send", state=state)] for state in STATES}
    assert states == {"running": 0, "paused": 1, "stopped": 0}
    assert samples["wabot_lane_in_flight", labelled(lane="send")] == 0


async def test_the_journal_and_what_the_archive_lacks_are_told(scene: Scene, metrics: Metrics) -> None:
    await scene.hear(said("wamid.1"), said("wamid.2"))
    before = await told(metrics)
    assert before["wabot_archive_lag_messages", ()] == 2
    assert before["wabot_journal_bytes", labelled(file="main")] > 0
    assert before["wabot_journal_bytes", labelled(file="wal")] > 0
    assert before["wabot_journal_commit_seconds", ()] > 0
    await scene.hear(said("wamid.3"))
    after = await told(metrics)
    for name in ("wabot_journal_commits_total", "wabot_journal_operations_total"):
        assert after[name, ()] > before[name, ()]


async def test_two_services_in_one_process_count_apart(scene: Scene, metrics: Metrics) -> None:
    metrics.answer_made(1)
    other = Metrics(scene.journal, clock=lambda: scene.now, archive=False)
    assert (await told(other))["wabot_llm_seconds_count", ()] == 0


async def test_nothing_that_is_told_names_a_person(scene: Scene, metrics: Metrics) -> None:
    await scene.hear(said("wamid.1", body="My secret"))
    await scene.batch(ANA, name="birthday_offer")
    job = await scene.claim_one()
    metrics.job_settled(job, Outcome(Event.SUCCEED), await scene.settle(job, Outcome(Event.SUCCEED, wamid="w")))
    text = (await render(metrics)).decode()
    assert not any(word in text for word in (ANA, "secret", "birthday_offer"))
    assert CONTENT_TYPE.startswith("text/plain")
