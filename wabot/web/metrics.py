"""Metrics for Prometheus."""

from __future__ import annotations

from aiohttp import web

from wabot.metrics import CONTENT_TYPE, render
from wabot.web.accounts import ACCOUNTS, account_of, is_named, refuse_closed


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in the text format of Prometheus."""
    accounts, name = request.app[ACCOUNTS], is_named(request)
    refuse_closed(request, name)
    shown = [account_of(request)] if name else accounts
    found = await render({account.name: account.metrics for account in shown}, named=accounts.several)
    return web.Response(body=found, headers={"Content-Type": CONTENT_TYPE})


ROUTES = [
    web.get("/metrics", metrics),
]
