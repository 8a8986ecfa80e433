"""Reads the tables of a talk: each key as what it must be, and no key that nobody asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wabot.core.exceptions import WabotError
from wabot.settings.errors import hint

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*")


class TalkError(WabotError):
    """A talk cannot be read; the text names the file, the turn and the key."""


class Table:
    """A table of TOML. `where`: its place, for errors. What is read of it is remembered until `end`."""

    def __init__(self, values: Any, where: str) -> None:
        self.where = where
        if not isinstance(values, Mapping):
            raise self.wrong("must be a table")
        self._values, self._known = values, dict[str, None]()

    def wrong(self, what: str) -> TalkError:
        """The error that something is wrong here."""
        return TalkError(f"{self.where}: {what}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def any(self, key: str) -> Any:
        """The value, of any type; None if there is none."""
        self._known[key] = None
        return self._values.get(key)

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        return str(self._of(key, str, "a text in quotes", default))

    def flag(self, key: str) -> bool | None:
        """true or false; None if not given."""
        found: bool | None = self._of(key, bool, "true or false", None)
        return found

    def count(self, key: str, default: int) -> int:
        """A whole number from 1 on."""
        found = self._of(key, int, "a whole number", default)
        if isinstance(found, bool) or found < 1:
            raise self.wrong(f"{key} must be a whole number from 1 on")
        return int(found)

    def number(self, key: str, default: float = 0.0) -> float:
        """A number."""
        return float(self._of(key, int | float, "a number", default))

    def table(self, key: str) -> Table:
        """A table within this one; an empty one if there is none."""
        found = self.any(key)
        return Table({} if found is None else found, f"{self.where}: {key}")

    def tables(self, key: str) -> list[Table]:
        """A list of tables."""
        found = self._of(key, list, "a list of tables", [])
        return [Table(one, f"{self.where}: {key}[{index}]") for index, one in enumerate(found)]

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A text, or a list of texts; None if not given."""
        found = self.any(key)
        listed = [found] if isinstance(found, str) else found
        if found is None:
            return None
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise self.wrong(f"{key} must be a text in quotes, or a list of them")
        return tuple(listed)

    def mapping(self, key: str) -> dict[str, str]:
        """A table of texts."""
        found = self.any(key) or {}
        if not isinstance(found, Mapping) or not all(isinstance(one, str) for one in found.values()):
            raise self.wrong(f"{key} must be a table of texts")
        return dict(found)

    def word(self, key: str, words: Iterable[str]) -> str:
        """One of the words; "" if not given."""
        found, known = self.text(key), list(words)
        if found and found not in known:
            raise self.wrong(f"{key} must be one of {', '.join(known)}{hint(found, known)}")
        return found

    def seconds(self, key: str) -> float | None:
        """A span of time such as "2 h" or "1 h 30 min", in seconds; None if not given."""
        text = self.text(key)
        if key not in self:
            return None
        parts = _SPAN.findall(text)
        if not parts or _SPAN.sub("", text):
            raise self.wrong(f'{key} must be a span of time such as "2 s", "30 min", "1 h 30 min" or "2 d"')
        return sum(float(amount) * _UNITS[unit] for amount, unit in parts)

    def only_one(self, keys: Iterable[str]) -> str:
        """Which of these keys there is; "" if none."""
        found = [key for key in keys if key in self]
        if len(found) > 1:
            raise self.wrong(f"{' and '.join(found)} do not go together: one of them is enough")
        return found[0] if found else ""

    def end(self) -> None:
        """All keys that may be here were read. Raises TalkError if there are others."""
        if unknown := [key for key in self._values if key not in self._known]:
            raise self.wrong(f"unknown key {unknown[0]}{hint(unknown[0], self._known)}")

    def _of(self, key: str, kind: Any, name: str, default: Any) -> Any:
        found = self.any(key)
        if found is not None and (not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool)):
            raise self.wrong(f"{key} must be {name}")
        return default if found is None else found
