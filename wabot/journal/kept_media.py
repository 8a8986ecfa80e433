"""The files of media.keep, beside the journal. A person who is forgotten takes them along."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wabot.core.media import FOLDER, kept_prefix


def delete_all_of(journal: Path, contact_ids: Sequence[int]) -> int:
    """Delete all files of these contacts; how many there were. Raises OSError."""
    deleted, prefixes = 0, tuple(map(kept_prefix, contact_ids))
    folder = journal.parent / FOLDER
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            if file.name.lstrip(".").startswith(prefixes):
                file.unlink(missing_ok=True)
                deleted += not file.name.startswith(".")
    return deleted


def find(journal: Path, contact_id: int, media_id: str) -> Path | None:
    """The file of a medium that a contact sent, by Meta's id; None if it was not kept."""
    wanted = kept_prefix(contact_id) + media_id
    folder = journal.parent / FOLDER
    with suppress(FileNotFoundError):
        return next((file for file in folder.iterdir() if file.name.partition(".")[0] == wanted), None)
    return None
