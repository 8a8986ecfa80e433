"""docs/how-it-works.md draws the path of one message, file by file. This follows a real one and its archived copy."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.business import ANA, business
from tests.documents import HOW_IT_WORKS
from tests.process import ROOT, eventually

STEP = re.compile(r"^  (\w+/\w+\.py|\w+\.py) +(\w+)", re.MULTILINE)


def drawn() -> list[tuple[str, str]]:
    """The steps of the drawing: (file, function), in order."""
    (drawing,) = re.findall(r"```text\nMeta's webhook.*?```", HOW_IT_WORKS, re.DOTALL)
    return STEP.findall(drawing)


@contextmanager
def following(wanted: set[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """The calls of `wanted` functions of wabot, in every thread that starts meanwhile, in order."""
    package, calls = f"{ROOT / 'wabot'}/", list[tuple[str, str]]()

    def follow(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(package):
            step = frame.f_code.co_filename.removeprefix(package), frame.f_code.co_name
            if step in wanted:
                calls.append(step)

    threading.setprofile(follow)
    sys.setprofile(follow)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def test_a_message_takes_the_path_that_the_readme_draws(tmp_path: Path, mongo_uri: str, database: str) -> None:
    steps = drawn()
    with following(set(steps)) as calls:
        async with business(tmp_path, mongo={"uri": mongo_uri, "database": database}) as wabot:
            await wabot.meta.say("Hi", from_=ANA)  # the welcome template
            await eventually(lambda: any(receipt.status == "read" for receipt in wabot.meta.told))
            calls.clear()
            await wabot.meta.say("What are your prices?", from_=ANA)
            with suppress(TimeoutError):
                await eventually(lambda: not missed(steps, calls))
    assert missed(steps, calls) == [], calls


def missed(steps: list[tuple[str, str]], calls: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The steps from the first one on that was not called after the one before it."""
    left = iter(list(calls))
    return [step for step in steps if step not in left]


@pytest.mark.parametrize("number", range(3))
def test_the_drawing_is_read(number: int) -> None:
    assert len(drawn()[number]) == 2
    assert len(drawn()) > 20
