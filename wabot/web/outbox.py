"""The outbox in the open: list, look, retry, cancel; batches; opt-outs; merges; metrics."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from wabot.core.jobs import State
from wabot.journal.outbox import Query
from wabot.metrics import CONTENT_TYPE, Metrics
from wabot.service import identify
from wabot.web.answers import Refusal, reply
from wabot.web.body import ASIDE, validate
from wabot.web.models import MergesQuery, OutboxQuery
from wabot.web.routes import SERVICE, told

METRICS = web.AppKey("metrics", Metrics)
_SIGNS = frozenset("=+-@")
_ENDS = ";,\t\n\v\f\r\x85\u2028\u2029\uff1b\uff0c"
"""What some spreadsheet takes for the end of a cell, though it stands inside of one."""
_AFTER_AN_END = re.compile(rf"(?<=[{_ENDS}])[^{_ENDS}]++")
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
        table = await request.app[ASIDE](_table, found["results"])
        return web.Response(text=table, content_type="text/csv", charset="utf-8")
    if wanted != "json":
        raise Refusal(422, "format: json or csv")
    return await told(request, found)


def _set_stop(*, stop: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        identity = await request.app[SERVICE].set_stop(request.match_info["number"], stop=stop)
        return reply({"number": identity, "opted_out": stop})

    return handler


async def merges(request: web.Request) -> web.Response:
    """GET /merges: contacts that turned out to be one person, newest first."""
    found = await request.app[SERVICE].merges(validate(MergesQuery, dict(request.query)).limit)
    return reply({"count": len(found), "merges": found})


async def undo_merge(request: web.Request) -> web.Response:
    """POST /merges/{id}/undo: they were two after all."""
    found = await request.app[SERVICE].undo_merge(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such merge")
    return reply(found)


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in the text format of Prometheus."""
    return web.Response(body=await request.app[METRICS].render(), headers={"Content-Type": CONTENT_TYPE})


def _table(results: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for result in results:
        messages = (result.get("response") or {}).get("messages") or [{}]
        row = {**result, "wamid": messages[0].get("id", "")}
        writer.writerow({column: _plain(row.get(column)) for column in CSV_COLUMNS})
    return out.getvalue()


def _plain(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: an invalid number is whatever somebody wrote.

    Neither at its start, be that blank or a line end, nor after what another program takes for the end of a cell.
    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if not isinstance(cell, str):
        return cell
    start = len(cell) - len(cell.lstrip(_ENDS + " "))
    head, tail = cell[:start], cell[start:]
    tail = _AFTER_AN_END.sub(lambda piece: f"'{piece[0]}" if _is_formula(piece[0]) else piece[0], tail)
    return f"'{head}{tail}" if head.strip(" ") or _is_formula(tail) else head + tail


def _is_formula(text: str) -> bool:
    """Whether the first sign that can be seen begins a formula; the full-width ones do, too."""
    shown = (char for char in unicodedata.normalize("NFKC", text) if char.isprintable() and not char.isspace())
    return next(shown, "") in _SIGNS


ROUTES = [
    web.get("/outbox", listing),
    web.get("/outbox/{id}", _one("outbox_one")),
    web.post("/outbox/{id}/retry", _one("retry")),
    web.post("/outbox/{id}/cancel", _one("cancel")),
    web.get("/batches/{id}", batch),
    web.post("/contacts/{number}/opt-out", _set_stop(stop=True)),
    web.post("/contacts/{number}/opt-in", _set_stop(stop=False)),
    web.get("/merges", merges),
    web.post("/merges/{id}/undo", undo_merge),
    web.get("/metrics", metrics),
]
