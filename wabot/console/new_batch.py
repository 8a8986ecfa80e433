"""A new batch from a table: columns are matched to the template's values, checked and shown before anything is sent."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from wabot.accounts import Account
from wabot.batch_building import Asked, Bulk
from wabot.console import rendering, template_form
from wabot.console.serving import to
from wabot.core import template_values
from wabot.core.exceptions import InvalidInput
from wabot.core.phone_numbers import InvalidNumber, normalize_number
from wabot.core.templates import Template
from wabot.web.answers import Refusal
from wabot.web.request_account import account_of
from wabot.web.request_fields import instant
from wabot.web.request_models import MAX_RECIPIENTS

COLUMN = "column_"
"""How the fields begin that say which column has a value."""
NUMBER = "number"
PREVIEWED = 3


@dataclass(frozen=True, slots=True)
class Table:
    """A pasted table: the names of its columns, and its rows."""

    columns: Sequence[str]
    rows: Sequence[Mapping[str, str]]


async def page(request: web.Request) -> web.StreamResponse:
    """GET /console/batches/new: paste a table, choose a template."""
    templates = await template_form.approved(account_of(request))
    zone = account_of(request).settings.bulk.timezone
    return rendering.page(request, "new_batch.html", {"templates": templates, "zone": zone})


async def check(request: web.Request) -> web.StreamResponse:
    """POST /console/batches/new: what the batch would do; the columns can be matched anew."""
    account, form = account_of(request), await request.post()
    table, template = read_table(str(form.get("table", ""))), await _template(account, form)
    columns = _columns(form, table, template)
    values: dict[str, Any] = {
        "table": table,
        "text": str(form.get("table", "")),
        "template": template,
        "chosen": template_form.key(template),
        "fields": template_values.fields_of(template),
        "columns": columns,
        "send_at": str(form.get("send_at", "")),
        "key": secrets.token_urlsafe(16),
        "at": _send_at(form, account.settings.bulk.timezone),
        "previews": [template_values.preview(template, _values(row, columns)) for row in table.rows[:PREVIEWED]],
        "trouble": None,
        "dry_run": None,
    }
    try:
        values["dry_run"] = await account.service.dry_run(_bulk(table, template, columns, values["at"]))
    except (InvalidInput, Refusal) as error:
        values["trouble"] = error.message if isinstance(error, Refusal) else str(error)
    return rendering.page(request, "check_batch.html", values)


async def start(request: web.Request) -> web.StreamResponse:
    """POST /console/batches/start: queue it. The form's key makes a second click the same batch."""
    account, form = account_of(request), await request.post()
    table, template = read_table(str(form.get("table", ""))), await _template(account, form)
    at, key = _send_at(form, account.settings.bulk.timezone), f"console-{form.get('key', '')}"
    bulk = _bulk(table, template, _columns(form, table, template), at, key=key)
    batch_id, _known = await account.service.initiate(bulk)
    return to(f"/console/batches/{batch_id}", request, done="batch_started")


def read_table(text: str) -> Table:
    """A table as CSV, with commas, semicolons or tabs. Raises Refusal."""
    text = text.strip().lstrip("\ufeff")
    if not text:
        raise Refusal(422, "The table is empty: its first line names the columns, and one of them is the number.")
    first = text.splitlines()[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        lines = list(reader)
    except csv.Error as error:
        raise Refusal(
            422, f"Line {reader.line_num} of the table is no CSV: {error}. Is a quotation mark open?"
        ) from None
    columns = [name.strip() for name in lines[0]]
    _check_names(columns)
    rows = [dict(zip(columns, (cell.strip() for cell in line), strict=False)) for line in lines[1:] if any(line)]
    if not rows:
        raise Refusal(422, "The table has no rows under the names of its columns.")
    if len(rows) > MAX_RECIPIENTS:
        raise Refusal(422, f"The table has {len(rows)} rows; one batch takes {MAX_RECIPIENTS}.")
    return Table(columns, rows)


def _check_names(columns: Sequence[str]) -> None:
    """Raises Refusal where nobody could say what a column is: then somebody is left out, or gets another's message."""
    for name in columns:
        if name and columns.count(name) > 1:
            raise Refusal(422, f"Two columns of the table are called {name}: give each a name of its own.")
        if _is_number(name):
            raise Refusal(422, f"The first line of the table has a number, {name}: it must name the columns.")


def _is_number(text: str) -> bool:
    try:
        normalize_number(text)
    except InvalidNumber:
        return False
    return True


async def _template(account: Account, form: Mapping[str, Any]) -> Template:
    return await template_form.named(account, str(form.get("template", "")))


def _columns(form: Mapping[str, Any], table: Table, template: Template) -> dict[str, str]:
    """For the number and each value of the template: the column that has it, as chosen, or that is called so."""
    found = {}
    for place, field in enumerate([NUMBER, *template_values.fields_of(template)]):
        chosen = str(form.get(f"{COLUMN}{field}", ""))
        alike = next((name for name in table.columns if name.casefold() == field.casefold()), None)
        at_place = table.columns[place] if place < len(table.columns) else ""
        found[field] = chosen if chosen in table.columns else alike or at_place
    return found


def _values(row: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, str]:
    return {field: row.get(column, "") for field, column in columns.items()}


def _bulk(
    table: Table, template: Template, columns: Mapping[str, str], send_at: float | None, *, key: str | None = None
) -> Bulk:
    """The batch of a form. Raises Refusal if a row lacks a value."""
    recipients = []
    for place, row in enumerate(table.rows, start=2):
        values = _values(row, columns)
        if absent := template_values.missing(template, values):
            raise Refusal(422, f"Line {place} of the table has no value for {', '.join(absent)}.")
        if any("\n" in value or "\r" in value for value in values.values()):
            raise Refusal(422, f"Line {place} of the table has a value of several lines: is a quotation mark open?")
        recipients.append(Asked(values[NUMBER], template_values.components(template, values)))
    named = {"name": template.name, "language": template.language, "components": []}
    return Bulk(recipients, named, key, by_recipient=True, send_at=send_at)


def _send_at(form: Mapping[str, Any], zone: str) -> float | None:
    """Unix seconds of the time in a form, by the clock of `zone` where it has no offset; None: now. Raises Refusal."""
    at = str(form.get("send_at", "")).strip()
    with suppress(ValueError):
        given = datetime.fromisoformat(at)
        at = given.isoformat() if given.tzinfo else given.replace(tzinfo=ZoneInfo(zone)).isoformat()
    try:
        return instant(at) if at else None
    except ValueError as error:
        raise Refusal(422, f"Send at: {error}") from None
