"""The texts of the pages in several languages: languages/en.toml and its like, section by section.

What wabot says everywhere, such as problems and remedies, is written once, in English, where it belongs; for another
language, languages/es_sentences.toml and its like have it sentence by sentence. What Meta and the models say stays in
their own words.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = {"en": "English", "es": "Español"}
DEFAULT = "en"
COOKIE = "wabot_language"
_NAME = re.compile(r"\\\{([a-z]+)\\\}")
_PLACE = re.compile(r"\{[a-z]+\}")
_SAID = {"why", "what", "state"}
"""The places in a sentence where wabot says something else; in others are names, numbers and words of others."""
_JOINTS = tuple(map(re.compile, (r"(; )", r"(?<=[.!?…])( )", r"(: )")))
_OF_WHATSAPP, _OF_WHATSAPP_ESCAPED = re.compile(r"\bwhatsapp\.(?=[a-z{])"), re.compile(r"\bwhatsapp\\\.(?=[a-z\\])")


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
    return lambda text: _said(language, text or "")


@lru_cache(maxsize=512)  # of a page of failures most have the same reason
def _said(language: str, text: str) -> str:
    """Where several things are said, one after the other, each is looked up by itself."""
    whole = _known(language, text)
    return whole or next(filter(None, (_said_apart(language, text, joint) for joint in _JOINTS)), text)


def _known(language: str, text: str) -> str | None:
    for pattern, other in _sentences(language):
        if found := pattern.fullmatch(text):
            values = found.groupdict()
            return other.format(**values | {name: _said(language, values[name]) for name in _SAID & values.keys()})
    return None


def _said_apart(language: str, text: str, joint: re.Pattern[str]) -> str | None:
    """A text by its first piece and the rest; None if neither is known."""
    pieces = joint.split(text, maxsplit=1)
    others = [_said(language, piece) if " " in piece and piece != text else piece for piece in pieces]
    return None if others == pieces else "".join(others)


@cache
def known(language: str) -> Mapping[str, str]:
    """English sentences, as they are in the source with {names} for what varies, each with the same in a language."""
    file = FOLDER / f"{language}_sentences.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}


@cache
def _sentences(language: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """Patterns of the English sentences, those first of which least is left open."""
    by_what_is_fixed = sorted(known(language).items(), key=lambda pair: -len(_PLACE.sub("", pair[0])))
    return [(_pattern(english), _OF_WHATSAPP.sub("{whose}.", other)) for english, other in by_what_is_fixed]


def _pattern(english: str) -> re.Pattern[str]:
    """The settings of a further account stand for those of [whatsapp], as remedies name them."""
    first = True

    def whose(_found: re.Match[str]) -> str:
        nonlocal first
        first, is_first = False, first
        return r"(?P<whose>whatsapp|accounts\.[\w-]+)\." if is_first else r"(?P=whose)\."

    return re.compile(_NAME.sub(r"(?P<\1>.+?)", _OF_WHATSAPP_ESCAPED.sub(whose, re.escape(english))), re.DOTALL)


def has(key: str) -> bool:
    """Whether there is such a text."""
    section, _, name = key.partition(".")
    return name in read(DEFAULT).get(section, {})
