"""The texts of the pages in several languages: languages/en.toml and its like, section by section.

What wabot says everywhere, such as problems and remedies, is written once, in English, where it belongs; for another
language, languages/es_sentences.toml and its like have it sentence by sentence. What Meta and the models say stays in
their own words.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = {"en": "English", "es": "Español"}
DEFAULT = "en"
COOKIE = "wabot_language"
_NAME = re.compile(r"\\\{([a-z]+)\\\}")


@cache
def read(language: str) -> Mapping[str, Mapping[str, Any]]:
    """The texts of a language: section → key → text, or {"one", "other"} where a number decides."""
    return tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8"))


def language_of(request: web.Request) -> str:
    """The language that somebody chose, else the first of the browser's that we have."""
    chosen = request.cookies.get(COOKIE, "")
    asked = (part.split(";")[0].strip().lower()[:2] for part in request.headers.get("Accept-Language", "").split(","))
    return next((language for language in (chosen, *asked) if language in LANGUAGES), DEFAULT)


def translator(language: str) -> Callable[..., str]:
    """The function `t("section.key", name=value)`: a text with its values. `n` chooses between one and other."""
    found = read(language)

    def t(key: str, **values: Any) -> str:
        section, _, name = key.partition(".")
        text = found[section][name]
        if isinstance(text, Mapping):
            text = text["one" if values["n"] == 1 else "other"]
        return str(text).format(**values) if values else str(text)

    return t


def speaker(language: str) -> Callable[[str | None], str]:
    """The function `said(text)`: what wabot says in English, in this language as far as it is known."""

    def said(text: str | None) -> str:
        for pattern, other in _sentences(language):
            if found := pattern.fullmatch(text or ""):
                return other.format(**{name: said(value) for name, value in found.groupdict().items()})
        return text or ""

    return said


@cache
def _sentences(language: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """Patterns of English sentences, those without a {name} first, each with the same in a language."""
    file = FOLDER / f"{language}_sentences.toml"
    known = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
    return [
        (re.compile(_NAME.sub(r"(?P<\1>.+?)", re.escape(english))), other)
        for english, other in sorted(known.items(), key=lambda pair: (pair[0].count("{"), -len(pair[0])))
    ]


def has(key: str) -> bool:
    """Whether there is such a text."""
    section, _, name = key.partition(".")
    return name in read(DEFAULT).get(section, {})
