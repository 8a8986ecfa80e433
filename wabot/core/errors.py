"""What can go wrong at the edge, named by what we may do about it.

WabotError
├── InvalidInput        the caller sent something that cannot be understood
├── JournalDown         the journal cannot be written or read now: answer 503, change nothing
├── ArchiveDown         MongoDB does not answer: go on without it
├── AssistantFailed     no usable text came from the model: ask again later
└── DeliveryError       a message was not, or perhaps not, handed to Meta
    ├── Unavailable     nothing happened there; later may work
    ├── Blocked         nobody (in `scope`) gets through until a person acts
    ├── Refused         understood and declined; asking again changes nothing
    └── Unclear         it may have happened
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WabotError(Exception):
    """The root of everything that wabot raises on purpose."""


class InvalidInput(WabotError):
    """Input from outside that has no meaning here; the text says what is wrong."""


class JournalDown(WabotError):
    """The journal cannot be used now (disk full, locked, I/O error); nothing was changed."""


class ArchiveDown(WabotError):
    """MongoDB does not answer."""


class AssistantFailed(WabotError):
    """The model gave no usable text: a time-out, an error or an empty answer. `status`: HTTP's, if there was one."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Scope(StrEnum):
    """How far a trouble reaches: what else must wait for the same reason.

    META: Meta says that the trouble is on its side. Whether everybody meets it or only this message, core/outage.py
    tells by what the others meet.
    """

    MESSAGE = "message"
    META = "meta"
    CONTACT = "contact"
    TEMPLATE = "template"
    TEMPLATES = "templates"
    NUMBER = "number"


class Effect(StrEnum):
    """What else follows from a refusal."""

    NONE = "none"
    SUPPRESS = "suppress"
    PAUSE_TEMPLATE = "pause_template"
    PAUSE_TEMPLATES = "pause_templates"


@dataclass(eq=False)
class DeliveryError(WabotError):
    """Why a send did not (surely) go out. `code` is Meta's number, or our word for a failure of transport."""

    reason: str
    code: int | str | None = None
    scope: Scope = Scope.MESSAGE

    def __str__(self) -> str:
        return self.reason if self.code is None else f"{self.reason} ({self.code})"


@dataclass(eq=False)
class Unavailable(DeliveryError):
    """Nothing happened there; later may work: in `wait` seconds, if Meta named them, and `tries` times at the most."""

    wait: float | None = None
    tries: int | None = None


@dataclass(eq=False)
class Blocked(DeliveryError):
    """Nobody in `scope` gets through until a person acts: token, permission, billing, account lock, paused template."""

    wait: float | None = None


@dataclass(eq=False)
class Refused(DeliveryError):
    """Understood and declined: final for this message. An `effect` on a template lasts `wait` seconds."""

    effect: Effect = Effect.NONE
    wait: float | None = None


@dataclass(eq=False)
class Unclear(DeliveryError):
    """It may have happened: a time-out or a cut after writing, a 5xx without an answer from Graph."""
