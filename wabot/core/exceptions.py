"""What can go wrong at the edges, named by how we may react.

WabotError
├── InvalidInput        the caller sent something invalid
├── JournalDown         the journal cannot be written or read now: answer 503, change nothing
├── ArchiveDown         MongoDB does not answer: continue without it
├── MediumMissing       a picture, voice note or file cannot be had: say so instead of showing it
├── AssistantFailed     the model returned no usable text: retry later
├── CallsSpent          the models were asked as often today as the owner allows: say nothing
└── DeliveryError       a message did not, or may not have, reached Meta
    ├── Unavailable     Meta did not process it; retry later
    ├── Blocked         nothing in `scope` gets through until a person acts
    ├── Refused         Meta declined it; a retry would change nothing
    └── Unclear         Meta may or may not have accepted it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class WabotError(Exception):
    """The base of all errors that wabot raises on purpose."""


class InvalidInput(WabotError):
    """Invalid input from outside; the text says what is wrong, and `details` where."""

    details: Sequence[Mapping[str, Any]] = ()


class InvalidField(InvalidInput):
    """One field of what the caller sent is invalid; the text begins with its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.details = ({"field": field, "message": message},)


class JournalDown(WabotError):
    """The journal cannot be used now (disk full, locked, I/O error); nothing was changed."""


class ArchiveDown(WabotError):
    """MongoDB does not answer."""


class Missing(StrEnum):
    """Whether a medium that cannot be had may be had later."""

    GONE = "gone"
    LATER = "later"
    OUTAGE = "outage"  # no medium can be had now, whichever it is


class MediumMissing(WabotError):
    """A medium cannot be had; the text says why."""

    def __init__(self, reason: str, missing: Missing = Missing.GONE) -> None:
        super().__init__(reason)
        self.missing = missing


class AssistantFailed(WabotError):
    """The model returned no usable text: a timeout, an error or an empty answer. `status`: the HTTP status, if any.

    `tokens`: what it cost nevertheless, (input, output) as its provider counts them.
    """

    def __init__(self, reason: str, status: int | None = None, tokens: tuple[int, int] = (0, 0)) -> None:
        super().__init__(reason)
        self.status, self.tokens = status, tokens


class CallsSpent(WabotError):
    """The models were asked as often today as the owner allows."""

    def __init__(self) -> None:
        super().__init__("The models were asked as often as allowed in a day")


class Scope(StrEnum):
    """How far an error reaches: what else fails for the same reason.

    META: Meta says that the error is on its side. core/outage_detection.py decides, from the results of other sends,
    whether it is an outage or concerns this message alone.
    """

    MESSAGE = "message"
    META = "meta"
    CONTACT = "contact"
    TEMPLATE = "template"
    TEMPLATES = "templates"
    NUMBER = "number"


class Effect(StrEnum):
    """What a refusal changes beyond its own message."""

    NONE = "none"
    SUPPRESS = "suppress"
    PAUSE_TEMPLATE = "pause_template"
    PAUSE_TEMPLATES = "pause_templates"


@dataclass(eq=False)
class DeliveryError(WabotError):
    """Why a send failed, or may have failed. `code`: Meta's number, or our own word for a transport error."""

    reason: str
    code: int | str | None = None
    scope: Scope = Scope.MESSAGE

    def __str__(self) -> str:
        return self.reason if self.code is None else f"{self.reason} ({self.code})"


@dataclass(eq=False)
class Unavailable(DeliveryError):
    """Meta did not process it: retry, after `wait` seconds if Meta named them, and at most `tries` times."""

    wait: float | None = None
    tries: int | None = None


@dataclass(eq=False)
class Blocked(DeliveryError):
    """Nothing in `scope` gets through until a person acts: token, permission, billing, account, paused template."""

    wait: float | None = None


@dataclass(eq=False)
class Refused(DeliveryError):
    """Meta declined the message for good. An `effect` on a template lasts `wait` seconds."""

    effect: Effect = Effect.NONE
    wait: float | None = None


@dataclass(eq=False)
class Unclear(DeliveryError):
    """Meta may have accepted it: timeout or broken connection after writing, or a 5xx without Graph's JSON."""
