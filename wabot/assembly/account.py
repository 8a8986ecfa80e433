"""Assembles all that serves one business number, from the journal to the operations behind the HTTP API.

Time, random numbers, connections and clients are parameters, so that tests and simulations run exactly this service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

from wabot.accounts import Account, Identity
from wabot.assembly import factories
from wabot.assembly.adapters import Adapters
from wabot.assembly.events import event_posts, write_events
from wabot.assembly.lanes import working_lanes
from wabot.core.exceptions import JournalDown
from wabot.journal.connections import Connect
from wabot.journal.journal import Journal, open_journal
from wabot.journal.opening import Purpose
from wabot.log import get_logger
from wabot.metrics import Metrics
from wabot.monitor.rates import Rates
from wabot.monitor.readiness import Readiness, World
from wabot.settings.loading import Settings
from wabot.work.archive_circuit import Circuit, Guarded
from wabot.work.archiver import Archiver
from wabot.work.daily_calls import DailyCalls
from wabot.work.models import Models, Observer
from wabot.work.portfolios import LimitKeeper, Portfolios
from wabot.work.reply import Replies
from wabot.work.send import Limits, Sends

Clock: TypeAlias = Callable[[], float]
Noise: TypeAlias = Callable[[], float]

log = get_logger()


@asynccontextmanager
async def assemble(
    name: str,
    settings: Settings,
    *,
    clock: Clock,
    noise: Noise,
    connect: Connect,
    adapters: Adapters,
    circuit: Circuit,
    portfolios: Portfolios,
    purpose: Purpose = Purpose.LIVE,
    fresh: bool = False,
) -> AsyncIterator[Account]:
    """The account of this name, with its journal open and recovered. Lanes and loops are not running yet.

    `clock`: Unix seconds; `noise`: random numbers from 0 to 1; `circuit`: that of the archive; `portfolios`: those of
    all accounts; `fresh`: start with an empty journal. Raises journal.files.CannotOpen.
    """
    journal = await open_journal(
        settings.server.data_dir,
        rules=factories.rules(settings),
        policy=factories.policy(settings),
        business=settings.whatsapp.phone_number_id,
        purpose=purpose,
        fresh=fresh,
        connect=connect,
        noise=noise,
    )
    try:
        await write_events(name, settings, journal, clock=clock, noise=noise)
        await _recover(journal, settings.whatsapp.phone_number_id, clock)
        yield await _around(
            factories.identity(name, settings),
            journal,
            settings,
            clock=clock,
            noise=noise,
            adapters=adapters,
            circuit=circuit,
            portfolios=portfolios,
        )
    finally:
        await journal.close()


async def _around(
    identity: Identity,
    journal: Journal,
    settings: Settings,
    *,
    clock: Clock,
    noise: Noise,
    adapters: Adapters,
    circuit: Circuit,
    portfolios: Portfolios,
) -> Account:
    """All that works with an open journal."""
    archive = adapters.archive(identity.name, lambda: {identity.phone_number_id, journal.business})
    asked = Guarded(archive, circuit) if archive is not None else None
    metrics = Metrics(journal, clock=clock, archive=archive is not None)
    watch = factories.watch(identity.name, settings, journal, clock)
    meta, templates = adapters.whatsapp(settings), adapters.templates(settings)
    calls = factories.daily_calls(settings, journal, clock)
    models = await _models(adapters, settings, calls=calls, clock=clock, observers=(metrics, watch))
    briefing = factories.briefing(settings, clock, watch.knowledge_read)
    replies = factories.replies(
        settings, journal, models, asked, meta.show_typing, calls=calls, briefing=briefing, clock=clock,
        noise=noise, observe_seconds=metrics.answer_made, on_cap=metrics.reply_capped,
    )  # fmt: skip
    limits, people = await _limits(settings, journal, portfolios, clock)
    sends = factories.sends(settings, meta, limits, clock, noise)
    given = {"clock": clock, "noise": noise}
    posts = event_posts(settings, journal, adapters, (metrics, watch), **given)
    lanes, reports = working_lanes(
        settings, journal, (replies, sends, posts), (metrics, watch, rates := Rates()), **given
    )  # fmt: skip
    metrics.lanes, metrics.limits = lanes, limits
    archiver = Archiver(journal, archive, circuit, clock=clock) if archive is not None else None
    effects = factories.effects(lanes, limits, (metrics, watch, people), templates, clock)
    service = factories.service(
        settings, journal, lanes, clock, noise, limits=limits, archive=asked, effects=effects, watch=watch,
        templates=templates,
    )  # fmt: skip
    readiness = Readiness(journal, lanes, watch, _world(sends, replies, circuit if archive is not None else None))
    return Account(
        identity, service, journal, lanes, readiness, metrics, watch, rates,
        factories.trial(settings, briefing, models.without_tools(), clock), settings,
        adapters.doctor(settings, watch, people.tell),
        loops=(*_upkeep(settings, journal, adapters, (limits, archiver), clock), people.run, *briefing.loops, *reports),
    )  # fmt: skip


def _upkeep(
    settings: Settings,
    journal: Journal,
    adapters: Adapters,
    tended: tuple[Limits, Archiver | None],
    clock: Clock,
) -> list[Callable[[], Awaitable[None]]]:
    """The loop of the timers, and those of the archiver and of what keeps media, if there are any."""
    upkeep = factories.upkeep(settings, journal, *tended, clock)
    keeper = adapters.media_keeper(settings, journal, clock)
    return [upkeep.run, *(one.run for one in (tended[1], keeper) if one is not None)]


def _world(sends: Sends, replies: Replies, circuit: Circuit | None) -> World:
    """Whether other systems work. `circuit`: that of MongoDB, None without it."""
    mongo = None if circuit is None else lambda: circuit.works
    return World(meta=lambda: sends.meta_works, model=lambda: replies.assistant_works, mongo=mongo)


async def _limits(
    settings: Settings, journal: Journal, portfolios: Portfolios, clock: Clock
) -> tuple[Limits, LimitKeeper]:
    """Meta's limits, with what was sent before the start counted, and what keeps the messaging limit."""
    limits = await factories.limits(settings, journal, clock)
    people = LimitKeeper(portfolios, journal, limits, clock)
    await people.begin()
    return limits, people


async def _models(
    adapters: Adapters,
    settings: Settings,
    *,
    calls: DailyCalls,
    clock: Clock,
    observers: Sequence[Observer],
) -> Models:
    """The models of this account, with its tools and media, and its requests to them counted."""
    return Models(
        [replace(one, model=calls.counting(one.model)) for one in await adapters.models(settings)],
        clock=clock,
        tools=adapters.tools(settings),
        attachments=adapters.attachments(settings),
        observers=observers,
    )


async def _recover(journal: Journal, number: str, clock: Clock) -> None:
    """Recover the journal from a crash, and accept webhooks kept for a number that is configured now."""
    again, doubtful = await journal.recover(clock())
    try:
        await journal.drop_files_of_nobody()
    except JournalDown as error:  # the next start tries again
        log.warning("media.not_dropped", reason=str(error))
    log.info("journal.opened", journal=journal.name, replies_again=again, sends_in_doubt=doubtful)
    webhooks, stored, now = 0, 0, clock()
    while (step := await journal.reclaim(number, now)).webhooks:
        webhooks, stored = webhooks + step.webhooks, stored + step.stored
    if webhooks:
        log.info("webhook.reclaimed", phone_number_id=number, webhooks=webhooks, stored=stored)
