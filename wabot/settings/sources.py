"""Reads the files that settings come from, and merges what the sources say."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from wabot.ownership import whose
from wabot.settings.errors import SettingsError

Layer = dict[str, Any]
"""The settings of one source: section → key → value."""


def config_here() -> Path | None:
    """config.toml of the current directory, if it exists."""
    here = Path("config.toml")
    return here if here.is_file() else None


def read_toml(path: Path) -> Layer:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError([f"{whose(path)}: cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        raise SettingsError([f"{path}: not valid TOML: {error}"]) from None


def read_dotenv(path: Path) -> dict[str, str]:
    """The assignments of a `.env`, without interpolation: `${…}` in a secret stays as it is."""
    if not path.is_file():  # missing, or a virtual environment of that name
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise SettingsError([f"{whose(path)}: cannot be read: {_reason(error)}"]) from None
    return {name: text or "" for name, text in dotenv_values(stream=io.StringIO(text), interpolate=False).items()}


def merged(layers: Sequence[Layer]) -> Layer:
    """The layers, highest priority first, as one: key by key within a section."""
    merged: Layer = {}
    for layer in reversed(layers):
        for name, value in layer.items():
            merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
    return merged


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "not UTF-8 text"
