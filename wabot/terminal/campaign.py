"""The `campaign` command: a template to everybody in a CSV file.

The same file is the same campaign: each batch has an Idempotency-Key of it, so that a second call, after a lost
connection or by mistake, sends nothing twice.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wabot.settings.loading import Settings
from wabot.terminal import campaign_file, printing, templates
from wabot.terminal.campaign_file import Row
from wabot.terminal.service_calls import NotRunning, Refused, ServiceCalls

MOST = 10_000
"""Recipients of one request."""
LOOK_SECONDS = 0.5
NAMED = 5
"""The most wrong lines that are named, and the most reasons of failures."""
_COUNTS = ("total", "duplicates", "invalid", "opted_out", "unreachable", "would_send")


async def campaign(settings: Settings, args: argparse.Namespace) -> int:
    """Send it, or say what would be sent. Returns 1 if anything failed. Raises NotRunning, Refused, UnusableFile."""
    calls, table = ServiceCalls(settings, args.account), campaign_file.read(args.file)
    template = await templates.named(calls, args.template, args.language)
    named = {"name": args.template, "language": template.language}
    recipients = [_recipient(template, row, args) for row in table.rows]
    bodies = [
        {"recipients": recipients[start : start + MOST], "template": named, **({"send_at": args.at} if args.at else {})}
        for start in range(0, len(recipients), MOST)
    ]
    if args.dry_run:
        return await _try(calls, bodies, table.rows, args)
    identity = f"{table.digest} {args.template} {template.language} {args.at} {args.again}"
    batches = []
    for place, body in enumerate(bodies):
        key = f"campaign-{hashlib.sha256(f'{identity} {place}'.encode()).hexdigest()[:32]}"
        headers = {"Prefer": "respond-async", "Idempotency-Key": key}
        answer = await _asked(calls, body, table.rows[place * MOST :], headers)
        batches.append(answer)
        before = "; this file was sent before, and --again WORD sends it once more" if calls.replayed else ""
        printing.note(f"batch {answer['batch_id']}: {answer['total']} recipients{before}")
    if not args.at:
        batches = await _followed(calls, batches, quiet=args.json)
    return _report(batches, args)


def _recipient(template: Any, row: Row, args: argparse.Namespace) -> dict[str, Any]:
    try:
        return {"number": row.number, "components": templates.components(template, row.values)}
    except Refused as error:
        raise Refused(f"{args.file}, line {row.line}: {error}", error.status) from error


async def _asked(
    calls: ServiceCalls, body: Mapping[str, Any], rows: Sequence[Row], headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The answer to a bulk request; a refusal names the lines of the file."""
    try:
        return await calls("POST", "/initiate-bulk", body=body, headers=headers)
    except Refused as error:
        wrong = [f"line {rows[one['index']].line}: {one['message']}" for one in error.details if "index" in one]
        more = [f"and {len(wrong) - NAMED} more"] if len(wrong) > NAMED else []
        raise Refused("\n".join([str(error), *wrong[:NAMED], *more]), error.status, error.details) from error


async def _try(
    calls: ServiceCalls, bodies: Sequence[Mapping[str, Any]], rows: Sequence[Row], args: argparse.Namespace
) -> int:
    total = Counter[str]()
    answers = []
    for place, body in enumerate(bodies):
        answer = await _asked(calls, {**body, "dry_run": True}, rows[place * MOST :])
        answers.append(answer)
        total.update({name: answer[name] for name in (*_COUNTS, "seconds")})
    if args.json:
        printing.as_json({**answers[0], **total})
        return 0
    printing.line("Nothing was sent. This is what a campaign would do:")
    for name in _COUNTS:
        printing.line(f"  {name.replace('_', ' '):<12} {total[name]}")
    printing.line(f"  {'category':<12} {answers[0]['category'] or 'unknown'}")
    printing.line(f"  {'takes':<12} about {total['seconds']:.0f} s")
    return 0


async def _followed(calls: ServiceCalls, batches: list[dict[str, Any]], *, quiet: bool) -> list[dict[str, Any]]:
    """The batches when nothing of them is left to be sent; with a bar meanwhile, in a terminal."""
    from rich.console import Console  # noqa: PLC0415  it takes a while to load
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    shown = Console(file=sys.stderr)
    with Progress(*columns, console=shown, disable=quiet or not shown.is_terminal, transient=True) as progress:
        bar = progress.add_task("sent or failed", total=sum(batch["total"] for batch in batches))
        while True:
            batches = [batch if not batch["queued"] else await _looked_at(calls, batch) for batch in batches]
            progress.update(bar, completed=sum(batch["total"] - batch["queued"] for batch in batches))
            if not any(batch["queued"] for batch in batches):
                return batches
            await asyncio.sleep(LOOK_SECONDS)


async def _looked_at(calls: ServiceCalls, batch: dict[str, Any]) -> dict[str, Any]:
    """A batch as it is now; as it was, while wabot restarts."""
    try:
        return await calls("GET", f"/batches/{batch['batch_id']}")
    except NotRunning:
        await asyncio.sleep(LOOK_SECONDS)
        return batch


def _report(batches: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> int:
    total = {name: sum(batch[name] for batch in batches) for name in ("total", "successful", "failed", "queued")}
    if args.json:
        printing.as_json({**total, "batches": batches})
    else:
        for text in _in_words(batches, total, args):
            printing.line(text)
    return 1 if total["failed"] else 0


def _in_words(
    batches: Sequence[Mapping[str, Any]], total: Mapping[str, int], args: argparse.Namespace
) -> Iterator[str]:
    if args.at and total["queued"]:
        yield f"Scheduled for {args.at}: {total['queued']} of {total['total']}."
    else:
        yield f"{total['total']} recipients: {total['successful']} sent, {total['failed']} failed."
    results = [result for batch in batches for result in batch["results"]]
    reasons = Counter(printing.one_line(one["error"]) for one in results if one["status"] == "failed")
    for reason, count in reasons.most_common(NAMED):
        yield f"  {count:>6}  {reason}"
    for one in [one for one in results if one.get("error_code") == "invalid_number"][:NAMED]:
        yield f"No phone number: {printing.one_line(one['number'])}"
    for batch in batches:
        if any(one["status"] == "failed" and "outbox_id" in one for one in batch["results"]):
            yield f"Who and why: outbox list --state failed --batch {batch['batch_id']}"
            yield f"Once more:   outbox retry --failed --batch {batch['batch_id']}"
