"""Opens everything in order, closes it in reverse. The only module that knows all the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from wabot.adapters.whatsapp import WhatsApp
from wabot.clock import SteadyClock
from wabot.core.conversation import FirstContact, system_prompt
from wabot.core.jobs import Kind, Policy
from wabot.core.limits import Bucket, PairLedger
from wabot.core.optout import Consent
from wabot.journal.accept import Rules
from wabot.journal.journal import Journal, open_journal
from wabot.log import get_logger
from wabot.metrics import Metrics
from wabot.service import Service
from wabot.settings import Settings
from wabot.web.app import make_app
from wabot.web.outbox import METRICS
from wabot.web.server import Runner
from wabot.work.record import Recorder
from wabot.work.reply import Assistant, Manner, Replies
from wabot.work.runner import Lane
from wabot.work.send import Limits, Sends
from wabot.work.upkeep import Upkeep

ANSWER_SECONDS, DRAIN_SECONDS = 1.0, 7.0
"""At the end: for requests to be answered (aiohttp may take it twice), then for jobs in flight; the promise is 10."""
DAY = 86400.0

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta

log = get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """wabot at work: where it listens, and its parts for whoever must look inside."""

    url: str
    service: Service
    journal: Journal


@asynccontextmanager
async def run(settings: Settings) -> AsyncIterator[Running]:
    """Everything, from the journal to the socket. Raises journal.opening.CannotOpen, OSError (address in use)."""
    async with AsyncExitStack() as stack:
        clock = SteadyClock()
        journal = await open_journal(
            settings.server.data_dir,
            rules=rules(settings),
            policy=policy(settings),
            business=settings.whatsapp.phone_number_id,
        )
        stack.push_async_callback(journal.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        archive = await _archive(settings, stack)
        metrics = Metrics(journal, clock=clock, archive=archive is not None)
        replies = Replies(
            journal,
            await _assistant(settings, session, stack),
            archive,
            manner=manner(settings),
            policy=policy(settings),
            clock=clock,
            observe_seconds=metrics.model_answered,
        )
        limits = await _limits(settings, journal, clock)
        sends = Sends(_whatsapp(settings, session), limits=limits, policy=policy(settings), clock=clock)
        lanes = {
            kind: Lane(
                kind,
                journal,
                handler,
                concurrency=settings.delivery.concurrency,
                clock=clock,
                on_settled=metrics.job_settled,
            )
            for kind, handler in ((Kind.REPLY, replies), (Kind.SEND, sends))
        }
        metrics.lanes = lanes
        journal.notify = lambda kind, due: lanes[kind].wake(due)
        again, doubtful = await journal.recover(clock())
        log.info("journal.opened", journal=journal.name, replies_again=again, sends_in_doubt=doubtful)

        recorder = Recorder(journal, archive) if archive is not None else None
        upkeep = Upkeep(
            journal,
            limits.pairs,
            retention_seconds=settings.server.retention_days * DAY,
            embedded=archive is None,
            clock=clock,
        )
        service = Service(
            journal,
            lanes,
            archive=archive,
            archive_works=lambda: recorder.archive_works if recorder else None,
            replies=replies,
            sends=sends,
            limits=limits,
            template=template(settings),
            app_secret=_app_secret(settings),
            phone_number_id=settings.whatsapp.phone_number_id,
            clock=clock,
        )
        await stack.enter_async_context(_background(upkeep.run(), *([recorder.run()] if recorder else [])))
        await stack.enter_async_context(_working(lanes.values()))
        url = await stack.enter_async_context(_serving(settings, service, metrics))
        yield Running(url, service, journal)


@asynccontextmanager
async def run_sandbox(settings: Settings) -> AsyncIterator[tuple[Running, Meta, str]]:
    """wabot with a stand-in for Meta in the same process: (wabot, the stand-in, its address)."""
    from wabot.sandbox.behaviour import Behaviour  # noqa: PLC0415
    from wabot.sandbox.meta import Meta, serve  # noqa: PLC0415

    account = settings.whatsapp
    meta = Meta(
        access_token=account.access_token.get_secret_value(),
        phone_number_id=account.phone_number_id,
        app_secret=account.app_secret.get_secret_value(),
        verify_token=account.verify_token.get_secret_value(),
        behaviour=Behaviour(by_number=True),
    )
    runner, url = await serve(meta, "127.0.0.1", 0)
    try:
        pointed = account.model_copy(update={"graph_api_base": f"{url}/v25.0"})
        async with run(settings.model_copy(update={"whatsapp": pointed})) as running:
            meta.webhook_url = f"{running.url}/webhook"
            yield running, meta, url
    finally:
        await runner.cleanup()


def policy(settings: Settings) -> Policy:
    """How patient we are."""
    delivery = settings.delivery
    return Policy(
        attempts=delivery.attempts,
        backoff_base_seconds=delivery.backoff_base_seconds,
        backoff_max_seconds=delivery.backoff_max_seconds,
        hold_seconds=delivery.hold_seconds,
        resend_in_doubt=delivery.in_doubt == "resend",
    )


def rules(settings: Settings) -> Rules:
    """What a delivery is taken in by."""
    words = settings.optout
    return Rules(
        quiet_seconds=settings.assistant.quiet_seconds,
        quiet_max_seconds=settings.assistant.quiet_max_seconds,
        reply_expires_seconds=settings.delivery.reply_expires_seconds,
        consent=Consent.of(words.stop_words, words.start_words, words.confirmation, words.welcome_back),
    )


def template(settings: Settings) -> dict[str, Any]:
    """The first-contact template."""
    first = settings.first_contact
    return {"name": first.template, "language": first.language, "components": list(first.components)}


def manner(settings: Settings) -> Manner:
    """How we answer. The prompt and the knowledge are read once, here."""
    assistant = settings.assistant
    instructions = assistant.prompt_file.read_text("utf-8") if assistant.prompt_file else None
    files = sorted(assistant.knowledge_dir.iterdir()) if assistant.knowledge_dir else []
    knowledge = {file.name: file.read_text("utf-8") for file in files if file.suffix in (".md", ".txt")}
    return Manner(
        system=system_prompt(instructions, knowledge),
        first_contact=FirstContact(settings.first_contact.answer),
        template=template(settings),
        history_messages=assistant.history_messages,
        fallback_text=assistant.fallback_text,
    )


async def _assistant(settings: Settings, session: aiohttp.ClientSession, stack: AsyncExitStack) -> Assistant:
    """The chosen model. Its module is imported only then: Google's package costs half a second and 64 MB."""
    chosen = settings.assistant
    if chosen.provider == "gemini":
        from wabot.adapters.gemini import Gemini  # noqa: PLC0415

        gemini = Gemini(
            api_key=chosen.api_key.get_secret_value(),
            model=chosen.model,
            base_url=chosen.base_url,
            timeout_seconds=chosen.timeout_seconds,
            threads=settings.delivery.concurrency,
        )
        stack.push_async_callback(gemini.close)
        return gemini
    if chosen.provider == "openai":
        from wabot.adapters.openai import OpenAI  # noqa: PLC0415

        return OpenAI(
            session,
            base_url=chosen.base_url,
            api_key=chosen.api_key.get_secret_value(),
            model=chosen.model,
            timeout_seconds=chosen.timeout_seconds,
        )
    from wabot.adapters.canned import Canned  # noqa: PLC0415

    return Canned()


async def _archive(settings: Settings, stack: AsyncExitStack) -> Any:
    """MongoDB, or None: then the journal is the archive."""
    uri = settings.mongo.uri.get_secret_value()
    if not uri:
        return None
    from wabot.adapters.mongo import MongoArchive  # noqa: PLC0415

    archive = MongoArchive(uri, database=settings.mongo.database, collection=settings.mongo.collection)
    stack.push_async_callback(archive.close)
    return archive


def _whatsapp(settings: Settings, session: aiohttp.ClientSession) -> WhatsApp:
    meta = settings.whatsapp
    return WhatsApp(
        session,
        graph_api_base=meta.graph_api_base,
        phone_number_id=meta.phone_number_id,
        access_token=meta.access_token.get_secret_value(),
    )


async def _limits(settings: Settings, journal: Journal, clock: SteadyClock) -> Limits:
    """Both budgets, as what was sent before the restart leaves them."""
    delivery, now = settings.delivery, clock()
    pairs = PairLedger(delivery.pair_interval_seconds, delivery.pair_burst)
    limits = Limits(Bucket(delivery.messages_per_second, now), pairs)
    remembered = delivery.pair_interval_seconds * delivery.pair_burst
    limits.remember(await journal.recently_sent(now - remembered), now)
    return limits


def _app_secret(settings: Settings) -> bytes | None:
    """None: unsigned webhooks are taken, because whoever runs this said so and there is no secret to check with."""
    secret = settings.whatsapp.app_secret.get_secret_value()
    return secret.encode() if secret or not settings.whatsapp.allow_unsigned else None


@asynccontextmanager
async def _background(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _working(lanes: Any) -> AsyncIterator[None]:
    """The lanes; at the end what is in flight gets some seconds, and the rest stays queued."""
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
async def _serving(settings: Settings, service: Service, metrics: Metrics) -> AsyncIterator[str]:
    app = make_app(
        service,
        api_keys=[key.get_secret_value() for key in settings.server.api_keys],
        verify_token=settings.whatsapp.verify_token.get_secret_value(),
        wait_seconds=settings.api.wait_seconds,
    )
    app[METRICS] = metrics
    runner = Runner(app, shutdown_timeout=ANSWER_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.server.host, settings.server.port, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()
