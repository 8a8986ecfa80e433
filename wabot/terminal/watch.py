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
"""Contacts of one question; more are asked for while all of these have news."""
BEFORE = 3
"""Messages from before that are shown at the beginning."""
AT_ONCE, MOST = 20, 1000
"""Messages of one question about a person, and the most: more are asked for while all of these are new."""

Seen = dict[str, tuple[Any, ...]]


async def watch(settings: Settings, args: argparse.Namespace) -> int:
    """Print messages and their receipts until it is stopped. Raises Refused, InvalidNumber, JournalDown."""
    reading, seen = Reading(settings, args.account), Watched(since=time.time())
    first = True
    while True:
        talks = [args.number] if args.number else await _moved(reading, seen, first=first)
        found = []
        for number in talks:
            messages = (await reading.talk(number, BEFORE))["messages"] if first else await _new(reading, seen, number)
            found += [{"number": number, **one} for one in seen.news(messages)]
        for one in sorted(found, key=lambda one: float(one["timestamp"])):
            printing.as_json(one, indent=None) if args.json else printing.line(_in_words(one))
        first = False
        await asyncio.sleep(LOOK_SECONDS)


async def _new(reading: Reading, seen: Watched, number: str) -> list[dict[str, Any]]:
    """The newest messages of a person: as many as it takes to reach one that was shown, or is from before."""
    limit = AT_ONCE
    while True:
        messages: list[dict[str, Any]] = (await reading.talk(number, limit))["messages"]
        if len(messages) < limit or limit >= MOST or not seen.is_new(messages[-1]):
            return [one for one in messages if seen.is_new(one) or seen.has_shown(one)]
        limit = min(4 * limit, MOST)


class Watched:
    """What was shown of each message, and what each contact's newest message was. `since`: when it began."""

    def __init__(self, since: float) -> None:
        self._since = int(since)  # Meta's times are whole seconds
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

    def has_shown(self, one: Mapping[str, Any]) -> bool:
        """Whether a message was shown, perhaps with another status."""
        return _name(one) in self._shown

    def is_new(self, one: Mapping[str, Any]) -> bool:
        """Whether a message came since the beginning and was not shown."""
        return not self.has_shown(one) and float(one["timestamp"]) >= self._since

    def news(self, messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The messages that were not shown as they are now, oldest first."""
        for one in reversed(messages):
            name, now = _name(one), (one.get("status"), one.get("error"))
            if self._shown.get(name) != now:
                self._shown[name] = now
                yield one


async def _moved(reading: Reading, seen: Watched, *, first: bool) -> list[str]:
    """Who has something new: on the first page, and on the next ones while all of a page have."""
    found, cursor = list[str](), dict[str, str]()
    while True:
        page = await reading.contacts({"limit": str(LATEST), **cursor})
        moved = [str(contact["number"] or contact["bsuid"]) for contact in page["contacts"] if seen.moved(contact)]
        found += moved
        if first or len(moved) < LATEST or "next_cursor" not in page:
            return found
        cursor = {"cursor": page["next_cursor"]}


def _name(one: Mapping[str, Any]) -> str:
    return str(one.get("outbox_id") or one["id"])


def _in_words(one: Mapping[str, Any]) -> str:
    return f"{one['number']:<16} {printing.message(one)}"
