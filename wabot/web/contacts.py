"""Contacts: show one, pause and resume the assistant for them, opt-out and opt-in, forget; and merged contacts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from wabot.journal.contact_list_and_search import Question
from wabot.web.answers import Refusal
from wabot.web.auth import ACCOUNTS
from wabot.web.history import QUESTION_LIMIT
from wabot.web.request_account import account_of, answer, service_of
from wabot.web.request_bodies import parse, read_account, validate, validate_query
from wabot.web.request_models import ContactsQuery, MergesQuery, Pause


def _set_stop(*, stop: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        await read_account(request)
        bound = request.app[ACCOUNTS].sharing_opt_outs_with(account_of(request))
        each = (account.service.set_stop(request.match_info["number"], stop=stop) for account in bound)
        identity, *_ = await asyncio.gather(*each)
        return answer(request, {"number": identity, "opted_out": stop})

    return handler


async def listing(request: web.Request) -> web.Response:
    """GET /contacts: contacts, latest talk first; `next_cursor` if there may be more."""
    asked = validate_query(ContactsQuery, request)
    before = None if asked.cursor is None else int(asked.cursor)
    found, cursor = await service_of(request).contacts(Question(asked.search, asked.attention, asked.limit, before))
    more = {"next_cursor": cursor} if cursor is not None else {}
    return answer(request, {"count": len(found), "contacts": found, **more})


async def contact(request: web.Request) -> web.Response:
    """GET /contacts/{number}: a person as wabot knows them."""
    return _known(request, await service_of(request).contact(request.match_info["number"]))


async def pause(request: web.Request) -> web.Response:
    """POST /contacts/{number}/pause: a person answers them instead of the assistant."""
    asked = Pause()
    if request.can_read_body:
        asked = await parse(request, partial(validate, Pause), QUESTION_LIMIT)
    found = await service_of(request).pause(request.match_info["number"], asked.hours, asked.reason)
    return _known(request, found)


async def resume(request: web.Request) -> web.Response:
    """POST /contacts/{number}/resume: the assistant answers them again."""
    await read_account(request)
    return _known(request, await service_of(request).resume(request.match_info["number"]))


def _known(request: web.Request, found: Mapping[str, Any] | None) -> web.Response:
    if found is None:
        raise Refusal(404, "nobody of this number is known")
    return answer(request, found)


async def forget(request: web.Request) -> web.Response:
    """DELETE /contacts/{number}: forget a person; 202 if the archive has yet to."""
    await read_account(request)
    erased = await service_of(request).forget(request.match_info["number"])
    if not erased.known and erased.archived == 0:
        raise Refusal(404, "nobody of this number is known")
    removed = {
        "messages": erased.messages, "jobs": erased.jobs, "archived": erased.archived or 0, "media": erased.media,
    }  # fmt: skip
    return answer(request, removed, status=200 if erased.archived is not None else 202)


async def merges(request: web.Request) -> web.Response:
    """GET /merges: merges of contacts that are one person, newest first."""
    found = await service_of(request).merges(validate_query(MergesQuery, request).limit)
    return answer(request, {"count": len(found), "merges": found})


async def undo_merge(request: web.Request) -> web.Response:
    """POST /merges/{id}/undo: make two contacts of it again."""
    await read_account(request)
    found = await service_of(request).undo_merge(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such merge")
    return answer(request, found)


ROUTES = [
    web.post("/contacts/{number}/opt-out", _set_stop(stop=True)),
    web.post("/contacts/{number}/opt-in", _set_stop(stop=False)),
    web.get("/contacts", listing),
    web.get("/contacts/{number}", contact),
    web.post("/contacts/{number}/pause", pause),
    web.post("/contacts/{number}/resume", resume),
    web.delete("/contacts/{number}", forget),
    web.get("/merges", merges),
    web.post("/merges/{id}/undo", undo_merge),
]
