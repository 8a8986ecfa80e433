"""The templates of the account's WhatsApp Business Account."""

from __future__ import annotations

from aiohttp import web

from wabot.offload import MANY
from wabot.template_list import CannotAsk
from wabot.web.answers import Encoded, Refusal, reply_long
from wabot.web.request_account import label, service_of
from wabot.web.request_bodies import OFFLOAD, validate_query
from wabot.web.request_models import TemplatesQuery

_LATER = {"Retry-After": "60"}


async def listing(request: web.Request) -> web.Response:
    """GET /templates: what Meta listed last, with what a send of each must give; `?refresh=true` asks Meta now."""
    asked = validate_query(TemplatesQuery, request)
    try:
        found = await service_of(request).templates.all(refresh=asked.refresh)
    except CannotAsk as error:
        raise Refusal(503, str(error), headers=_LATER) from None
    shown = [each.shown() for each in found]
    encoded = await request.app[OFFLOAD](Encoded, shown) if len(shown) > MANY else Encoded(shown)
    return reply_long({**label(request), "count": len(shown), "templates": encoded})


ROUTES = [web.get("/templates", listing)]
