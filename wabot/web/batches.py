"""Batches: list them, show the results of one as JSON or CSV, cancel one."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from typing import Any

from aiohttp import web

from wabot.core.exceptions import InvalidField
from wabot.web.answers import Refusal
from wabot.web.initiate_bulk import reply_batch
from wabot.web.request_account import answer, service_of
from wabot.web.request_bodies import OFFLOAD, read_account, validate_query
from wabot.web.request_models import BatchesQuery, BatchQuery

_SIGNS = frozenset("=+-@")
_ENDS = ";,\t\n\v\f\r\x85\u2028\u2029\uff1b\uff0c"
"""Characters that some spreadsheet programs take for the end of a cell, even inside quotes."""
_AFTER_AN_END = re.compile(rf"(?<=[{_ENDS}])[^{_ENDS}]++")
CSV_COLUMNS = ("number", "status", "success", "duplicate", "outbox_id", "wamid", "error_code", "error")


async def listing(request: web.Request) -> web.Response:
    """GET /batches: the batches with their counts, newest first; `next_cursor` if there may be more."""
    asked = validate_query(BatchesQuery, request)
    found = await service_of(request).batches(asked.limit, asked.cursor or None)
    if found is None:
        raise InvalidField("cursor", "not a batch id")
    more = {"next_cursor": found[-1]["batch_id"]} if len(found) == asked.limit else {}
    return answer(request, {"count": len(found), "batches": found, **more})


async def cancel(request: web.Request) -> web.Response:
    """POST /batches/{id}/cancel: cancel all sends that have not left; the batch's counts."""
    await read_account(request)
    found = await service_of(request).cancel_batch(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such batch")
    return answer(request, found)


async def batch(request: web.Request) -> web.Response:
    """GET /batches/{id}: counts and results per recipient; `?format=csv` for CSV."""
    asked = validate_query(BatchQuery, request)
    found = await service_of(request).batch(request.match_info["id"])
    if found is None:
        raise Refusal(404, "no such batch")
    if asked.format == "csv":
        table = await request.app[OFFLOAD](_table, found["results"])
        return web.Response(text=table, content_type="text/csv", charset="utf-8")
    return await reply_batch(request, found)


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
    """A cell that no spreadsheet program takes for a formula: an invalid number can be any text.

    Checks the start of the cell, after blanks and line ends, and every place that may count as the end of a cell.
    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if not isinstance(cell, str):
        return cell
    start = len(cell) - len(cell.lstrip(_ENDS + " "))
    head, tail = cell[:start], cell[start:]
    tail = _AFTER_AN_END.sub(lambda piece: f"'{piece[0]}" if _is_formula(piece[0]) else piece[0], tail)
    return f"'{head}{tail}" if head.strip(" ") or _is_formula(tail) else head + tail


def _is_formula(text: str) -> bool:
    """Whether the first visible character starts a formula; full-width ones count too."""
    shown = (char for char in unicodedata.normalize("NFKC", text) if char.isprintable() and not char.isspace())
    return next(shown, "") in _SIGNS


ROUTES = [
    web.get("/batches", listing),
    web.get("/batches/{id}", batch),
    web.post("/batches/{id}/cancel", cancel),
]
