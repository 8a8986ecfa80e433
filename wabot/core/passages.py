"""The owner's knowledge, cut into passages, and the words by which they are searched for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PASSAGE_CHARACTERS = 1_500
"""The most characters of a passage: some paragraphs, so that a question is not answered without its conditions."""
QUERY_WORDS = 40
_PREFIX_LETTERS = 5
_HEADING = re.compile(r"#{1,6}\s+(.*)")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of one file. `heading`: the headings above it, the outermost first."""

    file: str
    heading: str
    text: str

    def shown(self) -> str:
        """As the model sees it, below the name of its file."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


def passages(file: str, text: str) -> Iterator[Passage]:
    """The passages of a Markdown or plain text: cut at headings and blank lines, and else where they are too long."""
    headings, kept = dict[int, str](), ""
    for paragraph in re.split(r"\n\s*\n|\n(?=#{1,6}\s)", text):
        body = paragraph.strip()
        first, _, rest = body.partition("\n")
        above = " > ".join(headings.values())
        if heading := _HEADING.fullmatch(first.strip()):
            if kept:
                yield Passage(file, above, kept)
            level = len(first.strip()) - len(first.strip().lstrip("#"))
            headings = {one: said for one, said in headings.items() if one < level} | {level: heading[1]}
            above, kept, body = " > ".join(headings.values()), "", rest
        for piece in _pieces(body.strip()):
            if kept and len(kept) + len(piece) + 2 > PASSAGE_CHARACTERS:
                yield Passage(file, above, kept)
                kept = ""
            kept = f"{kept}\n\n{piece}" if kept else piece
    if kept:
        yield Passage(file, " > ".join(headings.values()), kept)


def _pieces(paragraph: str) -> Iterator[str]:
    """A paragraph in pieces of at most PASSAGE_CHARACTERS, cut at a line end or space where there is one."""
    start = 0
    while len(paragraph) - start > PASSAGE_CHARACTERS:
        longest = start + PASSAGE_CHARACTERS
        end = max(paragraph.rfind(mark, start + PASSAGE_CHARACTERS // 2, longest) for mark in ("\n", " "))
        yield paragraph[start : end if end > 0 else longest].strip()
        start = end if end > 0 else longest
    if rest := paragraph[start:].strip():
        yield rest


def query(texts: Sequence[str]) -> str:
    """The query of SQLite's FTS5 for what `texts` are about, the newest last; "" if they have no words.

    Any of their words may stand in a passage, longer ones with another ending.
    https://www.sqlite.org/fts5.html#full_text_query_syntax
    """
    found = list(dict.fromkeys(word for text in reversed(texts) for word in _words(text)))[:QUERY_WORDS]
    return " OR ".join(f'"{word[:-1]}"*' if len(word) >= _PREFIX_LETTERS else f'"{word}"' for word in found)


def _words(text: str) -> list[str]:
    """Letters, digits and the marks that belong to them: in Hindi and Arabic, vowels may be marks."""
    return "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in text).lower().split()
