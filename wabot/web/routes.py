"""The main routes: the webhook, bulk sends, history."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from wabot.batch_building import Asked, Bulk
from wabot.core.json_limits import SMALL, Room
from wabot.core.phone_numbers import InvalidNumber
from wabot.offload import MANY
from wabot.service import History, identify
from wabot.web.accounts import label, service_of
from wabot.web.answers import Encoded, Refusal, reply, reply_long
from wabot.web.request_bodies import (
    API_LIMIT,
    OFFLOAD,
    WEBHOOK_BODIES,
    WEBHOOK_LIMIT,
    parse,
    refuse_large,
    validate,
    validate_each,
)
from wabot.web.request_log import LINE
from wabot.web.request_models import Get, GetBulk, InitiateBulk, RecipientModel
from wabot.webhook_intake import WebhookIntake

INTAKE = web.AppKey("intake", WebhookIntake)
WAIT_SECONDS = web.AppKey("wait_seconds", float)

_RESPOND_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:[;,]|$)", re.IGNORECASE)
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]+)\"?\s*(?:[;,]|$)", re.IGNORECASE)
KEY_LENGTH = 255
MAX_WAIT_SECONDS = 300.0
AT_ONCE = 8
"""Histories of one request that are read concurrently."""
QUESTION_LIMIT, BULK_QUESTION_LIMIT = 131_072, 262_144
"""The most bytes of a request about one person, and about a thousand."""
REPEATED = 8 << 20
"""The most bytes of messages that an answer repeats for duplicate numbers."""
A_WHILE = 100
"""Numbers that are parsed before other tasks get a turn."""
_NOTHING: Mapping[str, Any] = {"success": False, "count": 0, "messages": []}


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
    request[LINE] = {"received": found.count, "stored": found.stored, "body": found.bodies}
    body = b'{"received":%d,"stored":%d}' % (found.count, found.stored)
    return web.Response(body=body, content_type="application/json")


async def initiate_bulk(request: web.Request) -> web.Response:
    """POST /initiate-bulk: queue the batch, then wait for its results, as long as the caller wants."""
    recipients, template = await parse(request, _bulk, API_LIMIT)
    wait, preference = _wait(request)
    service = service_of(request)
    batch_id, known = await service.initiate(Bulk(recipients, template, _key(request)))
    if wait > 0:
        await service.wait(batch_id, wait)
    batch = await service.batch(batch_id)
    named = "".join(f"?account={name}" for name in label(request).values())
    headers = {"Location": f"/batches/{batch_id}{named}"}
    if preference:
        headers["Preference-Applied"] = preference
    if known:
        headers["Idempotent-Replayed"] = "true"
    request[LINE] = {"batch": batch_id, "recipients": len(recipients)}
    accepted = batch is None or batch["queued"] or preference == "respond-async"
    return await reply_batch(request, batch, status=202 if accepted else 200, headers=headers)


async def reply_batch(
    request: web.Request,
    batch: dict[str, Any] | None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The answer with a batch and its results."""
    if batch is None or len(batch["results"]) <= MANY:
        return reply(batch and {**label(request), **batch}, status=status, headers=headers)
    results = await request.app[OFFLOAD](Encoded, batch["results"])
    return reply_long({**label(request), **batch, "results": results}, status=status, headers=headers)


async def get(request: web.Request) -> web.Response:
    """POST /get: the messages with one number."""
    asked = await parse(request, partial(validate, Get), QUESTION_LIMIT)
    history = await service_of(request).history(asked.number, asked.limit, asked.include)
    partly = {"partial": True} if history.partial else {}
    messages = await _encoded(request, history)
    return reply_long({**label(request), "count": len(history.messages), "messages": messages, **partly})


async def get_bulk(request: web.Request) -> web.Response:
    """POST /get-bulk: the messages with many numbers. Duplicate numbers are looked up once."""
    asked = await parse(request, partial(validate, GetBulk), BULK_QUESTION_LIMIT)
    people = await _identities(asked.numbers)
    lines = await _lines(request, {person for person in people if person}, asked.limit)
    results, seen, repeated = [], set[str](), 0
    for number, person in zip(asked.numbers, people, strict=True):
        line = lines[person] if person else {"number": number, **_NOTHING, "error": "Invalid phone number"}
        if person in seen:
            repeated += line["messages"].size
            line = {**line, "duplicate": True} | ({} if repeated <= REPEATED else {"count": 0, "messages": []})
        seen.add(person or "")
        results.append(line)
    successful = sum(line["success"] for line in results)
    return reply_long(
        {
            **label(request),
            "total_numbers": len(results),
            "successful": successful,
            "failed": len(results) - successful,
            "total_messages": sum(line["count"] for line in results),
            "results": results,
        }
    )


async def _identities(numbers: Sequence[str]) -> list[str | None]:
    """The digits or BSUID of each number; None if invalid."""
    people: list[str | None] = []
    for place, number in enumerate(numbers, start=1):
        if place % A_WHILE == 0:
            await asyncio.sleep(0)
        try:
            people.append(identify(number))
        except InvalidNumber:
            people.append(None)
    return people


async def _lines(request: web.Request, people: Iterable[str], limit: int) -> dict[str, dict[str, Any]]:
    """The result of each person for `/get-bulk`; they share the space of one answer."""
    service, room, gate = service_of(request), Room(), asyncio.Semaphore(AT_ONCE)

    async def line(person: str) -> dict[str, Any]:
        async with gate:
            room.take(0, 0)  # raises if the answer is too long already, so that no more is read
            history = await service.history(person, limit, room=room)
            messages = await _encoded(request, history)
        count = len(history.messages)
        found = {"success": True, "count": count} if count else {**_NOTHING, "error": "No messages found"}
        return {"number": person, **found, "messages": messages} | ({"partial": True} if history.partial else {})

    people = list(people)
    return dict(zip(people, await asyncio.gather(*map(line, people)), strict=True))


_INSIDE = ("_id", "version")


async def _encoded(request: web.Request, history: History) -> Encoded:
    """Messages as `/get` shows them, without our internal fields."""
    shown = ({name: value for name, value in message.items() if name not in _INSIDE} for message in history.messages)
    return Encoded(shown) if history.size <= SMALL else await request.app[OFFLOAD](Encoded, shown)


def _bulk(body: Mapping[str, Any]) -> tuple[list[Asked], dict[str, Any] | None]:
    """The recipients and the template of a bulk request. Raises Refusal."""
    asked = validate(InitiateBulk, body)
    recipients = validate_each(RecipientModel, asked.recipients, "recipients")
    return (
        [Asked(number) for number in asked.numbers] or [Asked(r.number, r.components) for r in recipients],
        asked.template.model_dump() if asked.template else None,
    )


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
    web.get("/webhook/{phone_number_id}", verify),
    web.post("/webhook/{phone_number_id}", webhook),
    web.post("/initiate-bulk", initiate_bulk),
    web.post("/get", get),
    web.post("/get-bulk", get_bulk),
]
