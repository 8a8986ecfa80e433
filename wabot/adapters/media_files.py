"""Keeps media as files, if the owner wants that."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from wabot.core.media import Medium, kept_prefix


class MediaFiles:
    """A folder with a file for each medium, readable for our own user alone: named by contact, Meta's id and type."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, contact_id: int, medium: Medium) -> bool:
        """Whether a medium is kept already."""
        return self._path(contact_id, medium).exists()

    def keep(self, contact_id: int, medium: Medium, content: bytes) -> None:
        """Write a file, whole or not at all. Raises OSError. (An id has letters, digits, "_" and "-" only.)"""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(contact_id, medium)
        part = path.with_name(f".{path.name}.part")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        part.replace(path)

    def drop(self, contact_id: int, medium: Medium) -> None:
        """Delete a file, if it is there. Raises OSError."""
        self._path(contact_id, medium).unlink(missing_ok=True)

    def _path(self, contact_id: int, medium: Medium) -> Path:
        return self._folder / f"{kept_prefix(contact_id)}{medium.id}{mimetypes.guess_extension(medium.mime_type) or ''}"
