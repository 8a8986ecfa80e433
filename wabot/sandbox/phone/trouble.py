"""The trouble that one can make: Meta, its receipts and deliveries, and the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wabot.sandbox.behaviour import Answer, Receipts, accept, cut_after, error
from wabot.sandbox.meta import Meta

SLOW_SECONDS, LATE_SECONDS = 5.0, 4.0

META: Mapping[str, Callable[[int], Answer]] = {
    "fine": lambda _code: accept(),
    "slow": lambda _code: accept(delay=SLOW_SECONDS),
    "throttling": lambda _code: error(130429),
    "code": error,
    "cutting": lambda _code: cut_after(),
    "away": lambda _code: accept(),
}
"""What Meta does with a send. While it is away, every call is answered so, which is not a matter of one send."""
RECEIPTS: Mapping[str, Receipts] = {
    "fine": Receipts(), "twice": Receipts(times=2), "backwards": Receipts(reverse=True), "lost": Receipts(()),
}  # fmt: skip
DELIVERY = ("fine", "twice", "out of order")
MODEL = ("fine", "slow", "fails", "refuses the key")


@dataclass(slots=True)
class Trouble:
    """What is wrong now; `code`: Meta's, where it answers with one."""

    meta: str = "fine"
    code: int = 131000
    receipts: str = "fine"
    delivery: str = "fine"
    model: str = "fine"

    def make(self, asked: Mapping[str, Any], standin: Meta) -> None:
        """Change what is named. Raises ValueError for what does not exist."""
        known = {"meta": META, "receipts": RECEIPTS, "delivery": DELIVERY, "model": MODEL}
        for name, value in asked.items():
            if name == "code":
                self.code = int(value)
            elif name in known and value in known[name]:
                setattr(self, name, value)
            else:
                raise ValueError(f"there is no {name}: {value}")
        standin.behaviour.default = META[self.meta](self.code)
        standin.behaviour.receipts = RECEIPTS[self.receipts]

    def mend(self, standin: Meta) -> None:
        """Everything is fine again, also what the last digits of numbers do."""
        self.make({"meta": "fine", "receipts": "fine", "delivery": "fine", "model": "fine"}, standin)
        standin.mend()
