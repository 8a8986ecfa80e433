"""The `watch` command: what is said, and what becomes of it, as it happens."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

from wabot.settings.loading import Settings
from wabot.terminal import printing
from wabot.terminal.reading import Reading

LOOK_SECONDS = 1.0
LATEST = 50
"""The contacts who are looked at each time, for receipts. Beside them, all who have a new message."""
BEFORE = 3
"""Messages from before that are shown at the beginning."""
AT_ONCE = 50
"""Messages of one person that are read at once."""

Messages = list[dict[str, Any]]
Seen = dict[str, tuple[Any, ...]]


async def watch(settings: Settings, args: argparse.Namespace) -> int:
    """Print messages and their receipts until it is stopped. Raises Refused, InvalidNumber, JournalDown."""
    reading, seen = Reading(settings, args.account), Watched(time.time())
    first = True
    while True:
        talks = [args.number] if args.number else await _moved(reading, seen, first=first)
        found = []
        for number in talks:
            messages = await (_latest(reading, number) if first else _since(reading, seen, number))
            found += [{"number": number, **one} for one in seen.news(number, messages)]
        for one in sorted(found, key=lambda one: float(one["timestamp"])):
            printing.as_json(one, indent=None) if args.json else printing.line(_in_words(one))
        first = False
        await asyncio.sleep(LOOK_SECONDS)


class Watched:
    """What was shown of each message, and what each contact's newest message was.

    `began`: Unix seconds. `mark`: the cursor behind those who were the latest at the last look: whoever has had a
    new message since stands before it. None: there were no others.
    """

    def __init__(self, began: float) -> None:
        self.mark: int | None = None
        self._began = began
        self._shown: Seen = {}
        self._newest: Seen = {}
        self._people: set[str] = set()

    def moved(self, contact: Mapping[str, Any]) -> bool:
        """Whether somebody has a new message, or their newest one a new status."""
        last = contact["last_message"] or {}
        now = last.get("id"), last.get("status"), last.get("error")
        name = str(contact["number"] or contact["bsuid"])
        moved = self._newest.get(name) != now
        self._newest[name] = now
        return moved

    def reaches(self, number: str, messages: Messages) -> bool:
        """Whether these, newest first, go back to what was shown; of somebody new: to when the watch began."""
        if any(_name(one) in self._shown for one in messages):
            return True
        return number not in self._people and any(float(one["timestamp"]) < self._began for one in messages)

    def news(self, number: str, messages: Messages) -> Iterator[dict[str, Any]]:
        """The messages that were not shown as they are now, oldest first."""
        self._people.add(number)
        for one in reversed(messages):
            now = one.get("status"), one.get("error")
            if self._shown.get(_name(one)) != now:
                self._shown[_name(one)] = now
                yield one


async def _moved(reading: Reading, seen: Watched, *, first: bool) -> list[str]:
    """Who has something new: page by page, as far back as the last look's first page went."""
    page = await reading.contacts({"limit": str(LATEST)})
    contacts, mark, cursor = page["contacts"], seen.mark, page.get("next_cursor")
    seen.mark = int(cursor) if cursor else None
    while not first and cursor and (mark is None or int(cursor) > mark):
        page = await reading.contacts({"limit": str(LATEST), "cursor": cursor})
        contacts, cursor = contacts + page["contacts"], page.get("next_cursor")
    return [str(contact["number"] or contact["bsuid"]) for contact in contacts if seen.moved(contact)]


async def _latest(reading: Reading, number: str) -> Messages:
    found: Messages = (await reading.talk(number, BEFORE))["messages"]
    return found


async def _since(reading: Reading, seen: Watched, number: str) -> Messages:
    """The messages with somebody back to those that were shown, newest first."""
    messages: Messages = []
    while True:
        before = _name(messages[-1]) if messages else None
        page = (await reading.talk(number, AT_ONCE, before))["messages"]
        messages += page
        if len(page) < AT_ONCE or seen.reaches(number, page):
            return messages


def _name(one: Mapping[str, Any]) -> str:
    """What a message is called: one that has not left has no id of Meta's."""
    return str(one.get("outbox_id") or one["id"])


def _in_words(one: Mapping[str, Any]) -> str:
    return f"{one['number']:<16} {printing.message(one)}"
