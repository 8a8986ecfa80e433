"""What Meta charges for."""

from __future__ import annotations

from aiohttp import web

from wabot.web.request_account import answer, service_of
from wabot.web.request_bodies import validate_query
from wabot.web.request_models import CostsQuery


async def costs(request: web.Request) -> web.Response:
    """GET /costs: the messages of a month by category, billable or not."""
    return answer(request, await service_of(request).costs(validate_query(CostsQuery, request).month))


ROUTES = [
    web.get("/costs", costs),
]
