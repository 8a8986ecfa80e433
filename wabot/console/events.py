"""Events: the owner's endpoints, what is still to be told to each, and what failed."""

from __future__ import annotations

from aiohttp import web

from wabot.console import rendering
from wabot.console.serving import to
from wabot.core.jobs import State
from wabot.core.owner_events import shown_address
from wabot.journal.event_queue import EventQuery
from wabot.web.answers import Refusal
from wabot.web.request_account import account_of

SHOWN = 50
STATES = {"failed": State.FAILED, "queued": State.QUEUED, "all": None}


async def page(request: web.Request) -> web.StreamResponse:
    """GET /console/events?state=…"""
    account, state, cursor = account_of(request), request.query.get("state", "all"), request.query.get("cursor", "")
    if state not in STATES:
        raise Refusal(404, "no such state")
    before = account.service.job_id(cursor) if cursor else None
    events = await account.service.events(EventQuery(STATES[state], SHOWN, before))
    values = {
        "state": state,
        "states": list(STATES),
        "endpoints": [
            {"address": shown_address(url), "open": count, "oldest": oldest}
            for url, count, oldest in await account.journal.event_depths()
        ],
        "events": [{**event, "endpoint": shown_address(event["endpoint"])} for event in events],
        "cursor": events[-1]["id"] if len(events) == SHOWN else None,
        "now": account.service.now(),
    }
    return rendering.page(request, "events.html", values)


async def retry(request: web.Request) -> web.StreamResponse:
    """POST /console/events/{id}/retry: tell it after all."""
    if await account_of(request).service.retry_event(request.match_info["id"]) is None:
        raise Refusal(404, "no such event")
    return to("/console/events", request, state="failed", done="retried")
