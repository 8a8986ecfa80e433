"""Makes what tells the owner's programs what happens, where [[events]] names any."""

from __future__ import annotations

from collections.abc import Callable

from wabot.assembly.adapters import Adapters
from wabot.core.jobs import Kind
from wabot.core.owner_events import Endpoint
from wabot.journal.event_writing import EventWriter
from wabot.journal.journal import Journal
from wabot.metrics import Metrics
from wabot.monitor.problem_sources import Watch
from wabot.settings.loading import Settings
from wabot.work.event_posts import EventPosts


def endpoints(settings: Settings) -> list[Endpoint]:
    """The endpoints of [[events]]."""
    return [Endpoint(one.url, one.secret.get_secret_value(), one.types) for one in settings.events]


async def write_events(
    name: str, settings: Settings, journal: Journal, *, clock: Callable[[], float], noise: Callable[[], float]
) -> None:
    """From now on what happens to the account of this name is written for the endpoints, if there are any."""
    if told := endpoints(settings):
        writer = EventWriter(name, told, clock=clock, noise=noise, wake=lambda now: journal.notify(Kind.EVENT, now))
        await journal.tell_programs(writer, [endpoint.url for endpoint in told], clock())


def event_posts(
    settings: Settings,
    journal: Journal,
    adapters: Adapters,
    watching: tuple[Metrics, Watch],
    *,
    clock: Callable[[], float],
    noise: Callable[[], float],
) -> EventPosts | None:
    """Both ends of the lane of events; None without endpoints."""
    metrics, watch = watching
    return (
        EventPosts(
            journal,
            endpoints(settings),
            adapters.signed_post(),
            clock=clock,
            noise=noise,
            on_off=watch.endpoint_off,
            on_posted=metrics.event_posted,
        )
        if settings.events
        else None
    )
