"""The `outbox` command: lists and shows sends, retries and cancels them."""

from __future__ import annotations

import argparse
from typing import Any

from wabot.settings.loading import Settings
from wabot.terminal import printing
from wabot.terminal.reading import Reading
from wabot.terminal.service_calls import ServiceCalls

_NONE = {"send": "there are no such sends", "reply": "no reply waits", "event": "there are no such events"}
"""What is said where a list is empty."""


async def outbox(settings: Settings, args: argparse.Namespace) -> int:
    """Runs `list`, `show`, `retry` or `cancel`. Returns the exit status. Raises NotRunning, Refused, JournalDown."""
    reading, calls = Reading(settings, args.account), ServiceCalls(settings, args.account)
    if args.verb == "list":
        names = ("kind", "message", "state", "number", "batch_id", "cursor", "limit")
        answer = await reading.outbox({name: str(getattr(args, name)) for name in names if getattr(args, name) != ""})
        printing.as_json(answer) if args.json else _print_list(answer)
        if not args.json and not answer["outbox"]:
            printing.note(_NONE[args.kind])
    elif args.verb == "show":
        printing.as_json(await reading.outbox_one(args.id))
    elif args.verb == "retry" and not args.id:
        await _retry_many(calls, args)
    else:
        printing.as_json(await calls("POST", f"/outbox/{args.id}/{args.verb}"))
    return 0


async def _retry_many(calls: ServiceCalls, args: argparse.Namespace) -> None:
    names = ("batch_id", "error_code", "may_repeat")
    wanted = {name: getattr(args, name) for name in names if getattr(args, name)}
    answer = await calls("POST", "/outbox/retry", body=wanted)
    if args.json:
        printing.as_json(answer)
        return
    left = "; left, since they may arrive twice: {left} (--may-repeat tries these too)" if answer["left"] else ""
    printing.line(("tried again: {retried}" + left).format(**answer))


def _print_list(answer: dict[str, Any]) -> None:
    for job in answer["outbox"]:
        made = printing.clock(job["created_at"])
        code = f" ({job['error_code']})" if job.get("error_code") else ""
        error = f"{job['error']}{code}" if job["error"] else ""
        became = f"{job['message_status']}  {error}" if job["kind"] == "send" else job.get("why") or error
        printing.line(f"{job['outbox_id']:<16} {made}  {job['number'] or '?':<16} {job['state']:<9} {became}".rstrip())
    if "next_cursor" in answer:
        printing.line(f"more: --cursor {answer['next_cursor']}")
