"""Histories: the messages with one number, or with many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from wabot.core.answer_size import Room
from wabot.core.exceptions import ArchiveDown
from wabot.core.json_limits import SMALL
from wabot.core.phone_numbers import InvalidNumber, identify
from wabot.histories import History
from wabot.web.answers import RETRY_AFTER, Encoded, Refusal, reply_long
from wabot.web.request_account import label, service_of
from wabot.web.request_bodies import OFFLOAD, parse, validate
from wabot.web.request_models import Get, GetBulk

AT_ONCE = 8
QUESTION_LIMIT, BULK_QUESTION_LIMIT = 131_072, 262_144
REPEATED = 8 << 20
A_WHILE = 100
_NOTHING: Mapping[str, Any] = {"success": False, "count": 0, "messages": []}


async def get(request: web.Request) -> web.Response:
    """POST /get: the messages with one number."""
    asked = await parse(request, partial(validate, Get), QUESTION_LIMIT)
    try:
        history = await service_of(request).history(asked.number, asked.limit, asked.include, before=asked.before)
    except ArchiveDown:
        raise Refusal(
            503, "before: only the archive may know it, and it does not answer", headers=RETRY_AFTER
        ) from None
    partly = {"partial": True} if history.partial else {}
    messages = await _encoded(request, history)
    return reply_long({**label(request), "count": len(history.messages), "messages": messages, **partly})


async def get_bulk(request: web.Request) -> web.Response:
    """POST /get-bulk: the messages with many numbers. Duplicate numbers are looked up once."""
    asked = await parse(request, partial(validate, GetBulk), BULK_QUESTION_LIMIT)
    people = await _identities(asked.numbers)
    lines = await _lines(request, {person for person in people if person}, asked.limit)
    results, seen, repeated = [], set[str](), 0
    for number, person in zip(asked.numbers, people, strict=True):
        line = lines[person] if person else {"number": number, **_NOTHING, "error": "Invalid phone number"}
        if person in seen:
            repeated += line["messages"].size
            line = {**line, "duplicate": True} | ({} if repeated <= REPEATED else {"count": 0, "messages": []})
        seen.add(person or "")
        results.append(line)
    successful = sum(line["success"] for line in results)
    return reply_long(
        {
            **label(request),
            "total_numbers": len(results),
            "successful": successful,
            "failed": len(results) - successful,
            "total_messages": sum(line["count"] for line in results),
            "results": results,
        }
    )


async def _identities(numbers: Sequence[str]) -> list[str | None]:
    """The digits or BSUID of each number; None if invalid."""
    people: list[str | None] = []
    for place, number in enumerate(numbers, start=1):
        if place % A_WHILE == 0:
            await asyncio.sleep(0)
        try:
            people.append(identify(number))
        except InvalidNumber:
            people.append(None)
    return people


async def _lines(request: web.Request, people: Iterable[str], limit: int) -> dict[str, dict[str, Any]]:
    """The result of each person for `/get-bulk`; they share the space of one answer."""
    service, room, gate = service_of(request), Room(), asyncio.Semaphore(AT_ONCE)

    async def line(person: str) -> dict[str, Any]:
        async with gate:
            room.take(0, 0)  # raises if the answer is too long already, so that no more is read
            history = await service.history(person, limit, room=room)
            messages = await _encoded(request, history)
        count = len(history.messages)
        found = {"success": True, "count": count} if count else {**_NOTHING, "error": "No messages found"}
        return {"number": person, **found, "messages": messages} | ({"partial": True} if history.partial else {})

    people = list(people)
    return dict(zip(people, await asyncio.gather(*map(line, people)), strict=True))


_INSIDE = ("_id", "version")


async def _encoded(request: web.Request, history: History) -> Encoded:
    """Messages as `/get` shows them, without our internal fields."""
    shown = ({name: value for name, value in message.items() if name not in _INSIDE} for message in history.messages)
    return Encoded(shown) if history.size <= SMALL else await request.app[OFFLOAD](Encoded, shown)


ROUTES = [web.post("/get", get), web.post("/get-bulk", get_bulk)]
