"""Metrics for Prometheus."""

from __future__ import annotations

from aiohttp import web

from wabot.metrics import CONTENT_TYPE, render, render_all
from wabot.web.auth import ACCOUNTS, require_access
from wabot.web.request_account import account_of, named_account


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in the text format of Prometheus."""
    accounts, name = request.app[ACCOUNTS], named_account(request)
    require_access(request, name)
    if not accounts.several:
        found = await render(account_of(request).metrics)
    else:
        shown, stopped = ([account_of(request)], []) if name else (accounts, accounts.stopped)
        found = await render_all({account.name: account.metrics for account in shown}, stopped)
    return web.Response(body=found, headers={"Content-Type": CONTENT_TYPE})


ROUTES = [
    web.get("/metrics", metrics),
]
