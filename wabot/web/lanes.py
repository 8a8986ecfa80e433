"""Lanes: probe one that is paused."""

from __future__ import annotations

from aiohttp import web

from wabot.core.jobs import Kind
from wabot.web.answers import Refusal
from wabot.web.request_account import account_of, answer
from wabot.web.request_bodies import read_account


async def probe(request: web.Request) -> web.Response:
    """POST /lanes/{kind}/probe: send a probe through a paused lane now, or try all events now."""
    await read_account(request)
    account, kind = account_of(request), request.match_info["kind"]
    if kind == Kind.EVENT:
        await account.service.hurry_events()
    found = account.readiness.probe(kind)
    if found is None:
        raise Refusal(404, "no such lane")
    return answer(request, found)


ROUTES = [web.post("/lanes/{kind}/probe", probe)]
