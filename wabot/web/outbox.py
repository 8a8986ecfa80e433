"""The outbox, and replies that are not done yet: list, show, retry, cancel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from wabot.core.exceptions import InvalidField
from wabot.core.jobs import Kind, State
from wabot.core.phone_numbers import identify
from wabot.journal.bulk_retry import Retry
from wabot.journal.event_queue import EventQuery
from wabot.journal.outbox_list import Query
from wabot.web.answers import Refusal
from wabot.web.history import QUESTION_LIMIT
from wabot.web.request_account import answer, service_of
from wabot.web.request_bodies import parse, read_account, validate, validate_query
from wabot.web.request_models import OutboxQuery, RetryAll


async def listing(request: web.Request) -> web.Response:
    """GET /outbox: sends or replies, newest first; `next_cursor` if there may be more."""
    asked = validate_query(OutboxQuery, request)
    service = service_of(request)
    before = service.job_id(asked.cursor) if asked.cursor else None
    if asked.cursor and before is None:
        raise InvalidField("cursor", "not an outbox id")
    if asked.kind == "event":
        identity = identify(asked.number) if asked.number else ""
        query = EventQuery(State(asked.state) if asked.state else None, asked.limit, before, identity)
        events = await service.events_as_jobs(query)
        more = {"next_cursor": events[-1]["outbox_id"]} if len(events) == asked.limit else {}
        return answer(request, {"count": len(events), "outbox": events, **more})
    jobs = await service.outbox(
        Query(
            kind=Kind(asked.kind),
            message=asked.message,
            state=State(asked.state) if asked.state else None,
            identity=identify(asked.number) if asked.number else "",
            batch_id=asked.batch_id,
            limit=asked.limit,
            before=before,
        )
    )
    more = {"next_cursor": jobs[-1]["outbox_id"]} if len(jobs) == asked.limit else {}
    return answer(request, {"count": len(jobs), "outbox": jobs, **more})


async def retry_all(request: web.Request) -> web.Response:
    """POST /outbox/retry: retry sends that failed, are held or parked; `left`: those that may arrive twice."""
    asked = await parse(request, partial(validate, RetryAll), QUESTION_LIMIT)
    retry = Retry(asked.batch_id, asked.error_code, asked.may_repeat)
    return answer(request, await service_of(request).retry_all(retry))


def _one(verb: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        await read_account(request)
        found = await getattr(service_of(request), verb)(request.match_info["id"])
        if found is None:
            raise Refusal(404, "no such send in the outbox")
        return answer(request, found)

    return handler


ROUTES = [
    web.get("/outbox", listing),
    web.post("/outbox/retry", retry_all),
    web.get("/outbox/{id}", _one("outbox_one")),
    web.post("/outbox/{id}/retry", _one("retry")),
    web.post("/outbox/{id}/cancel", _one("cancel")),
]
