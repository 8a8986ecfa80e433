"""An assistant that needs nothing and always says the same to the same: for the sandbox and the tests."""

from __future__ import annotations

import re

from wabot.core.conversation import Prompt

_ANSWERS = (
    (r"help|menu|options", "I can tell you our opening hours and prices. What would you like to know?"),
    (r"hours?|opens?|closed?|closes|opening", "We are open Monday to Friday, 9:00 to 18:00."),
    (r"prices?|costs?|how much", "A visit costs 25 €, and the first one is free."),
    (r"person|human|agent|someone", "Of course, a colleague will write to you here shortly."),
    (r"thanks?|thank you|thx", "You are welcome!"),
    (r"hi|hello|hey|good (?:morning|afternoon|evening)", "Hello, and welcome! How can I help you?"),
)
"""Words (in lower case) → what they are answered with; the first that fits."""

_QUOTED = 200


class Canned:
    """Knows a few words, and otherwise repeats what was said and how much of the talk it was shown."""

    async def answer(self, prompt: Prompt) -> str:
        """The answer to the last turn. Never fails."""
        said = " ".join(prompt.turns[-1].text.split())
        for words, answer in _ANSWERS:
            if re.search(rf"\b(?:{words})\b", said.lower()):
                return answer
        quoted = said if len(said) <= _QUOTED else said[: _QUOTED - 1] + "…"
        turns = len(prompt.turns)
        return f"You said: “{quoted}”. I have seen {turns} {'turn' if turns == 1 else 'turns'} of our talk."

    async def close(self) -> None:
        """Nothing is open."""
