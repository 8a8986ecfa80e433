"""The model: repeats the words of what it is asked, or hangs, fails, and answers garbage."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.wires import Cut, Request, Response, Unreachable

WORD = re.compile(r"\b[wb]\d+\.\d+\b")
"""What people write (w) and what operators send (b): whose it is, and the how-manieth."""

GARBAGE = (
    b"", b"{", b"null", b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}',
    b'{"choices": [{"message": {"content": "   "}}]}', b"<html>", b'{"choices": [{"finish_reason": "content_filter"}]}',
    b'{"choices": [{"message": {"content": "<think>no end"}}]}', b"\xff\xfe",
)  # fmt: skip


@dataclass
class Mood:
    """What the model is like at present: shares of the cases, and `slow` in seconds."""

    slow: float = 0.0
    hangs: float = 0.0
    fails: float = 0.0
    garbage: float = 0.0
    down: float = 0.0


class Model:
    """An OpenAI-compatible endpoint. `prompted` is called with the words of each prompt."""

    def __init__(self, dice: Random, prompted: Callable[[Sequence[str]], None]) -> None:
        self._dice, self._prompted = dice, prompted
        self.mood = Mood()

    async def __call__(self, request: Request) -> Response:
        mood, dice = self.mood, self._dice
        if dice.random() < mood.down:
            raise Unreachable
        turns = json.loads(request.body)["messages"]
        self._prompted([word for turn in turns for word in WORD.findall(str(turn["content"]))])
        await asyncio.sleep(dice.random() * (mood.slow or 2.0))
        if dice.random() < mood.hangs:
            await asyncio.sleep(1000.0)
            raise Cut
        if dice.random() < mood.fails:
            return Response(dice.choice((400, 401, 429, 500, 503)), b'{"error": {"message": "not now"}}')
        if dice.random() < mood.garbage:
            return Response(200, dice.choice(GARBAGE))
        words = " ".join(dict.fromkeys(WORD.findall(str(turns[-1]["content"]))))
        return Response(200, json.dumps(_completion(f"You said {words}.")).encode())


def _completion(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
