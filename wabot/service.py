"""The operations behind the HTTP API, without HTTP: plain values in and out, named errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from wabot.batch_building import Bulk, check_time, dry_run, new_batch
from wabot.core.answer_size import Room
from wabot.core.exceptions import InvalidInput
from wabot.core.jobs import Kind
from wabot.core.messages import Webhook
from wabot.core.new_ids import new_id
from wabot.core.phone_numbers import InvalidNumber, identify
from wabot.core.template_check import Components
from wabot.core.templates import Template
from wabot.histories import Histories, History, HistoryArchive
from wabot.journal.batches import Queued
from wabot.journal.contact_list_and_search import Question
from wabot.journal.erasure import Erased
from wabot.journal.journal import Journal
from wabot.journal.single_messages import NewSingle, NotQueued, Reason
from wabot.journal.takeover import UNTIL_RESUMED
from wabot.log import get_logger
from wabot.message_building import NotSendable, OneMessage
from wabot.monitor.problem_sources import Watch
from wabot.offload import Offload
from wabot.operations import JOB_ID, Operations
from wabot.template_list import TemplateList
from wabot.template_refusals import TemplateRefusals
from wabot.webhook_effects import WebhookEffects
from wabot.work.lane import Lane
from wabot.work.send import Limits

ARCHIVE_SECONDS = 5.0
"""How long a request waits for the archive to forget somebody."""

_EMPTY = Webhook()

log = get_logger()


class KeyConflict(InvalidInput):
    """The Idempotency-Key was used for another request."""


class Service(Operations):
    """The operations of wabot: webhooks, bulk sends, history, contacts, and (Operations) outbox and batches."""

    def __init__(
        self,
        journal: Journal,
        lanes: Mapping[Kind, Lane],
        *,
        archive: HistoryArchive | None,
        effects: WebhookEffects,
        watch: Watch,
        template: Mapping[str, Any],
        templates: TemplateList,
        check_templates: bool = True,
        limits: Limits,
        clock: Callable[[], float],
        noise: Callable[[], float],
        takeover_seconds: float = 0.0,
    ) -> None:
        self._journal, self._lanes, self._archive = journal, lanes, archive
        self._histories = Histories(journal, archive)
        self._effects, self._watch = effects, watch
        self._template, self._clock, self._noise = template, clock, noise
        self._takeover_seconds = takeover_seconds
        self._offload = Offload()
        self.templates, self._limits = templates, limits
        self._refusals = TemplateRefusals(templates, self._offload) if check_templates and templates.can_ask else None

    async def accept(self, incoming: Webhook) -> int:
        """Store what a webhook says to our number; how many messages were new. Raises JournalDown."""
        if incoming != _EMPTY:
            self._watch.webhook_arrived()
        taken = await self._journal.accept(incoming, self._clock())
        self._effects.apply(incoming, taken)
        return taken.stored

    async def initiate(self, bulk: Bulk) -> tuple[str, bool]:
        """Queue a batch: its id, and whether it existed already. Raises TemplateRefused, KeyConflict, JournalDown."""
        category = None
        if not await self._is_queued(bulk.key):
            category = await self._category(bulk.template or self._template, await self._judge(bulk))
        batch = await self._offload(new_batch, bulk, self._template, new_id(self._noise, 16), category)
        if batch.send_at is not None and batch.send_at <= self._clock():
            batch = replace(batch, send_at=None)  # what was asked stays in the fingerprint
        queued = await self._journal.queue_batch(batch, self._clock())
        _refuse_conflict(queued)
        if not queued.known:
            log.info("batch.queued", batch=queued.id, recipients=len(batch.recipients))
        return queued.id, queued.known

    async def limits_used(self) -> dict[str, Any]:
        """Meta's limits: messages per second (0: none), how many new people of how many (None: no limit known), and how
        many contacts wait for the limit of messages to one person.
        """
        people, most = self._limits.people, self._limits.people.most
        return {
            "per_second": self._limits.bucket.allowed,
            "new_people": people.used(self._clock()),
            "most_new_people": int(most) if most < math.inf else None,
            "held_by_pair_limit": await self._journal.held_by_pair_limit(self._clock()),
        }

    async def dry_run(self, bulk: Bulk) -> dict[str, Any]:
        """What a batch would send, and to whom it would not; nothing is queued. Raises InvalidInput, JournalDown."""
        category = await self._category(bulk.template or self._template, await self._judge(bulk))
        batch = await self._offload(new_batch, bulk, self._template, "", category)
        stops = await self._journal.stopped(list({each.number for each in batch.recipients if each.number}))
        return dry_run(batch, stops, partial(self._limits.seconds, now=self._clock()))

    async def _judge(self, bulk: Bulk) -> Template | None:
        """The template of a batch, if Meta can be asked. Raises TemplateRefused, and InvalidField for its time."""
        check_time(bulk, self._clock())
        template = bulk.template or self._template
        shared = template.get("components") or ()
        each = [shared if one.components is None else one.components for one in bulk.recipients if bulk.by_recipient]
        return await self._check(template, each or [shared], own=bulk.by_recipient)

    async def send(self, message: OneMessage) -> tuple[str, bool]:
        """Queue one message to one person: an id to `wait` for and for `sent`, and whether it was queued already.

        Raises NotSendable, TemplateRefused, KeyConflict, JournalDown.
        """
        try:
            identity = identify(message.number)
        except InvalidNumber as error:
            raise NotSendable(Reason.INVALID_NUMBER, "number") from error
        template, category = message.outgoing.content.get("template"), None
        if template is not None and not await self._is_queued(message.key):
            named = {"name": template["name"], "language": template["language"]["code"]}
            judged = await self._check(named, [template.get("components") or ()], own=False)
            category = await self._category(named, judged)
        single = NewSingle(
            new_id(self._noise, 16),
            message.key,
            message.fingerprint,
            identity,
            message.outgoing,
            message.quotes,
            takeover_seconds=self._takeover_seconds if message.takeover else 0.0,
            category=category,
        )
        queued = await self._journal.queue_single(single, self._clock())
        if isinstance(queued, NotQueued):
            raise NotSendable(queued.reason, queued.field, queued.words)
        _refuse_conflict(queued)
        return queued.id, queued.known

    async def _is_queued(self, key: str | None) -> bool:
        """Whether an Idempotency-Key stands for something that is queued: it is not judged again."""
        return key is not None and await self._journal.knows_key(key)

    async def _check(self, template: Mapping[str, Any], each: Sequence[Components], *, own: bool) -> Template | None:
        """The template that Meta would send, if it can be asked. Raises TemplateRefused."""
        if self._refusals is None:
            return None
        return await self._refusals.check(template["name"], template["language"], each, own=own)

    async def _category(self, template: Mapping[str, Any], judged: Template | None) -> str | None:
        """The category of a template, which Meta listed as `judged` if it could be asked; None if it is not known."""
        if judged is not None:
            return judged.category or None
        return await self.templates.category(template["name"], template["language"])

    async def sent(self, single_id: str) -> dict[str, Any]:
        """What became of one message to one person so far, as one line of a batch."""
        return self._result(await self._journal.single_result(single_id))

    async def wait(self, batch_id: str, seconds: float) -> None:
        """Wait until a batch is settled, at most `seconds`."""
        await self._journal.batch_settled(batch_id, seconds)

    def stop_waiting(self) -> None:
        """End all waits for batches, because wabot stops."""
        self._journal.let_watchers_go()

    async def history(
        self,
        number: str,
        limit: int,
        include: Sequence[str] = (),
        room: Room | None = None,
        before: str | None = None,
    ) -> History:
        """The messages with a person, newest first: those of the archive, and those that only the journal has so far.

        `before`: the id of the message after which they begin. Raises InvalidNumber, UnknownMessage, ArchiveDown, and
        TooLong if they do not fit into `room`.
        """
        return await self._histories.of(identify(number), limit, include, room or Room(), before)

    async def set_stop(self, number: str, *, stop: bool) -> str:
        """Opt a person out, or in again. Returns their digits or BSUID. Raises InvalidNumber."""
        identity = identify(number)
        await self._journal.set_stop(identity, self._clock(), stop=stop)
        return identity

    async def contact(self, number: str) -> dict[str, Any] | None:
        """A person as the journal knows them; None if it does not. Raises InvalidNumber."""
        return await self._journal.contact(identify(number), self._clock())

    async def contacts(self, question: Question) -> tuple[list[dict[str, Any]], str | None]:
        """A page of contacts, latest talk first, and the cursor of the next; None if there is none."""
        page = await self._journal.contacts(question, self._clock())
        return page.contacts, None if page.cursor is None else str(page.cursor)

    async def pause(self, number: str, hours: float | None, reason: str | None) -> dict[str, Any] | None:
        """Let a person answer somebody instead of the assistant; None = until `resume`. The contact then."""
        identity, now = identify(number), self._clock()
        until = UNTIL_RESUMED if hours is None else now + hours * 3600
        await self._journal.pause(identity, until, reason, now)
        log.info("assistant.paused", hours=hours)
        return await self._journal.contact(identity, now)

    async def resume(self, number: str) -> dict[str, Any] | None:
        """Let the assistant answer somebody again. The contact then, None if they are unknown."""
        identity = identify(number)
        if await self._journal.resume(identity):
            log.info("assistant.resumed")
        return await self._journal.contact(identity, self._clock())

    async def forget(self, number: str) -> Erased:
        """Forget a person, in the journal and the archive; how much was removed, and whether anybody was known.

        If the archive does not answer, it forgets them when it does. Raises InvalidNumber, JournalDown.
        """
        identity, archive = identify(number), self._archive is not None
        erased = await self._journal.forget(identity, self._clock(), archive=archive)
        if archive:
            erased = await self._journal.archive_has_forgotten(erased.id, ARCHIVE_SECONDS)
        log.info("contact.forgotten", messages=erased.messages, jobs=erased.jobs, archived=erased.archived)
        return erased

    async def merges(self, limit: int) -> list[dict[str, Any]]:
        """The latest merges of contacts that are one person, newest first."""
        return await self._journal.merges(limit)

    async def undo_merge(self, merge_id: str) -> dict[str, Any] | None:
        """Make two contacts of it again. Returns the merge as it is then, None if unknown. Raises CannotUndo."""
        return await self._journal.undo_merge(int(merge_id), self._clock()) if JOB_ID.fullmatch(merge_id) else None


def _refuse_conflict(queued: Queued) -> None:
    if queued.conflict:
        raise KeyConflict("this Idempotency-Key was used for another request")
