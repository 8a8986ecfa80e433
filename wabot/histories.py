"""Histories: the messages with a person from the journal and the archive, as one list or page by page.

Newest first. Within a second, which is as fine as Meta's times are, the journal's own order counts, and what only the
archive has comes after it. A page may end within a second, so each store is asked for whole seconds, and the messages
of a second always stand in the same order: a page begins after the message that the one before ended with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wabot.core.answer_size import Room
from wabot.core.exceptions import ArchiveDown, InvalidField
from wabot.core.history_span import ALWAYS, Span, second
from wabot.core.json_values import seconds_of
from wabot.core.messages import Contact
from wabot.journal.journal import Journal
from wabot.offload import MANY, Offload

ENVELOPE = 600
"""Bytes of JSON that a message takes beside its texts."""

Messages = list[dict[str, Any]]


class UnknownMessage(InvalidField):
    """The message that a page is to begin after is not one of this talk."""


class HistoryArchive(Protocol):
    """The archive, as histories need it. Raises ArchiveDown."""

    async def history(
        self, identities: Iterable[str | None], contact: str | None, limit: int, include: Sequence[str], *, span: Span
    ) -> Messages: ...
    async def find(self, identities: Iterable[str | None], contact: str | None, id_: str) -> dict[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class History:
    """Messages, newest first. `partial`: the archive did not answer, so they are from the journal alone.

    `size`: about how many bytes they take as JSON.
    """

    messages: Messages
    partial: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Question:
    """Whose messages, which, and how many bytes there is room for."""

    identity: str
    limit: int
    include: Sequence[str]
    room: Room


class Histories:
    """Reads histories from the journal and, where there is one, the archive."""

    def __init__(self, journal: Journal, archive: HistoryArchive | None) -> None:
        self._journal, self._archive, self._offload = journal, archive, Offload()

    async def of(
        self, identity: str, limit: int, include: Sequence[str], room: Room, before: str | None = None
    ) -> History:
        """The messages with somebody, from the newest on, or from the one after `before` on: a message's id.

        Raises UnknownMessage, TooLong, and ArchiveDown if only the archive could know `before`.
        """
        asked = _Question(identity, limit, include, room)
        if before is None:
            return await self._messages(asked, ALWAYS)
        at = await self._time_of(identity, before)
        if at is None:
            raise UnknownMessage("before", "not the id of a message with this person")
        same, older = await self._messages(asked, second(at), 0), await self._messages(asked, Span(below=int(at)))
        place = next((n for n, message in enumerate(same.messages) if before in _names(message)), -1)
        found = same.messages[place + 1 :] + older.messages
        return History(found[:limit] if limit else found, same.partial or older.partial, same.size + older.size)

    async def _messages(self, asked: _Question, span: Span, limit: int | None = None) -> History:
        """The newest messages of a span, both stores together; of the last second the right ones."""
        limit = asked.limit if limit is None else limit
        room, size_before = asked.room, asked.room.size
        contact, ours = await self._ours(asked, limit, span)
        size = size_before - room.size + len(ours) * ENVELOPE
        if self._archive is None or asked.identity in self._journal.leaving:
            return History(ours[:limit] if limit else ours, size=size)
        names, key = self._names_and_key(asked.identity, contact)
        try:
            theirs = await self._theirs(list(names), key, asked, limit=limit, span=span)
        except ArchiveDown:
            return History(ours[:limit] if limit else ours, partial=True, size=size)
        room.take(len(theirs), 0)
        size += len(theirs) * ENVELOPE * 2  # the texts of the archive's messages are not counted
        if len(ours) + len(theirs) <= MANY:
            return History(_merged(ours, theirs, limit), size=size)
        return History(await self._offload(_merged, ours, theirs, limit), size=size)

    async def _ours(self, asked: _Question, limit: int, span: Span) -> tuple[Contact | None, Messages]:
        """The journal's messages: `limit` of them, in its order, which is the same each time."""
        return await self._journal.of_contact(asked.identity, limit, asked.include, asked.room, span)

    async def _theirs(
        self, names: Sequence[str | None], key: str | None, asked: _Question, *, limit: int, span: Span
    ) -> Messages:
        """The archive's messages: `limit` of them, and of the last second all, since it may give any of them."""
        ask, most = self._archive, asked.room.messages + 1
        if ask is None:
            return []
        found = await ask.history(names, key, limit + 1 if limit else most, asked.include, span=span)
        if not limit or len(found) <= limit or _seconds(found[limit - 1]) != _seconds(found[limit]):
            return found
        last = _seconds(found[limit])
        whole = await ask.history(names, key, most, asked.include, span=second(last))
        return [message for message in found if _seconds(message) != last] + whole

    async def _time_of(self, identity: str, message_id: str) -> float | None:
        """When a message with somebody was said, in Unix seconds; None if there is none of this id."""
        contact, at = await self._journal.time_of(identity, message_id)
        if at is not None or self._archive is None or identity in self._journal.leaving:
            return at
        found = await self._archive.find(*self._names_and_key(identity, contact), message_id)
        return None if found is None else _seconds(found)

    def _names_and_key(self, identity: str, contact: Contact | None) -> tuple[set[str | None], str | None]:
        """What the archive knows somebody by."""
        if contact is None:
            return {identity}, None
        return {identity, contact.wa_id, contact.bsuid}, f"{self._journal.name}-{contact.id}"


def _merged(ours: Messages, theirs: Messages, limit: int) -> Messages:
    """The messages of both, newest first; of duplicates only ours."""
    have = {name for message in ours for name in (message["_id"], message["id"]) if name}
    merged = ours + [m for m in theirs if m["_id"] not in have and m.get("id") not in have]
    merged.sort(key=_seconds, reverse=True)
    return merged[:limit] if limit else merged


def _names(message: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a message may be called: Meta's id, and where it has none, our outbox id."""
    return message.get("id"), message["_id"], message.get("outbox_id")


def _seconds(message: Mapping[str, Any]) -> float:
    """The time of a message; 0 if the archive has no valid one."""
    return seconds_of(message.get("timestamp")) or 0.0
