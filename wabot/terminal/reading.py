"""Reads of the running service, or of the journal when it does not run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from wabot.core.jobs import Kind, State
from wabot.core.phone_numbers import identify
from wabot.journal.contact_list_and_search import Question
from wabot.journal.from_outside import JournalFile
from wabot.journal.outbox_list import Query
from wabot.settings.loading import Settings
from wabot.terminal import printing
from wabot.terminal.service_calls import NotRunning, Refused, ServiceCalls
from wabot.web.request_models import ContactsQuery, Get, Model, OutboxQuery
from wabot.web.validation import InvalidFields, validated

M = TypeVar("M", bound=Model)


class Reading:
    """What the commands read. Says once that it is from the journal."""

    def __init__(self, settings: Settings, account: str) -> None:
        self._calls = ServiceCalls(settings, account)
        self._settings, self._account = settings, account
        self._said = False

    async def contacts(self, question: Mapping[str, str]) -> dict[str, Any]:
        """As `GET /contacts`. Raises Refused, JournalDown."""
        try:
            return await self._calls("GET", "/contacts", question)
        except NotRunning as away:
            self._say(away)
        asked = _validated(ContactsQuery, question)
        before = None if asked.cursor is None else int(asked.cursor)
        async with self._journal() as journal:
            page = await journal.contacts(Question(asked.search, asked.attention, asked.limit, before), time.time())
        more = {"next_cursor": str(page.cursor)} if page.cursor is not None else {}
        return {"count": len(page.contacts), "contacts": page.contacts, **more}

    async def talk(self, number: str, limit: int, before: str | None = None) -> dict[str, Any]:
        """As `POST /get`, with what waits or failed; `before`: an id or outbox id.

        Raises Refused, InvalidNumber, JournalDown.
        """
        body = {"number": number, "limit": limit, "include": ["queued", "failed"]}
        body |= {"before": before} if before else {}
        try:
            return await self._calls("POST", "/get", body=body)
        except NotRunning as away:
            self._say(away)
        _validated(Get, body)
        async with self._journal() as journal:
            messages = await journal.talk(identify(number), 0 if before else limit)
        if before:
            messages = _after(before, messages)[:limit]
        return {"count": len(messages), "messages": messages}

    async def outbox(self, query: Mapping[str, str]) -> dict[str, Any]:
        """As `GET /outbox`. Raises Refused, InvalidNumber, JournalDown."""
        try:
            return await self._calls("GET", "/outbox", query)
        except NotRunning as away:
            self._say(away)
        asked = _validated(OutboxQuery, query)
        async with self._journal() as journal:
            if asked.cursor and journal.job_id(asked.cursor) is None:
                raise Refused("cursor: not an outbox id", 422)
            jobs = await journal.outbox(
                Query(
                    kind=Kind(asked.kind),
                    state=State(asked.state) if asked.state else None,
                    identity=identify(asked.number) if asked.number else "",
                    batch_id=asked.batch_id,
                    message=asked.message,
                    limit=asked.limit,
                    before=journal.job_id(asked.cursor),
                )
            )
        more = {"next_cursor": jobs[-1]["outbox_id"]} if len(jobs) == asked.limit else {}
        return {"count": len(jobs), "outbox": jobs, **more}

    async def outbox_one(self, outbox_id: str) -> dict[str, Any]:
        """As `GET /outbox/{id}`. Raises Refused, JournalDown."""
        try:
            return await self._calls("GET", f"/outbox/{outbox_id}")
        except NotRunning as away:
            self._say(away)
        async with self._journal() as journal:
            found = await journal.outbox_one(outbox_id)
        if found is None:
            raise Refused("no such send in the outbox", 404)
        return found

    def _journal(self) -> AbstractAsyncContextManager[JournalFile]:
        """The account's journal. Raises SettingsError if the settings have no such account, JournalDown."""
        account = self._settings.of_accounts()[self._settings.account_named(self._account)]
        return JournalFile.open(account.server.data_dir)

    def _say(self, away: NotRunning) -> None:
        if not self._said:
            printing.note(f"{away} What follows is from the journal.")
            self._said = True


def _validated(model: type[M], asked: Mapping[str, Any]) -> M:
    """What was asked, as the service reads it. Raises Refused."""
    try:
        return validated(model, asked)
    except InvalidFields as invalid:
        raise Refused(str(invalid), 422, invalid.problems) from invalid


def _after(before: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that follow the one of this id or outbox id."""
    place = next((n for n, one in enumerate(messages) if before in (one["id"], one.get("outbox_id"))), len(messages))
    return messages[place + 1 :]
