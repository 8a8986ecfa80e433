"""What was seen, held against what a turn expects: one text for each difference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

LONGEST, HEAD, TAIL = 500, 300, 100
"""Characters of a line that is printed whole, and of the parts of a longer one."""


def different_texts(who: str, expected: Sequence[str], seen: Sequence[str]) -> Iterator[str]:
    """Where the texts are not the expected ones, in their order."""
    for should, was in zip_longest(expected, seen):
        if should is None:
            yield f"{who} saw one message too many:\n{_shown(was)}"
        elif was is None:
            yield f"{who} did not see:\n{_shown(should)}"
        elif should.strip() != was.strip():
            yield f"{who} should have seen:\n{_shown(should)}\nand saw:\n{_shown(was)}"


def unlike_texts(who: str, patterns: Sequence[str], seen: Sequence[str]) -> Iterator[str]:
    """Where the texts do not fit the patterns, in which `*` stands for anything; case does not matter."""
    for pattern, was in zip_longest(patterns, seen):
        if pattern is None:
            yield f"{who} saw one message too many:\n{_shown(was)}"
        elif was is None:
            yield f"{who} did not see anything like:\n{_shown(pattern)}"
        elif not _fits(pattern, was):
            yield f"{who} should have seen something like:\n{_shown(pattern)}\nand saw:\n{_shown(was)}"


def _fits(pattern: str, text: str) -> bool:
    parts = [re.escape(part) for part in pattern.strip().split("*")]
    return re.fullmatch(".*".join(parts), text.strip(), re.DOTALL | re.IGNORECASE) is not None


def missing_parts(expected: Sequence[str], shown: Sequence[str]) -> Iterator[str]:
    """What the model was not shown in any of its requests, though it should."""
    if expected and not shown:
        yield f"the model was not asked, and so not shown:\n{_shown(expected[0])}"
        return
    for part in expected:
        if not any(part.strip() in one for one in shown):
            yield f"the model was not shown:\n{_shown(part)}\nbut:\n{_talk_of(shown[-1])}"


def unwanted_parts(unwanted: Sequence[str], shown: Sequence[str]) -> Iterator[str]:
    """What the model was shown, though it should not."""
    for part in unwanted:
        if any(part.strip() in one for one in shown):
            yield f"the model was shown:\n{_shown(part)}"


def _talk_of(shown: str) -> str:
    """The last lines of what a model was shown."""
    return "\n".join(f"  | {shortened(line)}" for line in shown.strip().splitlines()[-12:])


def _shown(text: str) -> str:
    return "\n".join(f"  > {shortened(line)}" for line in (text.strip() or "(nothing)").splitlines())


def shortened(line: str) -> str:
    """A line as it is printed: of a very long one the beginning and the end."""
    return line if len(line) <= LONGEST else f"{line[:HEAD]} … {line[-TAIL:]} ({len(line)} characters)"
