"""Contacts: opt-out, opt-in, and merged contacts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from wabot.web.answers import Refusal, reply
from wabot.web.request_bodies import validate
from wabot.web.request_models import MergesQuery
from wabot.web.routes import SERVICE


def _set_stop(*, stop: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        identity = await request.app[SERVICE].set_stop(request.match_info["number"], stop=stop)
        return reply({"number": identity, "opted_out": stop})

    return handler


async def merges(request: web.Request) -> web.Response:
    """GET /merges: merges of contacts that are one person, newest first."""
    found = await request.app[SERVICE].merges(validate(MergesQuery, dict(request.query)).limit)
    return reply({"count": len(found), "merges": found})


async def undo_merge(request: web.Request) -> web.Response:
    """POST /merges/{id}/undo: make two contacts of it again."""
    found = await request.app[SERVICE].undo_merge(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such merge")
    return reply(found)


ROUTES = [
    web.post("/contacts/{number}/opt-out", _set_stop(stop=True)),
    web.post("/contacts/{number}/opt-in", _set_stop(stop=False)),
    web.get("/merges", merges),
    web.post("/merges/{id}/undo", undo_merge),
]
