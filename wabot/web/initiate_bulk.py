"""Bulk sends: queue a batch, and wait for its results as long as the caller wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from wabot.batch_building import Asked, Bulk
from wabot.offload import MANY
from wabot.web.answers import Encoded, reply, reply_long
from wabot.web.request_account import answer, label, service_of
from wabot.web.request_bodies import API_LIMIT, OFFLOAD, parse, validate, validate_each
from wabot.web.request_log import LINE
from wabot.web.request_models import InitiateBulk, RecipientModel
from wabot.web.request_preferences import headers_of, idempotency_key, preferred_wait


async def initiate_bulk(request: web.Request) -> web.Response:
    """POST /initiate-bulk: queue the batch, then wait for its results, as long as the caller wants."""
    bulk, dry = await parse(request, _bulk, API_LIMIT)
    if dry:
        return answer(request, await service_of(request).dry_run(bulk))
    wait, preference = preferred_wait(request)
    service = service_of(request)
    batch_id, known = await service.initiate(replace(bulk, key=idempotency_key(request)))
    if wait > 0 and bulk.send_at is None:
        await service.wait(batch_id, wait)
    batch = await service.batch(batch_id)
    headers = headers_of(request, f"/batches/{batch_id}", preference, replayed=known)
    request[LINE] = {"batch": batch_id, "recipients": len(bulk.recipients)}
    accepted = batch is None or batch["queued"] or (bulk.send_at and not known) or preference == "respond-async"
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


def _bulk(body: Mapping[str, Any]) -> tuple[Bulk, bool]:
    """A bulk request, and whether it is only tried (`dry_run`). Raises Refusal."""
    asked = validate(InitiateBulk, body)
    recipients = validate_each(RecipientModel, asked.recipients, "recipients")
    bulk = Bulk(
        [Asked(number) for number in asked.numbers] or [Asked(r.number, r.components) for r in recipients],
        asked.template.model_dump() if asked.template else None,
        by_recipient=bool(recipients),
        send_at=asked.send_at,
    )
    return bulk, asked.dry_run


ROUTES = [web.post("/initiate-bulk", initiate_bulk)]
