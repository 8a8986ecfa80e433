"""The outbox in the open: list, look, retry, cancel; batches; opt-outs; metrics."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from wabot.core.jobs import State
from wabot.journal.outbox import Query
from wabot.metrics import CONTENT_TYPE, Metrics
from wabot.service import identify
from wabot.web.answers import Refusal, reply
from wabot.web.body import validate
from wabot.web.models import OutboxQuery
from wabot.web.routes import SERVICE

METRICS = web.AppKey("metrics", Metrics)
CSV_COLUMNS = ("number", "status", "success", "duplicate", "outbox_id", "wamid", "error_code", "error")


async def listing(request: web.Request) -> web.Response:
    """GET /outbox: the sends, newest first; `next_cursor` where there are more."""
    asked = validate(OutboxQuery, dict(request.query))
    service = request.app[SERVICE]
    before = service.job_id(asked.cursor) if asked.cursor else None
    if asked.cursor and before is None:
        raise Refusal(422, "cursor: not an outbox id")
    sends = await service.outbox(
        Query(
            state=State(asked.state) if asked.state else None,
            identity=identify(asked.number) if asked.number else "",
            batch_id=asked.batch_id,
            limit=asked.limit,
            before=before,
        )
    )
    more = {"next_cursor": sends[-1]["outbox_id"]} if len(sends) == asked.limit else {}
    return reply({"count": len(sends), "outbox": sends, **more})


def _one(verb: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        found = await getattr(request.app[SERVICE], verb)(request.match_info["id"])
        if found is None:
            raise Refusal(404, "no such send in the outbox")
        return reply(found)

    return handler


async def batch(request: web.Request) -> web.Response:
    """GET /batches/{id}: counts and per-recipient results; `?format=csv` for a table."""
    found = await request.app[SERVICE].batch(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such batch")
    wanted = request.query.get("format", "json")
    if wanted == "csv":
        return web.Response(text=_table(found["results"]), content_type="text/csv", charset="utf-8")
    if wanted != "json":
        raise Refusal(422, "format: json or csv")
    return reply(found)


def _set_stop(*, stop: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        identity = await request.app[SERVICE].set_stop(request.match_info["number"], stop=stop)
        return reply({"number": identity, "opted_out": stop})

    return handler


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in the text format of Prometheus."""
    return web.Response(body=await request.app[METRICS].render(), headers={"Content-Type": CONTENT_TYPE})


def _table(results: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS)
    writer.writeheader()
    for result in results:
        messages = (result.get("response") or {}).get("messages") or [{}]
        row = {**result, "wamid": messages[0].get("id", "")}
        writer.writerow({column: _plain(row.get(column)) for column in CSV_COLUMNS})
    return out.getvalue()


def _plain(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: an invalid number is whatever somebody wrote.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


ROUTES = [
    web.get("/outbox", listing),
    web.get("/outbox/{id}", _one("outbox_one")),
    web.post("/outbox/{id}/retry", _one("retry")),
    web.post("/outbox/{id}/cancel", _one("cancel")),
    web.get("/batches/{id}", batch),
    web.post("/contacts/{number}/opt-out", _set_stop(stop=True)),
    web.post("/contacts/{number}/opt-in", _set_stop(stop=False)),
    web.get("/metrics", metrics),
]
