"""Makes the parts of the service from the settings, one function each; bootstrap puts them together."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from wabot.adapters.whatsapp import WhatsApp
from wabot.assembly.clock import SteadyClock
from wabot.assembly.knowledge_files import knowledge_texts, prompt_text
from wabot.core.conversation import ANSWER_EVERY_QUIETS, ANSWERS_AT_ONCE, FirstContact, system_prompt
from wabot.core.exceptions import AssistantFailed
from wabot.core.jobs import Kind, Policy
from wabot.core.optout import Consent
from wabot.core.rate_limits import Bucket, Pace, PairLedger
from wabot.doctor.doctor import Doctor, Surroundings
from wabot.journal.accept import Rules
from wabot.journal.inspection import inspect
from wabot.journal.journal import Journal
from wabot.monitor.problem_sources import Watch
from wabot.service import Service
from wabot.settings.loading import Settings
from wabot.webhook_effects import WebhookEffects
from wabot.work.archiver import Archiver
from wabot.work.circuit import Circuit, Guarded
from wabot.work.lane import Lane
from wabot.work.reply import Assistant, RecentArchive, Replies, ReplyStyle
from wabot.work.send import Limits, Sends
from wabot.work.timers import Upkeep

DAY = 86400.0


def policy(settings: Settings) -> Policy:
    """The limits and waits of sends."""
    delivery = settings.delivery
    return Policy(
        attempts=delivery.attempts,
        backoff_base_seconds=delivery.backoff_base_seconds,
        backoff_max_seconds=delivery.backoff_max_seconds,
        hold_seconds=delivery.hold_seconds,
        resend_in_doubt=delivery.in_doubt == "resend",
    )


def rules(settings: Settings) -> Rules:
    """How webhooks are processed."""
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


def reply_style(settings: Settings) -> ReplyStyle:
    """How to answer. The prompt and the knowledge files are read once, here."""
    assistant = settings.assistant
    return ReplyStyle(
        system=system_prompt(prompt_text(assistant.prompt_file), knowledge_texts(assistant.knowledge_dir)),
        first_contact=FirstContact(settings.first_contact.answer),
        template=template(settings),
        history_messages=assistant.history_messages,
        fallback_text=assistant.fallback_text,
    )


async def assistant(settings: Settings, session: aiohttp.ClientSession, stack: AsyncExitStack) -> Assistant:
    """The configured model. Only its own module is imported: Google's package costs half a second and 64 MB."""
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


async def mongo(settings: Settings, stack: AsyncExitStack) -> Any:
    """MongoDB, or None if the journal is the archive."""
    uri = settings.mongo.uri.get_secret_value()
    if not uri:
        return None
    from wabot.adapters.mongo import MongoArchive  # noqa: PLC0415

    archive = MongoArchive(uri, database=settings.mongo.database, collection=settings.mongo.collection)
    stack.push_async_callback(archive.close)
    return archive


async def archive(settings: Settings, stack: AsyncExitStack) -> tuple[Any, Guarded | None, Circuit]:
    """MongoDB for the archiver and, guarded, for queries (both None without MongoDB); and the circuit of both."""
    archive, circuit = await mongo(settings, stack), Circuit()
    return archive, Guarded(archive, circuit) if archive is not None else None, circuit


def whatsapp(settings: Settings, session: aiohttp.ClientSession) -> WhatsApp:
    """The client for the messages endpoint."""
    meta = settings.whatsapp
    return WhatsApp(
        session,
        graph_api_base=meta.graph_api_base,
        phone_number_id=meta.phone_number_id,
        access_token=meta.access_token.get_secret_value(),
    )


async def limits(settings: Settings, journal: Journal, clock: SteadyClock) -> Limits:
    """Both rate limits, with what was sent before the restart counted."""
    delivery, now = settings.delivery, clock()
    pairs = PairLedger(delivery.pair_interval_seconds, delivery.pair_burst)
    limits = Limits(Bucket(delivery.messages_per_second, now), pairs)
    remembered = delivery.pair_interval_seconds * delivery.pair_burst
    limits.remember(await journal.recently_sent(now - remembered), now)
    return limits


def sends(settings: Settings, session: aiohttp.ClientSession, limits: Limits, clock: SteadyClock) -> Sends:
    """The handler of send jobs."""
    return Sends(whatsapp(settings, session), limits=limits, policy=policy(settings), clock=clock)


def app_secret(settings: Settings) -> bytes | None:
    """The app secret; None (accept unsigned webhooks) if it is not set and `whatsapp.allow_unsigned` is."""
    secret = settings.whatsapp.app_secret.get_secret_value()
    return secret.encode() if secret or not settings.whatsapp.allow_unsigned else None


def replies(
    settings: Settings,
    journal: Journal,
    assistant: Assistant,
    archive: RecentArchive | None,
    clock: SteadyClock,
    *,
    observe_seconds: Callable[[float], None],
    on_answer: Callable[[AssistantFailed | None], None],
) -> Replies:
    """The handler of reply jobs."""
    return Replies(
        journal,
        assistant,
        archive,
        style=reply_style(settings),
        policy=policy(settings),
        pace=Pace(ANSWER_EVERY_QUIETS * settings.assistant.quiet_seconds, ANSWERS_AT_ONCE),
        clock=clock,
        observe_seconds=observe_seconds,
        on_answer=on_answer,
    )


def upkeep(
    settings: Settings, journal: Journal, limits: Limits, archiver: Archiver | None, clock: SteadyClock
) -> Upkeep:
    """The timers. Without MongoDB the journal is the archive, and messages are not deleted."""
    return Upkeep(
        journal,
        limits.pairs,
        retention_seconds=settings.server.retention_days * DAY,
        prune_messages=archiver.prune if archiver is not None else None,
        clock=clock,
    )


def watch(settings: Settings, journal: Journal, clock: SteadyClock) -> Watch:
    """The watch, which turns failures into problems."""
    return Watch(
        journal,
        data_dir=settings.server.data_dir,
        ignored_numbers=frozenset(settings.whatsapp.ignore_phone_number_ids),
        clock=clock,
    )


def doctor(settings: Settings, session: aiohttp.ClientSession, archive: Any, watch: Watch) -> Doctor:
    """The doctor within the service: it does not read the whole journal and does not call the model."""
    data_dir = settings.server.data_dir
    around = Surroundings(
        session,
        journal=lambda: asyncio.to_thread(inspect, data_dir, whole=False),
        archive=archive,
        assistant=None,
        model=watch.last_answer,
    )
    return Doctor(settings, around, clock=time.time)


def service(
    settings: Settings,
    journal: Journal,
    lanes: Mapping[Kind, Lane],
    clock: SteadyClock,
    *,
    archive: Guarded | None,
    effects: WebhookEffects,
    watch: Watch,
) -> Service:
    """The operations behind the HTTP API."""
    return Service(
        journal,
        lanes,
        archive=archive,
        effects=effects,
        watch=watch,
        template=template(settings),
        app_secret=app_secret(settings),
        phone_number_id=settings.whatsapp.phone_number_id,
        account_id=settings.whatsapp.business_account_id,
        ignored_numbers=frozenset(settings.whatsapp.ignore_phone_number_ids),
        clock=clock,
        noise=random.random,
    )
