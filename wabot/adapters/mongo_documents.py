"""The documents of the archive: conditions by which they are found, and what those of the earlier service lack."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wabot.core.history_span import Span
from wabot.core.json_values import loads, seconds_of, text_of
from wabot.core.messages import Direction, Status
from wabot.core.outgoing import Origin
from wabot.core.phone_numbers import is_bsuid


def with_somebody(names: Sequence[str], contact: str | None) -> dict[str, Any]:
    """The condition for the messages with somebody."""
    people: list[dict[str, Any]] = [{"participant_numbers": {"$in": list(names)}}]
    if contact is not None:
        people.append({"contact": contact})
    return {"$or": people}


def within(span: Span) -> list[dict[str, Any]]:
    """The condition for messages of a span: times are texts of ten digits, which sort as the numbers do."""
    bounds = {"$gte": span.since, "$lt": span.below}
    given = {name: str(bound) for name, bound in bounds.items() if bound is not None}
    return [{"timestamp": given}] if given else []


def is_theirs(document: Mapping[str, Any], names: Sequence[str], key: str) -> bool:
    """Whether a document with one of these names is of this contact: the number may have been somebody else's before.

    A document that names another BSUID is somebody else's, unless it has our own `key`: then Meta changed the BSUID.
    """
    people = document.get("participant_numbers")
    others = [name for name in people if text_of(name) not in names] if isinstance(people, list) else []
    return document.get("contact") == key or not any(is_bsuid(text_of(name)) for name in others)


def completed(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A document with all fields of `/get`: those of the earlier service have an ObjectId and no direction."""
    inbound = str(document.get("from")) in names
    return {
        "direction": str(Direction.IN if inbound else Direction.OUT),
        "status": str(Status.RECEIVED if inbound else Status.SENT),
        "error": None,
        **document,
        "_id": str(document["_id"]),
        "timestamp": str(document.get("timestamp") or "0"),
    }


def whole(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document in the journal's format: those of the earlier service lack our fields, and may hold anything."""
    inbound = document["direction"] == Direction.IN
    origin = text_of(document.get("origin"))
    return {
        "id": text_of(document.get("id")) or None,
        "from": text_of(document.get("from")),
        "to": text_of(document.get("to")),
        "timestamp": str(seconds_of(document["timestamp"]) or 0.0),
        "type": text_of(document.get("type")) or "text",
        "body": text_of(document.get("body")),
        "raw": loads(json.dumps(document.get("raw") or {}, default=str)),
        "direction": str(Direction.IN if inbound else Direction.OUT),
        "origin": origin if origin in set(Origin) else str(Origin.PERSON if inbound else Origin.AI),
    }
