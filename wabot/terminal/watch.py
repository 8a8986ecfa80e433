"""The `watch` command: what is said, and what becomes of it, as it happens."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from wabot.settings.loading import Settings
from wabot.terminal import printing
from wabot.terminal.reading import Reading

LOOK_SECONDS = 1.0
LATEST = 50
"""The most contacts that are looked at each time."""
BEFORE = 3
"""Messages from before that are shown at the beginning."""
AT_ONCE = 20
"""The most messages of one person that are shown of what came since the last look."""

Seen = dict[str, tuple[Any, ...]]


async def watch(settings: Settings, args: argparse.Namespace) -> int:
    """Print messages and their receipts until it is stopped. Raises Refused, InvalidNumber, JournalDown."""
    reading, seen = Reading(settings, args.account), Watched()
    first = True
    while True:
        talks = [args.number] if args.number else await _moved(reading, seen)
        found = []
        for number in talks:
            messages = (await reading.talk(number, BEFORE if first else AT_ONCE))["messages"]
            found += [{"number": number, **one} for one in seen.news(messages)]
        for one in sorted(found, key=lambda one: float(one["timestamp"])):
            printing.as_json(one, indent=None) if args.json else printing.line(_in_words(one))
        first = False
        await asyncio.sleep(LOOK_SECONDS)


class Watched:
    """What was shown of each message, and what each contact's newest message was."""

    def __init__(self) -> None:
        self._shown: Seen = {}
        self._newest: Seen = {}

    def moved(self, contact: Mapping[str, Any]) -> bool:
        """Whether somebody has a new message, or their newest one a new status."""
        last = contact["last_message"] or {}
        now = last.get("id"), last.get("status"), last.get("error")
        name = str(contact["number"] or contact["bsuid"])
        moved = self._newest.get(name) != now
        self._newest[name] = now
        return moved

    def news(self, messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The messages that were not shown as they are now, oldest first."""
        for one in reversed(messages):
            name, now = str(one.get("outbox_id") or one["id"]), (one.get("status"), one.get("error"))
            if self._shown.get(name) != now:
                self._shown[name] = now
                yield one


async def _moved(reading: Reading, seen: Watched) -> list[str]:
    contacts = (await reading.contacts({"limit": str(LATEST)}))["contacts"]
    return [str(contact["number"] or contact["bsuid"]) for contact in contacts if seen.moved(contact)]


def _in_words(one: Mapping[str, Any]) -> str:
    return f"{one['number']:<16} {printing.message(one)}"
