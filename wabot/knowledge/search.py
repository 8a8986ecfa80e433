"""Finds the passages of the owner's knowledge that fit a conversation, with SQLite's FTS5 in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from wabot.core.passages import Passage, passages, query

MOST = 100
_TABLE = (
    "CREATE VIRTUAL TABLE passages USING fts5"
    " (heading, text, tokenize = \"unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'\")"
)
"""Marks (Mn, Mc) are parts of words: Hindi's vowels are marks, and words would fall apart at them."""
_FITTING = "SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, 2.0, 1.0) LIMIT ?"


class Index:
    """The passages of some texts. To be used by one thread at a time."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._passages = [one for file, text in sorted(texts.items()) for one in passages(file, text)]
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(_TABLE)
        rows = [(number, f"{one.file} {one.heading}", one.text) for number, one in enumerate(self._passages)]
        self._db.executemany("INSERT INTO passages (rowid, heading, text) VALUES (?, ?, ?)", rows)

    def best(self, said: Sequence[str], characters: int) -> tuple[Passage, ...]:
        """The passages that fit what was `said` (the newest last) best, in the order of the files.

        At most `characters` in all.
        """
        asked, kept = query(said), list[int]()
        for (number,) in self._db.execute(_FITTING, (asked, MOST)) if asked else ():
            characters -= len(self._passages[number].shown()) + len(self._passages[number].file) + 8
            if characters < 0:
                break
            kept.append(number)
        return tuple(self._passages[number] for number in sorted(kept))
