"""Health checks, and the list of problems."""

from __future__ import annotations

from aiohttp import web

from wabot.web.answers import RETRY_AFTER, error, reply
from wabot.web.auth import ACCOUNTS, require_access
from wabot.web.request_account import account_of, named_account
from wabot.web.request_bodies import validate_query
from wabot.web.request_models import ReadyQuery


async def healthz(_: web.Request) -> web.Response:
    """GET /healthz: the process is alive."""
    return reply({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: 503 unless the journal can be written and the lanes run; the state of the rest, and the problems.

    `?strict=1`: 503 while there is any problem.
    """
    strict, name = validate_query(ReadyQuery, request).strict, named_account(request)
    require_access(request, name)
    ready, state = await (account_of(request).readiness if name else request.app[ACCOUNTS]).state()
    if not ready:
        return error(503, "the journal or a lane is broken", headers=RETRY_AFTER, beside=state)
    if strict and state["problems"]:
        return error(503, "there are problems", headers=RETRY_AFTER, beside=state)
    return reply(state)


ROUTES = [web.get("/healthz", healthz), web.get("/readyz", readyz)]
