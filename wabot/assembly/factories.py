"""Makes the parts of the service from the settings, one function each; account.py puts them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from wabot.accounts import Identity
from wabot.core.conversation import ANSWER_EVERY_QUIETS, ANSWERS_AT_ONCE, FirstContact
from wabot.core.handoff import HandoffRules
from wabot.core.jobs import Kind, Policy
from wabot.core.optout import Consent, folded
from wabot.core.rate_limits import Bucket, Pace, PairLedger
from wabot.core.reply_caps import ReplyCaps
from wabot.journal.accept import Rules
from wabot.journal.journal import Journal
from wabot.knowledge.briefing import Briefing
from wabot.knowledge.files import Files
from wabot.metrics import Metrics
from wabot.monitor.problem_sources import Watch
from wabot.quiet_hours import QuietHours
from wabot.service import Service
from wabot.settings.accounts import MAIN
from wabot.settings.loading import Settings
from wabot.template_list import TemplateList
from wabot.webhook_effects import WebhookEffects
from wabot.work.archive_circuit import Guarded
from wabot.work.archiver import Archiver
from wabot.work.daily_calls import DailyCalls
from wabot.work.lane import Lane
from wabot.work.models import Models
from wabot.work.portfolios import LimitKeeper
from wabot.work.reply import RecentArchive, Replies, ReplyStyle
from wabot.work.send import Graph, Limits, Sends
from wabot.work.timers import Upkeep
from wabot.work.trial import Trial
from wabot.work.typing_indicator import Show, TypingIndicator

DAY = 86400.0
HOUR = 3600.0


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
        handoff=handoff(settings),
        alerts=bool(settings.events),
    )


def handoff(settings: Settings) -> HandoffRules:
    """When a person is asked for, and what follows."""
    chosen = settings.handoff
    return HandoffRules(
        words=folded(chosen.words),
        by_assistant=chosen.by_assistant,
        notice=chosen.notice,
        resume_seconds=chosen.resume_hours * HOUR,
        unanswered_seconds=chosen.unanswered_minutes * 60,
        unanswered_notice=chosen.unanswered_notice,
        alert_number=chosen.alert_number,
        alert_template=chosen.alert_template,
        language=settings.first_contact.language,
    )


def template(settings: Settings) -> dict[str, Any]:
    """The first-contact template."""
    first = settings.first_contact
    return {"name": first.template, "language": first.language, "components": list(first.components)}


def reply_style(settings: Settings) -> ReplyStyle:
    """How to answer."""
    assistant = settings.assistant
    return ReplyStyle(
        max_age_hours=assistant.max_age_hours,
        prompt_characters=assistant.prompt_characters,
        first_contact=FirstContact(settings.first_contact.answer),
        template=template(settings),
        history_messages=assistant.history_messages,
        history_hours=assistant.history_hours,
        max_bubbles=assistant.max_bubbles,
        fallback_text=assistant.fallback_text,
    )


def reply_caps(settings: Settings) -> ReplyCaps:
    """How often one contact is answered."""
    chosen = settings.assistant
    return ReplyCaps(chosen.replies_per_contact_hour, chosen.replies_per_contact_day, chosen.limit_notice)


def briefing(
    settings: Settings,
    clock: Callable[[], float],
    on_fault: Callable[[str | None], None] = lambda _fault: None,
) -> Briefing:
    """What the model is told. Raises OSError if a file of the owner's cannot be read."""
    assistant = settings.assistant
    return Briefing(
        Files(assistant.prompt_file, assistant.knowledge_dir),
        knowledge_characters=assistant.knowledge_characters,
        max_bubbles=assistant.max_bubbles,
        handoff=settings.handoff.by_assistant,
        zone=time_zone(settings),
        clock=clock,
        on_fault=on_fault,
    )


def trial(settings: Settings, briefing: Briefing, models: Models, clock: Callable[[], float]) -> Trial:
    """What tries the assistant out."""
    return Trial(briefing, models, reply_style(settings), handoff=handoff(settings), clock=clock)


def time_zone(settings: Settings) -> tzinfo:
    """The time zone in which days begin for the assistant."""
    return ZoneInfo(settings.assistant.timezone or settings.bulk.timezone)


def daily_calls(settings: Settings, journal: Journal, clock: Callable[[], float]) -> DailyCalls:
    """How often the models may be asked in a day."""
    return DailyCalls(journal, most=settings.assistant.calls_per_day, zone=time_zone(settings), clock=clock)


async def limits(settings: Settings, journal: Journal, clock: Callable[[], float]) -> Limits:
    """Both rate limits, with what was sent before the restart counted."""
    delivery, now = settings.delivery, clock()
    pairs = PairLedger(delivery.pair_interval_seconds, delivery.pair_burst)
    limits = Limits(Bucket(delivery.messages_per_second, now), pairs)
    remembered = delivery.pair_interval_seconds * delivery.pair_burst
    limits.remember(await journal.recently_sent(now - remembered), now)
    return limits


def sends(
    settings: Settings, graph: Graph, limits: Limits, clock: Callable[[], float], noise: Callable[[], float]
) -> Sends:
    """The handler of send jobs."""
    at_once = settings.delivery.sends_at_once
    quiet = QuietHours.of(settings.bulk.quiet_hours, ZoneInfo(settings.bulk.timezone))
    return Sends(
        graph,
        limits=limits,
        policy=policy(settings),
        clock=clock,
        noise=noise,
        at_once=at_once,
        bulk_waits=quiet.wait,
    )


def identity(name: str, settings: Settings) -> Identity:
    """What tells the account of this name from the others."""
    meta, unsigned = settings.whatsapp, settings.whatsapp.allow_unsigned
    secret = meta.app_secret.get_secret_value()
    return Identity(
        name,
        meta.phone_number_id,
        meta.business_account_id,
        app_secret=None if unsigned and not secret else secret.encode(),
        verify_token=meta.verify_token.get_secret_value(),
        api_keys=tuple(key.get_secret_value() for key in settings.server.api_keys),
    )


def replies(
    settings: Settings,
    journal: Journal,
    assistant: Models,
    archive: RecentArchive | None,
    show_typing: Show,
    *,
    calls: DailyCalls,
    briefing: Briefing,
    clock: Callable[[], float],
    noise: Callable[[], float],
    observe_seconds: Callable[[float], None],
    on_cap: Callable[[str], None],
) -> Replies:
    """The handler of reply jobs."""
    return Replies(
        journal,
        assistant,
        archive,
        briefing=briefing,
        style=reply_style(settings),
        policy=policy(settings),
        pace=Pace(ANSWER_EVERY_QUIETS * settings.assistant.quiet_seconds, ANSWERS_AT_ONCE),
        clock=clock,
        noise=noise,
        typing=TypingIndicator(show_typing).while_answering if settings.assistant.typing else None,
        calls_are_spent=calls.are_spent,
        caps=reply_caps(settings),
        handoff=handoff(settings),
        on_cap=on_cap,
        observe_seconds=observe_seconds,
    )


def upkeep(
    settings: Settings, journal: Journal, limits: Limits, archiver: Archiver | None, clock: Callable[[], float]
) -> Upkeep:
    """The timers. Without MongoDB the journal is the archive, and messages are not deleted."""
    return Upkeep(
        journal,
        limits.pairs,
        retention_seconds=settings.server.retention_days * DAY,
        prune_messages=archiver.prune if archiver is not None else None,
        clock=clock,
    )


def watch(name: str, settings: Settings, journal: Journal, clock: Callable[[], float]) -> Watch:
    """The watch of the account of this name, which turns failures into problems."""
    return Watch(
        journal,
        data_dir=settings.server.data_dir,
        ignored_numbers=frozenset(settings.whatsapp.ignore_phone_number_ids),
        clock=clock,
        account="" if name == MAIN else name,
    )


def effects(
    lanes: Mapping[Kind, Lane],
    limits: Limits,
    watching: tuple[Metrics, Watch, LimitKeeper],
    templates: TemplateList,
    clock: Callable[[], float],
) -> WebhookEffects:
    """What webhooks change beyond the journal."""
    metrics, watch, people = watching
    return WebhookEffects(
        lanes[Kind.SEND],
        limits.bucket,
        clock,
        on_account=watch.account_said,
        on_template=watch.template_changed,
        on_list=templates.changed,
        on_limit=people.tell,
        on_handoffs=metrics.handed_off,
    )


def service(
    settings: Settings,
    journal: Journal,
    lanes: Mapping[Kind, Lane],
    clock: Callable[[], float],
    noise: Callable[[], float],
    *,
    limits: Limits,
    archive: Guarded | None,
    effects: WebhookEffects,
    watch: Watch,
    templates: TemplateList,
) -> Service:
    """The operations behind the HTTP API."""
    return Service(
        journal,
        lanes,
        archive=archive,
        effects=effects,
        watch=watch,
        template=template(settings),
        templates=templates,
        check_templates=settings.bulk.check_templates,
        limits=limits,
        clock=clock,
        noise=noise,
        takeover_seconds=settings.handoff.resume_hours * HOUR,
    )
