"""The main routes: the webhook, bulk sends, history, health."""

from __future__ import annotations

import asyncio
import hmac
import re
from typing import Any

from aiohttp import web

from wabot.core.messages import InvalidNumber
from wabot.service import Asked, Bulk, Service, identify
from wabot.web.answers import RETRY_AFTER, Refusal, error, reply
from wabot.web.body import WEBHOOK_LIMIT, WEBHOOK_ROOM, parse, refuse_large
from wabot.web.models import Get, GetBulk, InitiateBulk

SERVICE = web.AppKey("service", Service)
VERIFY_TOKEN = web.AppKey("verify_token", str)
WAIT_SECONDS = web.AppKey("wait_seconds", float)
LINE = web.RequestKey("line", dict[str, Any])
"""What a handler adds to the request's line in the log."""

_RESPOND_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:[;,]|$)", re.IGNORECASE)
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]+)\"?\s*(?:[;,]|$)", re.IGNORECASE)
KEY_LENGTH = 255
MAX_WAIT_SECONDS = 300.0
AT_ONCE = 8
"""Histories of one request that are read side by side."""


async def verify(request: web.Request) -> web.Response:
    """GET /webhook: Meta asks whether this is our address.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint
    """
    query, expected = request.query, request.app[VERIFY_TOKEN]
    given = query.get("hub.verify_token", "")
    matches = hmac.compare_digest(given.encode(errors="replace"), expected.encode())
    if query.get("hub.mode") != "subscribe" or not expected or not matches or "hub.challenge" not in query:
        raise Refusal(403, "hub.verify_token is not whatsapp.verify_token")
    return web.Response(text=query["hub.challenge"])


async def webhook(request: web.Request) -> web.Response:
    """POST /webhook: on disk first, then 200. Of strangers as little as possible is read."""
    service, signature = request.app[SERVICE], request.headers.get("X-Hub-Signature-256")
    refuse_large(request, WEBHOOK_LIMIT)
    service.refuse_unsigned(signature)
    body = await request.app[WEBHOOK_ROOM].read(request, WEBHOOK_LIMIT)
    found = await service.receive(body, signature)
    request[LINE] = {"received": found.count, "stored": found.stored, "body": found.bodies}
    body = b'{"received":%d,"stored":%d}' % (found.count, found.stored)
    return web.Response(body=body, content_type="application/json")


async def initiate_bulk(request: web.Request) -> web.Response:
    """POST /initiate-bulk: queue, then wait for what Meta says, as long as the caller wants to."""
    asked = await parse(request, InitiateBulk)
    wait, preference = _wait(request)
    service = request.app[SERVICE]
    recipients = [Asked(number) for number in asked.numbers] or [
        Asked(recipient.number, recipient.components) for recipient in asked.recipients
    ]
    template = asked.template.model_dump() if asked.template else None
    batch_id, known = await service.initiate(Bulk(recipients, template, _key(request)))
    if wait > 0:
        await service.wait(batch_id, wait)
    batch = await service.batch(batch_id)
    headers = {"Location": f"/batches/{batch_id}"}
    if preference:
        headers["Preference-Applied"] = preference
    if known:
        headers["Idempotent-Replayed"] = "true"
    request[LINE] = {"batch": batch_id, "recipients": len(recipients)}
    accepted = batch is None or batch["queued"] or preference == "respond-async"
    return reply(batch, status=202 if accepted else 200, headers=headers)


async def get(request: web.Request) -> web.Response:
    """POST /get: what was said with one number."""
    asked = await parse(request, Get)
    history = await request.app[SERVICE].history(asked.number, asked.limit, asked.include)
    partial = {"partial": True} if history.partial else {}
    return reply({"count": len(history.messages), "messages": _shown(history.messages), **partial})


async def get_bulk(request: web.Request) -> web.Response:
    """POST /get-bulk: what was said with many."""
    asked = await parse(request, GetBulk)
    service, gate = request.app[SERVICE], asyncio.Semaphore(AT_ONCE)

    async def one(number: str) -> dict[str, Any]:
        try:
            identity = identify(number)
        except InvalidNumber as invalid:
            return {"number": number, "success": False, "count": 0, "messages": [], "error": str(invalid)}
        async with gate:
            history = await service.history(identity, asked.limit)
        messages = _shown(history.messages)
        line = {"number": identity, "success": bool(messages), "count": len(messages), "messages": messages}
        if history.partial:
            line["partial"] = True
        return line if messages else {**line, "error": "No messages found"}

    results = await asyncio.gather(*(one(number) for number in asked.numbers))
    successful = sum(result["success"] for result in results)
    return reply(
        {
            "total_numbers": len(results),
            "successful": successful,
            "failed": len(results) - successful,
            "total_messages": sum(result["count"] for result in results),
            "results": results,
        }
    )


async def healthz(_: web.Request) -> web.Response:
    """GET /healthz: the process lives."""
    return reply({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: the journal can be written and the lanes run; how the rest of the world is."""
    ready, state = await request.app[SERVICE].readiness()
    return reply(state) if ready else error(503, "the journal or a lane is broken", headers=RETRY_AFTER, beside=state)


_INSIDE = ("_id", "version")


def _shown(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as `/get` tells them: our own key and counters stay inside."""
    return [{key: value for key, value in message.items() if key not in _INSIDE} for message in messages]


def _wait(request: web.Request) -> tuple[float, str | None]:
    """Seconds to wait, and the preference that was honoured. https://www.rfc-editor.org/rfc/rfc7240"""
    prefer = ",".join(request.headers.getall("Prefer", []))
    if _RESPOND_ASYNC.search(prefer):
        return 0.0, "respond-async"
    found = _WAIT.search(prefer)
    if found is None:
        return request.app[WAIT_SECONDS], None
    seconds = min(float(found[1]), MAX_WAIT_SECONDS)
    return seconds, f"wait={seconds:.0f}"


def _key(request: web.Request) -> str | None:
    """The Idempotency-Key: quoted, as the IETF draft has it, or bare."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    key = key.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > KEY_LENGTH or not key.isprintable():
        raise Refusal(422, f"Idempotency-Key must have 1 to {KEY_LENGTH} printable characters")
    return key


ROUTES = [
    web.get("/webhook", verify),
    web.post("/webhook", webhook),
    web.post("/initiate-bulk", initiate_bulk),
    web.post("/get", get),
    web.post("/get-bulk", get_bulk),
    web.get("/healthz", healthz),
    web.get("/readyz", readyz),
]
