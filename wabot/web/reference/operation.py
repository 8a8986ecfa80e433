"""How one operation of the API is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

Shapes = type[BaseModel]


@dataclass(frozen=True, slots=True)
class Example:
    """A request and its answer, which a test tries. In texts, "…" stands for whatever it is on your machine."""

    answer: Any = None
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. `answers`: the shape of each success (or, of a probe, of a failure that says more), by HTTP status.

    `details`: CommonMark. `refuses`: the statuses of errors beside those that all routes have, with what they mean.
    `queues`: it takes the headers Prefer and Idempotency-Key. `text`: content types of answers that are no JSON.
    """

    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Shapes | None]
    details: str = ""
    body: Shapes | None = None
    body_optional: bool = False
    query: Shapes | None = None
    refuses: Mapping[int, str] = field(default_factory=dict)
    queues: bool = False
    access: str = "key"
    text: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, Example] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The operation's id: its method and its path, as one word."""
        words = self.path.replace("{", "").replace("}", "").replace(".", "_").replace("-", "_").split("/")
        return "_".join([self.method.lower(), *filter(None, words)])
