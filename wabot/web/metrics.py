"""Metrics for Prometheus."""

from __future__ import annotations

from aiohttp import web

from wabot.metrics import CONTENT_TYPE, Metrics

METRICS = web.AppKey("metrics", Metrics)


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in the text format of Prometheus."""
    return web.Response(body=await request.app[METRICS].render(), headers={"Content-Type": CONTENT_TYPE})


ROUTES = [
    web.get("/metrics", metrics),
]
