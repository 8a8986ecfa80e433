"""The words by which people opt out and opt in again.

Meta does not process them for us; its Messaging Policy asks us to honour an opt-out wherever it is expressed.
https://business.whatsapp.com/policy
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

STOP_WORDS = (
    "STOP", "STOPP", "UNSUBSCRIBE", "OPT OUT", "BAJA", "PARAR", "ARRÊT", "ARRET", "ABMELDEN", "रोकें", "बंद करें", "توقف",
)  # fmt: skip
START_WORDS = ("START", "UNSTOP", "SUBSCRIBE", "OPT IN", "ALTA", "INICIAR", "शुरू करें", "ابدأ")
"""The words that count if the settings name no others."""

TYPES = frozenset({"text", "button", "interactive"})
"""The types of message in which a person can opt out and in."""

LONGEST_WORD = 60
"""The most characters of a message that is one of the words and nothing else."""

_NO_WORD = re.compile(r"[\W_]+", re.ASCII)
_MARKS = re.compile("[\u0300-\u036f\ufe00-\ufe0f]+")
"""Accents, which people leave out, and the variation selectors of emoji. (Vowel signs of other scripts stay.)"""


class Wish(StrEnum):
    """What a message asks for that is one of the words and nothing else."""

    STOP = "stop"
    START = "start"


@dataclass(frozen=True, slots=True)
class Consent:
    """The words, normalised by `fold`, and the text that answers each kind; an empty text means no answer."""

    stop_words: frozenset[str] = frozenset()
    start_words: frozenset[str] = frozenset()
    confirmation: str = ""
    welcome_back: str = ""

    @classmethod
    def of(cls, stop: Iterable[str], start: Iterable[str], confirmation: str, welcome_back: str) -> Consent:
        """From the words in the settings."""
        return cls(folded(stop), folded(start), confirmation, welcome_back)

    def wish(self, word: str) -> Wish | None:
        """The wish that a message expresses whose text is this `word` (see `word_of`)."""
        if word in self.stop_words:
            return Wish.STOP
        return Wish.START if word in self.start_words else None

    def answer(self, wish: Wish) -> str:
        """The text that confirms a wish."""
        return self.confirmation if wish is Wish.STOP else self.welcome_back


def folded(words: Iterable[str]) -> frozenset[str]:
    """Words as `word_of` returns them. A word of signs alone cannot be recognised."""
    return frozenset(map(fold, words)) - {""}


def word_of(kind: str, body: str) -> str:
    """The text of a message of type `kind`, by `fold`, if it may be one of the words and nothing else; "" if not.

    Case and punctuation do not matter.
    """
    return fold(body) if kind in TYPES and len(body) <= LONGEST_WORD else ""


def fold(text: str) -> str:
    """`text` without case, accents, punctuation and surplus space: " Stop!! " → "stop", "ARRÊT" → "arret"."""
    if text.isascii():
        return " ".join(_NO_WORD.sub(" ", text).casefold().split())
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text))
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in plain)
    return " ".join(kept.casefold().split())
