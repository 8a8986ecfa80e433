"""A model's text → what the contact reads, and what the model asks us to do.

The model asks by marks in double square brackets, each on a line of its own. No contact ever sees a mark: also one in
the middle of a text, or one that we did not tell the model about, is taken out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wabot.core.quick_replies import Choices, read_choices
from wabot.core.whatsapp_text import LONGEST, for_whatsapp, sendable

HANDOFF = "[[handoff]]"

HANDOFF_RULE = f"""\
To hand the conversation over to a colleague, end your answer with a line that says only {HANDOFF}. Do so when the \
customer asks for a person, is upset, or needs something that you cannot do; not for a question that you can answer."""
"""Part of the system prompt where the model may ask for a person."""

_OPEN, _CLOSE = r"\\?\[\\?\[ [ \t]*+", r"\\?\]\\?\]"
"""Some models escape brackets, as Markdown allows."""
_HANDOFF = rf"{_OPEN} hand [-_ ]?+ off [ \t]*+ {_CLOSE}"
_CHOICES = rf"""{_OPEN} (?P<kind> buttons | list ) [ \t]*+ [:：] (?P<items> [^\[\]\\\n]*+ )
    (?: (?P<end> {_CLOSE} ) | [^\n]*+ )"""
_DECORATION = r"[ \t*_~`>]*+"


class _Mark:
    """A mark, to be found alone on its line, with what decorates it, or within a text."""

    def __init__(self, pattern: str) -> None:
        flags = re.VERBOSE | re.IGNORECASE | re.MULTILINE
        self._alone = re.compile(rf"^{_DECORATION} {pattern} {_DECORATION} [.!]?+ [ \t]*+ $ \n?+", flags)
        self._within = re.compile(pattern, flags)

    def taken_out(self, text: str) -> tuple[str, list[re.Match[str]]]:
        """`text` without the mark, and what was found of it."""
        found = list[re.Match[str]]()

        def take(match: re.Match[str]) -> str:
            found.append(match)
            return " "

        # A space stays, so that what stood around a mark does not become another one.
        return self._within.sub(take, self._alone.sub(lambda match: take(match)[1:], text)), found


_ASKS_FOR_PERSON, _OFFERS = _Mark(_HANDOFF), _Mark(_CHOICES)


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer. `text`: what the contact reads, "" if nothing. `handoff`: the model asks for a person.

    `choices`: what the contact may tap, if the model offers something that Meta would accept.
    """

    text: str
    handoff: bool = False
    choices: Choices | None = None


def read_answer(text: str, *, handoff: bool = False) -> Answer:
    """The model's `text` without its marks. `handoff`: the model may ask for a person; otherwise that changes nothing.

    What is behind LONGEST characters is not read.
    """
    said = sendable(text.strip()[: LONGEST + 1])
    said, offers = _OFFERS.taken_out(said)
    said, asks = _ASKS_FOR_PERSON.taken_out(said)
    choices = [read_choices(offer["kind"].lower(), offer["items"]) for offer in offers if offer["end"]]
    return Answer(said.strip(), handoff=handoff and bool(asks), choices=choices[-1] if choices else None)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a contact gets of an answer: messages, and what they may tap below the last one."""

    texts: tuple[str, ...]
    choices: Choices | None = None


def spoken(answer: Answer, *, max_bubbles: int, notice: str) -> Spoken:
    """What is said of a model's answer, in at most `max_bubbles` messages.

    `notice`: what is said instead where the model asks for a person; "": its own words. Nobody answers a tap then.
    """
    if answer.handoff and notice:
        return Spoken((notice,))
    texts = tuple(for_whatsapp(answer.text, max_bubbles))
    offers = answer.choices if texts and not answer.handoff else None
    return Spoken(texts, offers if offers is not None and offers.fit(texts[-1]) else None)
