"""The error of invalid settings, and how it says what is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from wabot.core.exceptions import WabotError

_INSTEAD = {
    "path_type": "must be a path in quotes",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "missing": "missing",
}


class SettingsError(WabotError):
    """The settings are invalid. `problems`: one line each, with the key but never the value."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def hint(word: str, words: Iterable[str]) -> str:
    """The one of `words` that was probably meant, in brackets; "" if none is near."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def reason(kind: str, message: str) -> str:
    """What is wrong, from the type and the message of pydantic's error."""
    text = re.sub("^(Input|String) should", "must", message.removeprefix("Value error, ")).replace("tuple", "list")
    return _INSTEAD.get(kind, text)
