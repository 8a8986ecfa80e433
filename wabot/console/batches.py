"""Batches: how far each is, its results, and the button that stops it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from wabot.accounts import Account
from wabot.console import rendering
from wabot.console.serving import to
from wabot.web.answers import Refusal
from wabot.web.request_account import account_of

LISTED, RESULTS = 20, 200
"""Batches on a page, and results of one; all of them are in its CSV."""


async def page(request: web.Request) -> web.StreamResponse:
    """GET /console/batches: the newest."""
    account = account_of(request)
    service = account.service
    found = await service.batches(LISTED, request.query.get("cursor") or None)
    if found is None:
        raise Refusal(404, "no such batch")
    values = {
        "batches": found,
        "cursor": found[-1]["batch_id"] if len(found) == LISTED else None,
        "name_of_account": account.name,
        "now": service.now(),
    }
    return rendering.page(request, "batches.html", values)


async def one(request: web.Request) -> web.StreamResponse:
    """GET /console/batches/{id}: counts and the first results."""
    return rendering.page(request, "batch.html", await _batch(account_of(request), request))


async def progress(request: web.Request) -> web.StreamResponse:
    """GET /console/batches/{id}/progress: what of the page changes."""
    return rendering.page(request, "batch_progress.html", await _batch(account_of(request), request))


async def cancel(request: web.Request) -> web.StreamResponse:
    """POST /console/batches/{id}/cancel: stop it."""
    batch_id = request.match_info["id"]
    if await account_of(request).service.cancel_batch(batch_id) is None:
        raise Refusal(404, "no such batch")
    return to(f"/console/batches/{batch_id}", request, done="cancelled")


async def _batch(account: Account, request: web.Request) -> Mapping[str, Any]:
    """A batch, with its results: those that failed first."""
    found = await account.service.batch(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such batch")
    order = {"failed": 0, "queued": 1, "sent": 2}
    results = sorted(found["results"], key=lambda result: order.get(result["status"], 3))[:RESULTS]
    return {"batch": {**found, "results": results}, "name_of_account": account.name, "now": account.service.now()}
