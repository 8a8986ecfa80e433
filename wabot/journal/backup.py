"""A consistent copy of the journal, also of one that is being written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from wabot.core.exceptions import WabotError
from wabot.journal import after_restore
from wabot.journal.journal import FILE_NAME
from wabot.private_file import sync_directory


class BackupFailed(WabotError):
    """No copy was made; the text says why."""


def copy(data_dir: Path, target: Path) -> Path:
    """Copy the journal of `data_dir` to `target`, which must not exist: checked, synced, then named."""
    source = data_dir.absolute() / FILE_NAME
    if not source.exists():
        raise BackupFailed(f"there is no journal at {source}")
    if not target.parent.is_dir():
        raise BackupFailed(f"there is no folder {target.parent.absolute()}: make it first")
    if target.exists():
        raise BackupFailed(f"{target} exists already")
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        # Made by us, empty and private, before the first byte: SQLite would make it as readable as the umask allows.
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as db:
            db.execute("VACUUM INTO ?", (str(unfinished),))
        with closing(sqlite3.connect(unfinished)) as db:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            after_restore.mark(db)
            db.commit()
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise BackupFailed(f"the journal could not be copied: {error}") from error
    if verdict != "ok":
        raise BackupFailed(f"the copy is not sound ({verdict}); it was left at {unfinished}")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.rename(target)
    sync_directory(target.parent)
    return target
