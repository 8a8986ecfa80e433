"""A span of time in which messages are looked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on and before `below`, in whole Unix seconds; None = without that bound."""

    since: int | None = None
    below: int | None = None


ALWAYS = Span()


def second(at: float) -> Span:
    """The second of a message: one has no finer time than that."""
    return Span(int(at), int(at) + 1)
