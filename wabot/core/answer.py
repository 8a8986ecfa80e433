"""A model's text → what the contact reads, and what the model asks us to do.

The model asks by marks in double square brackets, each on a line of its own. No contact ever sees a mark: also one in
the middle of a text, or one that we did not tell the model about, is taken out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wabot.core.whatsapp_text import LONGEST, sendable

HANDOFF = "[[handoff]]"

HANDOFF_RULE = f"""\
To hand the conversation over to a colleague, end your answer with a line that says only {HANDOFF}. Do so when the \
customer asks for a person, is upset, or needs something that you cannot do; not for a question that you can answer."""
"""Part of the system prompt where the model may ask for a person."""

_MARK = r"\\?\[\\?\[ [ \t]*+ hand [-_ ]?+ off [ \t]*+ \\?\]\\?\]"
"""Some models escape brackets, as Markdown allows."""
_DECORATION = r"[ \t*_~`>]*+"
_ALONE = re.compile(rf"^{_DECORATION} {_MARK} {_DECORATION} [.!]?+ [ \t]*+ $ \n?+", re.VERBOSE | re.IGNORECASE | re.M)
_WITHIN = re.compile(_MARK, re.VERBOSE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer. `text`: what the contact reads, "" if nothing. `handoff`: the model asks for a person."""

    text: str
    handoff: bool = False


def read_answer(text: str, *, handoff: bool = False) -> Answer:
    """The model's `text` without its marks. `handoff`: the model may ask for a person; otherwise that changes nothing.

    What is behind LONGEST characters is not read.
    """
    said = sendable(text.strip()[: LONGEST + 1])
    without, alone = _ALONE.subn("", said)
    # A space stays, so that what stood around a mark does not become another one.
    without, within = _WITHIN.subn(" ", without)
    return Answer(without.strip(), handoff=handoff and alone + within > 0)
