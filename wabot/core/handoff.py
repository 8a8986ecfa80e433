"""When a person is asked for: by the contact, by the assistant, or because wabot itself cannot answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WORDS = (
    "AGENT", "HUMAN", "OPERATOR", "PERSON", "REAL PERSON", "TALK TO A HUMAN", "TALK TO A PERSON",
    "SPEAK TO AN AGENT", "AGENTE", "HUMANO", "PERSONA", "HABLAR CON UNA PERSONA", "ATENDENTE",
    "FALAR COM ATENDENTE", "CONSEILLER", "PARLER À UN CONSEILLER", "MENSCH", "MITARBEITER", "OPERATORE",
    "एजेंट", "इंसान", "موظف", "وكيل",
)  # fmt: skip
"""The words that ask for a person if the settings name no others."""


class Reason(StrEnum):
    """Why a person is asked for."""

    ASKED = "asked"
    ASSISTANT = "assistant"
    FAILURE = "failure"
    OLD_NEWS = "old_news"


BY_REQUEST = (Reason.ASKED, Reason.ASSISTANT)
"""Those for which the contact waits, and the assistant is silent."""

IN_WORDS = {
    Reason.ASKED: "asks for a person",
    Reason.ASSISTANT: "needs a person, says the assistant",
    Reason.FAILURE: "got no answer: the assistant does not work",
    Reason.OLD_NEWS: "wrote while wabot was away, too long ago to be answered now",
}
"""For the owner: what the contact does."""

STILL_WAITS = "still waits for a person"


@dataclass(frozen=True, slots=True)
class Handoff:
    """A person is asked for. `takeover_seconds`: for so long the assistant is silent; 0: it goes on.

    `alert`: the owner is told.
    """

    reason: Reason
    takeover_seconds: float = 0.0
    alert: bool = False


@dataclass(frozen=True, slots=True)
class HandoffRules:
    """When a person is asked for, and what follows. `words` are normalised by `fold`; an empty text sends nothing.

    `unanswered_seconds`: so long after a handoff without a word of staff, the contact gets `unanswered_notice`; 0 =
    never. The owner is told at `alert_number` (digits) with the template `alert_template`, in `language`.
    """

    words: frozenset[str] = frozenset()
    by_assistant: bool = False
    notice: str = ""
    resume_seconds: float = 12 * 3600.0
    unanswered_seconds: float = 0.0
    unanswered_notice: str = ""
    alert_number: str = ""
    alert_template: str = ""
    language: str = "en_US"

    @property
    def alerts(self) -> bool:
        """Whether the owner is told."""
        return bool(self.alert_number and self.alert_template)

    def asks(self, word: str) -> bool:
        """Whether a message asks for a person whose text is this `word` (see core/optout.py)."""
        return word in self.words

    def begin(self, reason: Reason) -> Handoff:
        """A handoff for this reason. Where wabot could not answer, the assistant goes on."""
        return Handoff(reason, self.resume_seconds if reason in BY_REQUEST else 0.0, self.alerts)
