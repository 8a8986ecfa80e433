"""Batches: a list of them, what became of one, as JSON or as a table for a spreadsheet, and the end of one."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from typing import Any

from aiohttp import web

from wabot.web.answers import Refusal, reply
from wabot.web.body import ASIDE, validate
from wabot.web.models import BatchesQuery
from wabot.web.routes import SERVICE, told

_SIGNS = frozenset("=+-@")
_ENDS = ";,\t\n\v\f\r\x85\u2028\u2029\uff1b\uff0c"
"""What some spreadsheet takes for the end of a cell, though it stands inside of one."""
_AFTER_AN_END = re.compile(rf"(?<=[{_ENDS}])[^{_ENDS}]++")
CSV_COLUMNS = ("number", "status", "success", "duplicate", "outbox_id", "wamid", "error_code", "error")


async def listing(request: web.Request) -> web.Response:
    """GET /batches: the batches with their counts, newest first; `next_cursor` where there may be more."""
    asked = validate(BatchesQuery, dict(request.query))
    found = await request.app[SERVICE].batches(asked.limit, asked.cursor or None)
    if found is None:
        raise Refusal(422, "cursor: not a batch id")
    more = {"next_cursor": found[-1]["batch_id"]} if len(found) == asked.limit else {}
    return reply({"count": len(found), "batches": found, **more})


async def cancel(request: web.Request) -> web.Response:
    """POST /batches/{id}/cancel: nothing more of a batch leaves; its counts."""
    found = await request.app[SERVICE].cancel_batch(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such batch")
    return reply(found)


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
    web.get("/batches", listing),
    web.get("/batches/{id}", batch),
    web.post("/batches/{id}/cancel", cancel),
]
