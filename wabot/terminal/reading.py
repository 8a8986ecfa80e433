"""Reads of the running service, or of the journal when it does not run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from wabot.core.jobs import Kind, State
from wabot.core.phone_numbers import is_bsuid, normalize_number
from wabot.journal.contact_list_and_search import Question
from wabot.journal.from_outside import JournalFile
from wabot.journal.outbox_list import Query
from wabot.settings.loading import Settings
from wabot.terminal import printing
from wabot.terminal.service_calls import NotRunning, Refused, ServiceCalls


class Reading:
    """What the commands read. Says once that it is from the journal."""

    def __init__(self, settings: Settings, account: str) -> None:
        self._calls = ServiceCalls(settings, account)
        self._data_dir = settings.of_accounts()[settings.account_named(account)].server.data_dir
        self._said = False

    async def contacts(self, question: Mapping[str, str]) -> dict[str, Any]:
        """As `GET /contacts`. Raises Refused, JournalDown."""
        try:
            return await self._calls("GET", "/contacts", question)
        except NotRunning as away:
            self._say(away)
        before = int(question["cursor"]) if question.get("cursor", "").lstrip("-").isdigit() else None
        asked = Question(question.get("search", ""), "attention" in question, int(question["limit"]), before)
        async with JournalFile.open(self._data_dir) as journal:
            page = await journal.contacts(asked, time.time())
        more = {"next_cursor": str(page.cursor)} if page.cursor is not None else {}
        return {"count": len(page.contacts), "contacts": page.contacts, **more}

    async def talk(self, number: str, limit: int, before: str | None = None) -> dict[str, Any]:
        """As `POST /get`, with what waits or failed; `before`: an id or outbox id.

        Raises Refused, InvalidNumber, JournalDown.
        """
        try:
            body = {"number": number, "limit": limit, "include": ["queued", "failed"]}
            return await self._calls("POST", "/get", body=body | ({"before": before} if before else {}))
        except NotRunning as away:
            self._say(away)
        async with JournalFile.open(self._data_dir) as journal:
            messages = await journal.talk(_identity(number), 0 if before else limit)
        if before:
            messages = _after(before, messages)[:limit]
        return {"count": len(messages), "messages": messages}

    async def outbox(self, query: Mapping[str, str]) -> dict[str, Any]:
        """As `GET /outbox`. Raises Refused, JournalDown."""
        try:
            return await self._calls("GET", "/outbox", query)
        except NotRunning as away:
            self._say(away)
        try:
            asked = Query(
                kind=Kind(query.get("kind", Kind.SEND)),
                state=State(query["state"]) if "state" in query else None,
                identity=_identity(query["number"]) if "number" in query else "",
                batch_id=query.get("batch_id", ""),
                message=query.get("message"),  # type: ignore[arg-type]  # one of the choices of the argument
                limit=int(query.get("limit", 50)),
                before=int(query["cursor"].rpartition("-")[2]) if "cursor" in query else None,
            )
        except ValueError as error:
            raise Refused(str(error), 422) from error
        async with JournalFile.open(self._data_dir) as journal:
            jobs = await journal.outbox(asked)
        more = {"next_cursor": jobs[-1]["outbox_id"]} if len(jobs) == asked.limit else {}
        return {"count": len(jobs), "outbox": jobs, **more}

    async def outbox_one(self, outbox_id: str) -> dict[str, Any]:
        """As `GET /outbox/{id}`. Raises Refused, JournalDown."""
        try:
            return await self._calls("GET", f"/outbox/{outbox_id}")
        except NotRunning as away:
            self._say(away)
        async with JournalFile.open(self._data_dir) as journal:
            found = await journal.outbox_one(outbox_id)
        if found is None:
            raise Refused("no such send in the outbox", 404)
        return found

    def _say(self, away: NotRunning) -> None:
        if not self._said:
            printing.note(f"{away} What follows is from the journal.")
            self._said = True


def _after(before: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that follow the one of this id or outbox id."""
    place = next((n for n, one in enumerate(messages) if before in (one["id"], one.get("outbox_id"))), len(messages))
    return messages[place + 1 :]


def _identity(number: str) -> str:
    return number if is_bsuid(number) else normalize_number(number)
