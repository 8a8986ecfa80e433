"""The webhook: Meta verifies its address, and posts what happened."""

from __future__ import annotations

from aiohttp import web

from wabot.web.answers import Refusal
from wabot.web.request_bodies import WEBHOOK_BODIES, WEBHOOK_LIMIT, refuse_large
from wabot.web.request_log import LINE
from wabot.webhook_intake import WebhookIntake

INTAKE = web.AppKey("intake", WebhookIntake)
LINE_LENGTH = 200
"""Characters of a log line that name the accounts of one webhook."""


async def verify(request: web.Request) -> web.Response:
    """GET /webhook: Meta verifies our address.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint
    """
    query, number = request.query, request.match_info.get("phone_number_id")
    matches = request.app[INTAKE].verifies(query.get("hub.verify_token", ""), number)
    if query.get("hub.mode") != "subscribe" or not matches or "hub.challenge" not in query:
        raise Refusal(403, "hub.verify_token is not whatsapp.verify_token")
    return web.Response(text=query["hub.challenge"])


async def webhook(request: web.Request) -> web.Response:
    """POST /webhook: store on disk, then answer 200. Of unsigned requests as little as possible is read."""
    intake, signature = request.app[INTAKE], request.headers.get("X-Hub-Signature-256")
    number = request.match_info.get("phone_number_id")
    refuse_large(request, WEBHOOK_LIMIT)
    intake.refuse_unsigned(signature, number)
    body = await request.app[WEBHOOK_BODIES].read(request, WEBHOOK_LIMIT)
    found = await intake.receive(body, signature, number)
    named = {"account": ",".join(found.accounts)[:LINE_LENGTH]} if found.accounts else {}
    request[LINE] = {"received": found.count, "stored": found.stored, "body": found.bodies, **named}
    body = b'{"received":%d,"stored":%d}' % (found.count, found.stored)
    return web.Response(body=body, content_type="application/json")


ROUTES = [
    web.get("/webhook", verify),
    web.post("/webhook", webhook),
    web.get("/webhook/{phone_number_id}", verify),
    web.post("/webhook/{phone_number_id}", webhook),
]
