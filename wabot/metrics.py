"""Metrics for Prometheus. Counters and histograms are updated by events; gauges are read for each request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wabot.core.exceptions import AssistantFailed, JournalDown
from wabot.core.handoff import Reason
from wabot.core.jobs import Job, Kind, Outcome, State
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.core.owner_events import shown_address
from wabot.journal.costs import Priced
from wabot.journal.gauges import Depth
from wabot.journal.journal import Journal
from wabot.work.lane import Lane
from wabot.work.send import Limits

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)


class _Models:
    """What is measured of each model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "wabot_model_seconds", "How long one request to a model took", ["provider", "model"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.failures = Counter(
            "wabot_model_failures", "Failed requests to a model", ["provider", "model"], registry=registry
        )
        self.tokens = Counter(
            "wabot_model_tokens", "Tokens as the provider counts them", ["provider", "model", "direction"],
            registry=registry,
        )  # fmt: skip


class Metrics:
    """The metrics of one account, in a registry of its own."""

    def __init__(self, journal: Journal, *, clock: Callable[[], float], archive: bool) -> None:
        self.lanes: Mapping[Kind, Lane] = {}
        self.limits: Limits | None = None
        self._journal, self._clock, self._archive = journal, clock, archive
        self._registry = CollectorRegistry()
        self._settled = Counter(
            "wabot_jobs_settled", "Settled jobs by kind and final state", ["kind", "state"], registry=self._registry
        )
        self._latency = Histogram(
            "wabot_job_seconds", "From the creation of a job to its end", ["kind"], buckets=SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._capped = Counter(
            "wabot_replies_capped", "Replies not made, since a cap was reached", ["cap"],
            registry=self._registry,
        )  # fmt: skip
        self._handoffs = Counter(
            "wabot_handoffs", "How often a person was asked for", ["reason"], registry=self._registry
        )
        self._llm = Histogram(
            "wabot_llm_seconds", "How long an answer took, with fallbacks", buckets=SECONDS, registry=self._registry
        )
        self._models, self._posts = _Models(self._registry), _EventPosts(self._registry)
        self._lane = Gauge(
            "wabot_lane_up", "1 running, 0 paused or stopped", ["lane", "state"], registry=self._registry
        )
        self._in_flight = Gauge("wabot_lane_in_flight", "Jobs being handled", ["lane"], registry=self._registry)
        self._lag = Gauge("wabot_archive_lag_messages", "Messages that the archive lacks", registry=self._registry)
        self._bytes = Gauge("wabot_journal_bytes", "Size of the journal", ["file"], registry=self._registry)
        self._most = Gauge("wabot_messaging_limit", "People to write to first in a day", registry=self._registry)
        self._used = Gauge("wabot_messaging_limit_used", "People who count against it", registry=self._registry)
        self._commit = Gauge("wabot_journal_commit_seconds", "How long the last commit took", registry=self._registry)
        self._depths = _Depths(clock)
        self._registry.register(self._depths)
        self._prices = _Prices()
        self._registry.register(self._prices)
        self._registry.register(_Totals(journal))

    def job_settled(self, job: Job, outcome: Outcome, state: State | None) -> None:
        """A lane settled a job."""
        if outcome.handoff is not None and state is not None:
            self.handed_off(outcome.handoff.reason)
        self._settled.labels(job.kind, state or "already_settled").inc()
        if state is State.DONE:
            self._latency.labels(job.kind).observe(max(self._clock() - job.created_at, 0.0))

    def handed_off(self, reason: Reason, times: int = 1) -> None:
        """A person was asked for."""
        self._handoffs.labels(reason).inc(times)

    def answer_made(self, seconds: float) -> None:
        """The models made an answer, or failed."""
        self._llm.observe(seconds)

    def model_answered(self, name: ModelName, seconds: float, answer: ModelAnswer) -> None:
        """A model answered."""
        self._model_asked(name, seconds, (answer.input_tokens, answer.output_tokens))

    def model_failed(self, name: ModelName, seconds: float, failure: AssistantFailed) -> None:
        """A model failed."""
        self._model_asked(name, seconds, failure.tokens)
        self._models.failures.labels(name.provider, name.model).inc()

    def _model_asked(self, name: ModelName, seconds: float, tokens: tuple[int, int]) -> None:
        self._models.seconds.labels(name.provider, name.model).observe(seconds)
        for direction, count in zip(("input", "output"), tokens, strict=True):
            self._models.tokens.labels(name.provider, name.model, direction).inc(count)

    def reply_capped(self, cap: str) -> None:
        """A contact was over the cap of an "hour" or a "day", or the account over that of its "calls"."""
        self._capped.labels(cap).inc()

    def event_posted(self, endpoint: str, result: str, seconds: float) -> None:
        """An event was posted to an endpoint: `result` is "told" or "failed"."""
        self._posts.count.labels(endpoint, result).inc()
        self._posts.seconds.labels(endpoint).observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """All metrics, as they were when `refresh` was called."""
        return self._registry.collect()

    async def refresh(self) -> None:
        """Read the gauges."""
        self._depths.found = await self._journal.depths()
        self._prices.found = await self._journal.priced_ever()
        if self._archive:
            self._lag.set(await self._journal.archive_lag())
        for name, size in self._journal.sizes().items():
            self._bytes.labels(name).set(size)
        await self._posts.refresh(self._journal, self._clock())
        if self.limits is not None:
            self._most.set(self.limits.people.most)
            self._used.set(self.limits.people.used(self._clock()))
        self._commit.set(self._journal.writer.commit_seconds)
        for kind, lane in self.lanes.items():
            self._in_flight.labels(kind).set(lane.in_flight)
            for state in ("running", "paused", "stopped"):
                self._lane.labels(kind, state).set(lane.state == state)


async def render(metrics: Metrics) -> bytes:
    """The metrics of the only account, in Prometheus' text format. Raises JournalDown."""
    await metrics.refresh()
    return generate_latest(metrics)


async def render_all(metrics: Mapping[str, Metrics], stopped: Iterable[str] = ()) -> bytes:
    """The metrics of several accounts, with the label `account`. Those that cannot be read are only shown as down."""
    readable, down = dict[str, Metrics](), list(stopped)
    for name, one in metrics.items():
        try:
            await one.refresh()
            readable[name] = one
        except JournalDown:
            down.append(name)
    return generate_latest(_Labelled(readable, down))


class _Labelled:
    """The metrics of several accounts, as one registry. `down`: the accounts without any."""

    def __init__(self, metrics: Mapping[str, Metrics], down: Iterable[str]) -> None:
        self._metrics, self._down = metrics, down

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("wabot_account_up", "1: the account's journal can be read", labels=["account"])
        for name in self._metrics:
            up.add_metric([name], 1)
        for name in self._down:
            up.add_metric([name], 0)
        merged: dict[str, Metric] = {"wabot_account_up": up}
        for name, metrics in self._metrics.items():
            for family in metrics.collect():
                all_of_it = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    all_of_it.samples.append(sample._replace(labels={"account": name, **sample.labels}))
        return merged.values()


class _EventPosts:
    """What was posted to the endpoints of [[events]], and what is still to be."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.count = Counter(
            "wabot_event_posts", "Posts to an endpoint, by result: told or failed", ["endpoint", "result"],
            registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "wabot_event_post_seconds", "How long an endpoint took to answer", ["endpoint"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self._open = Gauge("wabot_events_open", "Events to be told", ["endpoint"], registry=registry)
        self._oldest = Gauge("wabot_events_oldest_seconds", "Age of the oldest", ["endpoint"], registry=registry)

    async def refresh(self, journal: Journal, now: float) -> None:
        for endpoint, count, oldest in await journal.event_depths():
            self._open.labels(shown_address(endpoint)).set(count)
            self._oldest.labels(shown_address(endpoint)).set(0.0 if oldest is None else max(now - oldest, 0.0))


class _Depths(Collector):
    def __init__(self, clock: Callable[[], float]) -> None:
        self.found: list[Depth] = []
        self._clock = clock

    def collect(self) -> list[GaugeMetricFamily]:
        count = GaugeMetricFamily("wabot_jobs_open", "Open jobs", labels=["kind", "state"])
        age = GaugeMetricFamily("wabot_jobs_oldest_seconds", "Age of the oldest open job", labels=["kind", "state"])
        for depth in self.found:
            count.add_metric([depth.kind, depth.state], depth.count)
            oldest = 0.0 if depth.oldest is None else max(self._clock() - depth.oldest, 0.0)
            age.add_metric([depth.kind, depth.state], oldest)
        return [count, age]


class _Prices(Collector):
    def __init__(self) -> None:
        self.found: list[Priced] = []

    def collect(self) -> list[CounterMetricFamily]:
        text = "Messages that Meta named a price category for"
        family = CounterMetricFamily("wabot_priced_messages", text, labels=["category", "billable"])
        for each in self.found:
            family.add_metric([each.category, str(each.billable).lower()], each.count)
        return [family]


class _Totals(Collector):
    """The writer's own counters."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def collect(self) -> list[CounterMetricFamily]:
        writer = self._journal.writer
        families = []
        for name, text, value in (
            ("wabot_journal_commits", "Commits since the start", writer.commits),
            ("wabot_journal_operations", "Operations in these commits", writer.operations),
        ):
            family = CounterMetricFamily(name, text)
            family.add_metric([], value)
            families.append(family)
        return families
