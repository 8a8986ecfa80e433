"""A model's Markdown → texts in WhatsApp's own formatting.

WhatsApp knows `*bold*`, `_italic_`, `~struck~`, code between backticks, `> ` quotes and lists;
no headings, no tables, no links with a title.
https://faq.whatsapp.com/539178204879377
Everything here takes linear time, whatever a model writes: no pattern can match the same text in two ways, a table row
costs only what it shows, and reading stops when all messages are full.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

MAX_BODY = 4096
"""Characters of a text body. https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/text-messages"""
MOST_BUBBLES = 5
LONGEST = 32_768
"""The most characters of an answer that are read: more than the messages hold, as markup is removed."""

_UNSENDABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_LINE_ENDS = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_MANY_BLANKS = re.compile(r"\n{3,}")
_BULLET = re.compile(r"([ \t]*+)[*+-][ \t]++(?=\S)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]++(?=\S)")
_RULE = re.compile(r"[ \t]*+([-*_])(?:[ \t]*+\1){2,}+[ \t]*+")
_CELL_END = re.compile(r"(?<!\\)\|")
_DASHES = re.compile(r":?-++:?")
_URL = r"(?:[^\s()<>]|\([^\s()<>]*+\))++"
_TOKEN = re.compile(
    rf"""
      (?P<code>   `[^`]++` )
    | (?P<link>   !?\[ (?P<title>[^\[\]]++) \]\( <?(?P<target>{_URL})>? (?:[ ]"[^"()]*+")? \) )
    | (?P<auto>   <(?P<address>https?://[^\s<>]++)> )
    | (?P<bare>   https?://[^\s<>()*]++ )
    | (?P<escape> \\(?P<char>[\\`*_{{}}\[\]()\#+.!|~>-]) )
    | (?P<mark>   \*++ | _++ | ~++ )
    """,
    re.VERBOSE,
)
_MARKS = {
    "**": ("*", "*"), "__": ("*", "*"), "*": ("_", "_"), "_": ("_", "_"),
    "***": ("*_", "_*"), "___": ("*_", "_*"), "~~": ("~", "~"), "~": ("~", "~"),
}  # fmt: skip
_SENTENCE_ENDS = (". ", "! ", "? ", "… ", "。", "！", "？", "؟ ", "। ")


def for_whatsapp(text: str, max_bubbles: int = 1) -> tuple[str, ...]:
    """A model's answer as the messages to send: at most `max_bubbles` of at most MAX_BODY characters.

    A longer answer ends with "…"; an answer without visible text gives ().
    """
    text = text.strip()
    blocks, left_out = _as_many_as_fit(_blocks(sendable(text[:LONGEST]).split("\n")), max_bubbles)
    body = _MANY_BLANKS.sub("\n\n", "\n".join(blocks)).strip()
    bubbles = _bubbles(body, max_bubbles, more=left_out or len(text) > LONGEST) if body else ()
    return tuple(bubble for bubble in bubbles if _can_be_seen(bubble))


def sendable(text: str) -> str:
    """`text` without control characters and lone surrogates, which JSON or Meta refuse; lines end in LF."""
    return _UNSENDABLE.sub("", _LINE_ENDS.sub("\n", text))


def _as_many_as_fit(blocks: Iterable[str], max_bubbles: int) -> tuple[list[str], bool]:
    """The first of `blocks`, until they fill all messages; and whether any are left out."""
    room, taken = max_bubbles * MAX_BODY, list[str]()
    for block in blocks:
        if room <= 0:
            return taken, True
        taken.append(block)
        room -= len(block.strip())
    return taken, False


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    """`lines` with each block (code, table, heading, list item, paragraph) in WhatsApp's formatting."""
    index, in_code = 0, False
    while index < len(lines):
        line = lines[index]
        index += 1
        if line.lstrip().startswith("```"):
            in_code = not in_code and "```" not in line.lstrip()[3:]
            yield "```" if in_code else line.strip()
        elif in_code:
            yield line.rstrip()
        elif "|" in line and index < len(lines) and _is_divider(lines[index]):
            end = index + 1
            while end < len(lines) and "|" in lines[end]:
                end += 1
            yield from _table(_cells(line), lines[index + 1 : end])
            index = end
        else:
            yield _line(line)
    if in_code:
        yield "```"


def _line(line: str) -> str:
    if _RULE.fullmatch(line):
        return ""
    if heading := _HEADING.match(line):
        return _bold(_without_closing_hashes(line[heading.end() :]))
    if bullet := _BULLET.match(line):
        return f"{bullet[1]}• {_inline(line[bullet.end() :])}".rstrip()
    return _inline(line).rstrip()


def _without_closing_hashes(heading: str) -> str:
    """`heading` without Markdown's optional closing `##`, which follows a space (that of "C#" does not)."""
    text = heading.rstrip()
    bare = text.rstrip("#")
    return bare.rstrip() if bare.endswith((" ", "\t")) else text


def _bold(text: str) -> str:
    """`text` in bold; bold marks inside are removed, since they would end it."""
    inner = _inline(text.replace("**", "").replace("__", "")).strip()
    return f"*{inner}*" if inner else ""


def _is_divider(line: str) -> bool:
    """Whether `line` is the `|---|:--:|` below the head of a table."""
    return "|" in line and all(_DASHES.fullmatch(cell) for cell in _cells(line))


def _cells(line: str) -> list[str]:
    row = line.strip().removeprefix("|").removesuffix("|")
    return [cell.replace("<br>", " ").strip() for cell in _CELL_END.split(row)]


def _table(head: Sequence[str], rows: Sequence[str]) -> Iterator[str]:
    """Each row as a list item that names its columns: "• *Basic* – Price: 10 €, Seats: 2"."""
    if not rows:
        yield _inline(" | ".join(head))
    names = head[1:]
    for row in rows:
        first, *others = _cells(row)
        labels = chain(names, repeat(""))
        facts = [f"{label}: {cell}" if label else cell for cell, label in zip(others, labels, strict=False) if cell]
        if parts := [part for part in (_bold(first), _inline(", ".join(facts))) if part]:
            yield "• " + " – ".join(parts)


def _inline(line: str) -> str:
    """`line` with links, emphasis and escapes in WhatsApp's formatting; code and addresses stay as they are."""
    out: list[str] = []
    marks: list[_Mark] = []
    end = 0
    for token in _TOKEN.finditer(line):
        out += line[end : token.start()], _plain(token)
        end = token.end()
        if token["mark"] in _MARKS:
            before, after = line[token.start() - 1 : token.start()], line[end : end + 1]
            marks.append(_Mark(token["mark"], len(out) - 1, *_sides(token["mark"], before, after)))
    for left, right in _pairs(marks):
        out[left.place], out[right.place] = _MARKS[left.run]
    return "".join(out) + line[end:]


def _plain(token: re.Match[str]) -> str:
    """The text of a token that is no emphasis mark."""
    if token["link"]:
        title, target = _inline(token["title"]).strip(), token["target"]
        return target if title in (target, target.removeprefix("mailto:"), "") else f"{title} ({target})"
    return token["address"] or token["char"] or token[0]


class _Mark(NamedTuple):
    """A run of `*`, `_` or `~`, its index in the output, and whether it may open or close emphasis."""

    run: str
    place: int
    opens: bool
    closes: bool


def _sides(run: str, before: str, after: str) -> tuple[bool, bool]:
    """Whether a mark between these characters may open, and may close, emphasis.

    A mark must touch the text that it emphasises ("2 * 3" has none). Underscores and a single star must also be outside
    of words: "2*3*4" and "snake_case" have no emphasis, "**Note:**so" does.
    """
    aloof = run.startswith("_") or run == "*"
    opens, closes = bool(after.strip()), bool(before.strip())
    return opens and not (aloof and _is_word(before)), closes and not (aloof and _is_word(after))


def _pairs(marks: Sequence[_Mark]) -> Iterator[tuple[_Mark, _Mark]]:
    """Pairs each closing mark with the latest equal open one; marks opened between them count as plain text."""
    opened: list[_Mark] = []
    waiting: Counter[str] = Counter()
    for mark in marks:
        if mark.closes and waiting[mark.run]:
            while (left := opened.pop()).run != mark.run:
                waiting[left.run] -= 1
            waiting[mark.run] -= 1
            yield left, mark
        elif mark.opens:
            opened.append(mark)
            waiting[mark.run] += 1


def _is_word(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _can_be_seen(text: str) -> bool:
    return any(char.isprintable() and not char.isspace() for char in text)


def _bubbles(text: str, max_bubbles: int, *, more: bool) -> Iterator[str]:
    """`text` as messages; `more`: text is missing, so the last one ends with "…"."""
    for _ in range(max_bubbles - 1):
        if len(text) <= MAX_BODY:
            break
        end = _cut(text, MAX_BODY)
        yield text[:end].rstrip()
        text = text[end:].lstrip()
    if len(text) > MAX_BODY - more:
        text, more = text[: _cut(text, MAX_BODY - 1)], True
    yield text.rstrip() + "…" if more else text


def _cut(text: str, room: int) -> int:
    """Where to end a message of at most `room` characters: after a paragraph, line, sentence or word."""
    for ends in (("\n\n",), ("\n",), _SENTENCE_ENDS, (" ",)):
        end = max(text.rfind(mark, 0, room) + len(mark) for mark in ends)
        if end > room // 2:
            return end
    return room
