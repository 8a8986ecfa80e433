"""Makes the lanes of an account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wabot.core.jobs import Job, Kind, Outcome, State
from wabot.journal.journal import Journal
from wabot.metrics import Metrics
from wabot.monitor.problem_sources import Watch
from wabot.monitor.rates import Rates
from wabot.settings.loading import Settings
from wabot.work.event_posts import EventPosts
from wabot.work.lane import Handler, Lane, Source
from wabot.work.lane_reports import LaneReports


def working_lanes(
    settings: Settings,
    journal: Journal,
    handlers: tuple[Handler, Handler, EventPosts | None],
    watching: tuple[Metrics, Watch, Rates],
    *,
    clock: Callable[[], float],
    noise: Callable[[], float],
) -> tuple[dict[Kind, Lane], list[Callable[[], Awaitable[None]]]]:
    """A lane for each kind of job, with the handlers of replies, sends and, if there are endpoints, of events.

    The journal wakes it when it has one. Also the loops that tell of the lanes' pauses: none without endpoints.
    """
    (metrics, watch, rates), (replies, sends, events) = watching, handlers
    reports = LaneReports(journal.write_event)

    def settled(job: Job, outcome: Outcome, state: State | None) -> None:
        metrics.job_settled(job, outcome, state)
        watch.job_settled(outcome)
        if state is State.DONE:
            rates.done(job.kind, clock())

    def changed(lane: Lane) -> None:
        watch.lane_changed(lane)
        if events is not None:
            reports.lane_changed(lane)

    work: dict[Kind, tuple[Source, Handler, int]] = {
        Kind.REPLY: (journal, replies, settings.delivery.concurrency),
        Kind.SEND: (journal, sends, settings.delivery.sends_at_once),
    }
    if events is not None:
        work[Kind.EVENT] = (events, events, events.at_once)
    lanes = {
        kind: Lane(
            kind, source, handler, concurrency=concurrency, clock=clock, noise=noise, on_settled=settled,
            on_change=changed,
        )
        for kind, (source, handler, concurrency) in work.items()
    }  # fmt: skip
    journal.notify = lambda kind, due: lanes[kind].wake(due)
    return lanes, [reports.run] if events is not None else []
