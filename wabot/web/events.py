"""Events to the owner's programs: list them, retry one."""

from __future__ import annotations

from aiohttp import web

from wabot.core.exceptions import InvalidField
from wabot.core.jobs import State
from wabot.journal.event_queue import EventQuery
from wabot.web.answers import Refusal
from wabot.web.request_account import answer, service_of
from wabot.web.request_bodies import read_account, validate_query
from wabot.web.request_models import EventsQuery


async def listing(request: web.Request) -> web.Response:
    """GET /events: events, newest first; `next_cursor` if there may be more."""
    asked = validate_query(EventsQuery, request)
    service = service_of(request)
    before = service.job_id(asked.cursor) if asked.cursor else None
    if asked.cursor and before is None:
        raise InvalidField("cursor", "not the id of an event")
    query = EventQuery(State(asked.state) if asked.state else None, asked.limit, before)
    events = await service.events(query)
    more = {"next_cursor": events[-1]["id"]} if len(events) == asked.limit else {}
    return answer(request, {"count": len(events), "events": events, **more})


async def retry(request: web.Request) -> web.Response:
    """POST /events/{id}/retry: tell a failed event after all."""
    await read_account(request)
    found = await service_of(request).retry_event(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such event")
    return answer(request, found)


ROUTES = [
    web.get("/events", listing),
    web.post("/events/{id}/retry", retry),
]
