"""An assistant without a model: fixed answers to a few words, for the sandbox and the tests."""

from __future__ import annotations

import re
import unicodedata

from wabot.core.conversation import Prompt
from wabot.core.model_answers import ModelAnswer
from wabot.core.tools import NO_TOOLS, ToolUse

_PERSON = (
    r"agents?|humans?|person|people|someone|somebody|operators?|representative"
    r"|persona|personas|human[oa]s?|agentes?|asesora?|operadora?|alguien"  # Spanish
    r"|pessoas?|atendentes?|alguém"  # Portuguese; what it shares with Spanish is above
    r"|uman[oa]|operatore|operatrice|qualcuno"  # Italian
    r"|humaine?|personne|conseill(?:er|ère)|opérat(?:eur|rice)|quelqu['’]un"  # French
    r"|mensch(?:en)?|mitarbeiter(?:in)?|berater(?:in)?|jemand(?:en|em)?"  # German
    r"|medewerker|persoon|iemand|człowiek(?:iem)?|konsultant(?:em)?"  # Dutch, Polish
    r"|человек(?:а|ом|у)?|оператор(?:а|ом|у)?|сотрудник(?:а|ом|у)?|людин[аиоу]\w*"  # Russian, Ukrainian
    r"|insan|temsilci|manusia|orang|agen|nhân viên|tư vấn viên"  # Turkish, Indonesian, Vietnamese
    r"|إنسان|شخص|موظف|נציג|אדם|इंसान|व्यक्ति|एजेंट"  # Arabic, Hebrew, Hindi
)
_PERSON_WITHIN = r"人工|真人|客服|人間|オペレーター|担当者|상담원|사람"
"""Chinese and Japanese have no spaces between words, and Korean words take endings."""


def _whole(words: str, within: str = "(?!)") -> re.Pattern[str]:
    """A pattern for whole words. `\\b` would not do: it takes the vowel signs of Hindi for the end of a word."""
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)|{within}", re.IGNORECASE)


_ANSWERS = (
    (_whole(r"hours?|opens?|closed?|closes|opening"), "We are open Monday to Friday, 9:00 to 18:00."),
    (_whole(r"prices?|costs?|how much"), "A visit costs 25 €, and the first one is free."),
    (_whole(_PERSON, _PERSON_WITHIN), "Of course, a colleague will write to you here shortly."),
    (_whole(r"help|menu|options"), "I can tell you our opening hours and prices. What would you like to know?"),
    (_whole(r"thanks?|thank you|thx"), "You are welcome!"),
    (_whole(r"hi|hello|hey|good (?:morning|afternoon|evening)"), "Hello, and welcome! How can I help you?"),
)
"""Words and their answers; the first match counts."""

_QUOTED = 200


class Canned:
    """Knows a few words; otherwise it repeats the message and the number of turns in the prompt."""

    async def answer(self, prompt: Prompt, _use: ToolUse = NO_TOOLS) -> ModelAnswer:
        """The answer to the last turn. Never fails, and calls no tools."""
        said = " ".join(unicodedata.normalize("NFC", prompt.turns[-1].text).split())
        for words, answer in _ANSWERS:
            if words.search(said):
                return ModelAnswer(answer)
        quoted = said if len(said) <= _QUOTED else said[: _QUOTED - 1] + "…"
        turns = len(prompt.turns)
        seen = f"{turns} {'turn' if turns == 1 else 'turns'}"
        return ModelAnswer(f"You said: “{quoted}”. I have seen {seen} of our talk.")

    async def close(self) -> None:
        """Nothing is open."""
