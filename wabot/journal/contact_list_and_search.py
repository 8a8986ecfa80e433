"""Contacts, latest talk first, and the search in names, numbers and texts.

The messages themselves are the order: whoever has the newest comes first. So nothing is written for it when a message
is accepted, and nothing is left of it when a person is forgotten. Reading goes in steps, so that others get a turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wabot.journal import contact_documents
from wabot.journal.sqlite import Reader

SEARCHED = 100_000
"""The newest messages in whose texts a search looks."""
STEP = 2_000
"""Messages that one step reads: some milliseconds."""
NAMED = 5_000
"""The most contacts that a search in names and numbers finds, the newest."""

_BEYOND = 1 << 62
_NEWEST = "(SELECT id FROM messages WHERE contact_id = {} ORDER BY timestamp DESC, id DESC LIMIT 1)"


@dataclass(frozen=True, slots=True)
class Question:
    """Which contacts: `search` in names, numbers and texts ("" = all), `attention`: those who wait for a person.

    `before`: the cursor of the page before; None = from the newest.
    """

    search: str = ""
    attention: bool = False
    limit: int = 50
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """A contact and the id of their newest message, which is where they stand in the order."""

    contact_id: int
    place: int


@dataclass(frozen=True, slots=True)
class Page:
    """Contacts as the API shows them; `cursor`: for the next page, None if there is none."""

    contacts: list[dict[str, Any]]
    cursor: int | None = None


class ContactLists:
    """The journal's lists of contacts."""

    _read_long: Reader

    async def contacts(self, question: Question, now: float) -> Page:
        """A page of contacts, latest talk first."""
        before = _BEYOND if question.before is None else question.before
        if question.search or question.attention:
            talks = await self._matching(question, before)
        else:
            talks = await self._latest(before, question.limit)
        shown = talks[: question.limit]
        found = await self._read_long(_shown, [talk.contact_id for talk in shown], now)
        return Page(found, shown[-1].place if len(shown) == question.limit else None)

    async def _latest(self, before: int, limit: int) -> list[Talk]:
        talks: list[Talk] = []
        at: int | None = before
        while at is not None and len(talks) < limit:
            some, at = await self._read_long(_talks_before, at)
            talks += some
        return talks

    async def _matching(self, question: Question, before: int) -> list[Talk]:
        words = question.search.strip()
        ids = set(await self._read_long(_asked_for, words, attention=question.attention))
        found = await self._saying(words) if words else {}
        if question.attention and found:
            waiting = set(await self._read_long(_asked_for, "", attention=True))
            found = {contact_id: place for contact_id, place in found.items() if contact_id in waiting}
        talks = [Talk(contact_id, place) for contact_id, place in found.items()]
        talks += await self._read_long(_places, sorted(ids - found.keys()))
        return sorted((talk for talk in talks if talk.place < before), key=lambda talk: -talk.place)

    async def _saying(self, words: str) -> dict[int, int]:
        """The contacts of the newest messages in which `words` are, each with the place of their talk."""
        places, said, at, seen = dict[int, int](), set[int](), _BEYOND, 0
        while seen < SEARCHED:
            rows = await self._read_long(_says, words, at)
            for message_id, contact_id, says in rows:
                places.setdefault(contact_id, message_id)  # the newest first
                if says:
                    said.add(contact_id)
            seen += len(rows)
            if len(rows) < STEP:
                break
            at = rows[-1][0]
        return {contact_id: places[contact_id] for contact_id in said}


def _talks_before(db: sqlite3.Connection, before: int) -> tuple[list[Talk], int | None]:
    """The contacts whose newest message is one of the next STEP messages; where to go on, None at the end."""
    rows = db.execute(
        f"SELECT id, contact_id, id = {_NEWEST.format('m.contact_id')} AS newest FROM"
        " (SELECT id, contact_id FROM messages WHERE id < ? ORDER BY id DESC LIMIT ?) m",
        (before, STEP),
    ).fetchall()
    talks = [Talk(row["contact_id"], row["id"]) for row in rows if row["newest"]]
    return talks, rows[-1]["id"] if len(rows) == STEP else None


def _asked_for(db: sqlite3.Connection, search: str, *, attention: bool) -> list[int]:
    """The contacts by name, by number or BSUID, or (`attention`) all who wait for a person and match."""
    digits = "".join(char for char in search if char.isdigit())
    where = "attention_at IS NOT NULL" if attention else "1"
    rows = db.execute(
        f"SELECT id FROM contacts WHERE {where} AND ({_has('name', search)} OR {_has('bsuid', search)}"
        " OR (:digits <> '' AND instr(wa_id, :digits))) ORDER BY id DESC LIMIT :most",
        {"words": _folded(db, search), "digits": digits, "most": NAMED},
    )
    return [row["id"] for row in rows]


def _says(db: sqlite3.Connection, words: str, before: int) -> list[tuple[int, int, bool]]:
    """Of the next STEP messages, newest first: id, contact, and whether `words` are in it."""
    return db.execute(
        f"SELECT id, contact_id, {_has('body', words)} AS says FROM"
        " (SELECT id, contact_id, body FROM messages WHERE id < :before ORDER BY id DESC LIMIT :step)",
        {"words": _folded(db, words), "before": before, "step": STEP},
    ).fetchall()


def _has(column: str, words: str) -> str:
    """The condition that a column has `words` in any case. SQLite folds the letters of ASCII, ten times as fast."""
    return f"instr({'lower' if _is_plain(words) else 'casefold'}({column}), :words) > 0"


def _folded(db: sqlite3.Connection, words: str) -> str:
    """The words as `_has` looks for them."""
    if _is_plain(words):
        return words.lower()
    db.create_function("casefold", 1, lambda text: text and text.casefold(), deterministic=True)
    return words.casefold()


def _is_plain(words: str) -> bool:
    """Whether SQLite's lower() does: "ss" is also "ß"."""
    return words.isascii() and "ss" not in words.lower()


def _places(db: sqlite3.Connection, ids: Sequence[int]) -> list[Talk]:
    """Where contacts stand in the order; those without a message stand last, the newest first."""
    found = []
    for contact_id in ids:
        (place,) = db.execute(f"SELECT {_NEWEST.format('?')}", (contact_id,)).fetchone()
        found.append(Talk(contact_id, place if place is not None else contact_id - _BEYOND))
    return found


def _shown(db: sqlite3.Connection, ids: Sequence[int], now: float) -> list[dict[str, Any]]:
    found = (contact_documents.of_contact(db, contact_id, now) for contact_id in ids)
    return [contact for contact in found if contact is not None]
