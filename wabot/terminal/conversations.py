"""The `conversations` command: who talks with us, or the talk with one person."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from wabot.settings.loading import Settings
from wabot.terminal import printing
from wabot.terminal.reading import Reading


async def conversations(settings: Settings, args: argparse.Namespace) -> int:
    """Print them, latest talk first. Raises Refused, InvalidNumber, JournalDown."""
    reading = Reading(settings, args.account)
    if args.number:
        found = await reading.talk(args.number, args.limit)
        if args.json:
            printing.as_json(found)
            return 0
        for one in reversed(found["messages"]):
            printing.line(printing.message(one))
        if not found["messages"]:
            printing.note(f"there are no messages with {args.number}")
        return 0
    named = {"search": args.search, "cursor": args.cursor, "attention": "true" if args.attention else ""}
    found = await reading.contacts({name: text for name, text in named.items() if text} | {"limit": str(args.limit)})
    if args.json:
        printing.as_json(found)
        return 0
    for contact in found["contacts"]:
        printing.line(_in_words(contact))
    if not found["contacts"]:
        printing.note("nobody waits for a person" if args.attention else "nobody is found")
    if "next_cursor" in found:
        printing.line(f"more: --cursor={found['next_cursor']}")
    return 0


def _in_words(contact: Mapping[str, Any]) -> str:
    last = contact["last_message"]
    said = f"{printing.clock(last['timestamp'])}  {'→' if last['direction'] == 'out' else '←'}" if last else " " * 22
    marks = [
        "waits for a person" if contact["attention"] else "",
        "a person answers" if contact["assistant"]["state"] == "paused" else "",
        f"stopped: {contact['stopped']}" if contact["stopped"] else "",
    ]
    who = f"{contact['number'] or contact['bsuid']:<16} {printing.one_line(contact['name']):<20.20}"
    text = f"{who} {said} {printing.one_line(last['body']) if last else '':.60}".rstrip()
    return text + "".join(f"  [{mark}]" for mark in marks if mark)
