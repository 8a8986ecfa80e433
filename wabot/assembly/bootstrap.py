"""Opens everything in order and closes it in reverse. Only this module and `factories` know all the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from wabot import api_keys, running_address
from wabot.assembly import factories
from wabot.assembly.clock import SteadyClock
from wabot.core.jobs import Job, Kind, Outcome, State
from wabot.doctor.doctor import Doctor
from wabot.journal.journal import Journal, open_journal
from wabot.journal.opening import Purpose
from wabot.log import get_logger
from wabot.metrics import Metrics
from wabot.monitor.health import Health, World
from wabot.monitor.problem_sources import Watch
from wabot.service import Service
from wabot.settings.loading import Settings
from wabot.web.app import make_app
from wabot.web.auth import Gate
from wabot.web.health import HEALTH
from wabot.web.metrics import METRICS
from wabot.web.server import Runner, listen
from wabot.webhook_effects import WebhookEffects
from wabot.work.archiver import Archiver
from wabot.work.lane import Handler, Lane
from wabot.work.reply import Replies
from wabot.work.send import Sends

ANSWER_SECONDS, DRAIN_SECONDS = 1.0, 7.0
"""At the stop: time for open requests (aiohttp may use it twice), then for jobs in flight; at most 10 s in all."""
BROKEN_SECONDS = 5.0
"""Pause before a background loop is restarted after a bug."""

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta

log = get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A running wabot: its URL, and its parts (for the sandbox and tests)."""

    url: str
    service: Service
    journal: Journal
    lanes: Mapping[Kind, Lane]
    watch: Watch
    doctor: Doctor
    api_keys: Sequence[str]


@asynccontextmanager
async def run(
    settings: Settings, *, sandbox: bool = False, fresh: bool = False, examine: bool = True
) -> AsyncIterator[Running]:
    """Run the whole service, from the journal to the socket.

    Raises journal.files.CannotOpen, api_keys.UnusableKey, web.server.CannotListen. `sandbox`: requests from
    this machine need no key. `fresh`: start with an empty journal. `examine`: run doctor now and every hour, and turn
    its findings into problems.
    """
    async with AsyncExitStack() as stack:
        clock = SteadyClock()
        journal = await _journal(settings, clock, stack, Purpose.SANDBOX if sandbox else Purpose.LIVE, fresh)
        accepted = () if sandbox else api_keys.of_service(settings.server)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        archive, asked, circuit = await factories.archive(settings, stack)
        metrics = Metrics(journal, clock=clock, archive=archive is not None)
        assistant = await factories.assistant(settings, session, stack)
        watch = factories.watch(settings, journal, clock)
        circuit.on_change = watch.archive_changed
        replies = factories.replies(
            settings, journal, assistant, asked, clock,
            observe_seconds=metrics.model_answered, on_answer=watch.model_answered,
        )  # fmt: skip
        limits = await factories.limits(settings, journal, clock)
        sends = factories.sends(settings, session, limits, clock)
        lanes = metrics.lanes = _lanes(settings, journal, replies, sends, watching=(metrics, watch), clock=clock)
        archiver = Archiver(journal, archive, circuit) if archive is not None else None
        upkeep = factories.upkeep(settings, journal, limits, archiver, clock)
        effects = WebhookEffects(
            lanes[Kind.SEND], limits.bucket, clock, on_account=watch.account_said, on_template=watch.template_changed
        )
        service = factories.service(settings, journal, lanes, clock, archive=asked, effects=effects, watch=watch)
        mongo_works = None if archive is None else lambda: circuit.works
        world = World(meta=lambda: sends.meta_works, model=lambda: replies.assistant_works, mongo=mongo_works)
        health = Health(journal, lanes, watch, world)
        await stack.enter_async_context(_background(upkeep.run, *([archiver.run] if archiver else [])))
        await stack.enter_async_context(_working(lanes.values()))
        gate = Gate(accepted, open_to_this_machine=sandbox)
        url = await stack.enter_async_context(_serving(settings, service, health, metrics, gate))
        doctor = factories.doctor(settings, session, archive, watch)
        if examine:
            await stack.enter_async_context(_background(partial(watch.run, doctor)))
        urls = {"wabot": url, "graph": settings.whatsapp.graph_api_base}
        stack.enter_context(running_address.kept(settings.server.data_dir, **urls))
        yield Running(url, service, journal, lanes, watch, doctor, accepted)


async def _journal(
    settings: Settings, clock: SteadyClock, stack: AsyncExitStack, purpose: Purpose, fresh: bool
) -> Journal:
    """Open the journal and recover it from a crash; accept webhooks kept for a number that is configured now."""
    journal = await open_journal(
        settings.server.data_dir,
        rules=factories.rules(settings),
        policy=factories.policy(settings),
        business=settings.whatsapp.phone_number_id,
        purpose=purpose,
        fresh=fresh,
    )
    stack.push_async_callback(journal.close)
    again, doubtful = await journal.recover(clock())
    log.info("journal.opened", journal=journal.name, replies_again=again, sends_in_doubt=doubtful)
    number, webhooks, stored = settings.whatsapp.phone_number_id, 0, 0
    while (step := await journal.reclaim(number, clock())).webhooks:
        webhooks, stored = webhooks + step.webhooks, stored + step.stored
    if webhooks:
        log.info("webhook.reclaimed", phone_number_id=number, webhooks=webhooks, stored=stored)
    return journal


@asynccontextmanager
async def run_sandbox(settings: Settings, *, keep: bool = False) -> AsyncIterator[tuple[Running, Meta, str]]:
    """Run wabot with a stand-in for Meta in the same process: (wabot, the stand-in, its address).

    It starts with a new journal unless `keep`. With `keep` the stand-in, which remembers nothing of the last run, does
    not check the 24-hour window.
    """
    from wabot.sandbox.behaviour import Behaviour  # noqa: PLC0415
    from wabot.sandbox.meta import Meta, serve  # noqa: PLC0415

    account = settings.whatsapp
    meta = Meta(
        access_token=account.access_token.get_secret_value(),
        phone_number_id=account.phone_number_id,
        app_secret=account.app_secret.get_secret_value(),
        verify_token=account.verify_token.get_secret_value(),
        business_account_id=account.business_account_id,
        window=None if keep else "receipt",
        behaviour=Behaviour(by_number=True, throughput=80, pair_limit=True),
    )
    first = factories.template(settings)
    meta.templates.suppose(first["name"], first["language"], first["components"])
    runner, url = await serve(meta, "127.0.0.1", 0)
    try:
        pointed = account.model_copy(update={"graph_api_base": f"{url}/v26.0"})
        async with run(settings.model_copy(update={"whatsapp": pointed}), sandbox=True, fresh=not keep) as running:
            meta.webhook_url = f"{running.url}/webhook"
            meta.on_mended = running.lanes[Kind.SEND].probe
            yield running, meta, url
    finally:
        await runner.cleanup()


def _lanes(
    settings: Settings,
    journal: Journal,
    replies: Replies,
    sends: Sends,
    *,
    watching: tuple[Metrics, Watch],
    clock: SteadyClock,
) -> dict[Kind, Lane]:
    """A lane for each kind of job; the journal wakes it when it has one."""
    metrics, watch = watching

    def settled(job: Job, outcome: Outcome, state: State | None) -> None:
        metrics.job_settled(job, outcome, state)
        watch.job_settled(outcome)

    handlers: Mapping[Kind, Handler] = {Kind.REPLY: replies, Kind.SEND: sends}
    lanes = {
        kind: Lane(
            kind,
            journal,
            handler,
            concurrency=settings.delivery.concurrency,
            clock=clock,
            on_settled=settled,
            on_change=watch.lane_changed,
        )
        for kind, handler in handlers.items()
    }
    journal.notify = lambda kind, due: lanes[kind].wake(due)
    return lanes


@asynccontextmanager
async def _background(*loops: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_again_and_again(loop)) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again_and_again(loop: Callable[[], Awaitable[None]]) -> None:
    """Run a background loop, and restart it after a bug: without it holds would not end, and nothing be archived."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("background.broken")
            await asyncio.sleep(BROKEN_SECONDS)


@asynccontextmanager
async def _working(lanes: Any) -> AsyncIterator[None]:
    """Run the lanes. At the end jobs in flight get DRAIN_SECONDS; the rest stays queued."""
    tasks = [asyncio.create_task(lane.run(), name=f"lane {lane.kind}") for lane in lanes]
    try:
        yield
    finally:
        late = await asyncio.gather(*(lane.drain(DRAIN_SECONDS) for lane in lanes))
        log.info("lanes.drained", unfinished=sum(late))
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def _serving(
    settings: Settings, service: Service, health: Health, metrics: Metrics, gate: Gate
) -> AsyncIterator[str]:
    app = make_app(
        service,
        gate=gate,
        verify_token=settings.whatsapp.verify_token.get_secret_value(),
        wait_seconds=settings.api.wait_seconds,
    )
    app[METRICS], app[HEALTH] = metrics, health
    runner = Runner(app, shutdown_timeout=ANSWER_SECONDS)
    await runner.setup()
    try:
        yield await listen(runner, settings.server.host, settings.server.port)
    finally:
        await runner.cleanup()
