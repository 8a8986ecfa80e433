"""Reads what the owner wrote for the model: the prompt file and the knowledge folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SUFFIXES = frozenset({".md", ".txt"})
"""The files of the knowledge folder that are read, as UTF-8 text."""


def prompt_text(file: Path | None) -> str | None:
    """`assistant.prompt_file`; None if it is not set. Raises OSError."""
    return file.read_text("utf-8") if file else None


def knowledge_texts(folder: Path | None) -> Mapping[str, str]:
    """The texts of `assistant.knowledge_dir` by file name, in the order of the names. Raises OSError."""
    files = sorted(folder.iterdir()) if folder else []
    return {file.name: file.read_text("utf-8") for file in files if file.suffix in SUFFIXES}
