"""The texts of the pages in several languages: languages/en.toml and its like, section by section.

What Meta, the models and the problems say is in their own words, which are English.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = {"en": "English", "es": "Español"}
DEFAULT = "en"
COOKIE = "wabot_language"


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


def has(key: str) -> bool:
    """Whether there is such a text."""
    section, _, name = key.partition(".")
    return name in read(DEFAULT).get(section, {})
