"""Restores a backup: it is checked first, the old journal is kept, and the files belong to wabot's user."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from wabot.core.exceptions import WabotError
from wabot.journal import after_restore
from wabot.journal.journal import FILE_NAME
from wabot.journal.opening import APPLICATION_ID, VERSION
from wabot.ownership import whose
from wabot.private_file import sync_directory

PARTS = ("", "-wal", "-shm")
"""Suffixes of the files that are one journal: an old one's log beside a new file would destroy it."""


class RestoreFailed(WabotError):
    """Nothing was changed; the text says why and what to do."""


def put_in_place(backup: Path, data_dir: Path) -> Path | None:
    """Make `backup` the journal of `data_dir`. Returns the new name of the old journal, None if there was none.

    As root, the directory's owner gets the files. Raises RestoreFailed, or OSError for a full disk or missing rights.
    """
    _check(backup)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    journal = data_dir.absolute() / FILE_NAME
    with _alone(journal):
        copied = journal.with_name(f"{FILE_NAME}.restored")
        try:
            _copy(backup, copied)
            aside = _set_aside(journal)
            copied.replace(journal)
        finally:
            copied.unlink(missing_ok=True)
        sync_directory(data_dir)
    return aside


def _check(backup: Path) -> None:
    if not backup.is_file():
        raise RestoreFailed(f"there is no file {backup.absolute()}: name one that `run.py backup` made")
    try:
        with closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            kind = db.execute("PRAGMA application_id").fetchone()[0]
            version = db.execute("PRAGMA user_version").fetchone()[0]
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise RestoreFailed(f"{whose(backup)} cannot be read as a journal: {error}") from error
    if kind != APPLICATION_ID:
        raise RestoreFailed(f"{backup} is no journal of wabot: name a file that `run.py backup` made")
    if verdict != "ok":
        raise RestoreFailed(f"{backup} is damaged ({verdict}): take another backup")
    if version > VERSION:
        raise RestoreFailed(f"{backup} was made by a newer wabot (schema {version}): install that one first")


@contextmanager
def _alone(journal: Path) -> Iterator[None]:
    """Makes sure that no wabot uses the journal meanwhile. Raises RestoreFailed if one does."""
    path = journal.with_name(f"{FILE_NAME}.lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _give(path, journal.parent)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RestoreFailed(f"wabot is running on {journal}: stop it first") from error
    finally:
        os.close(lock)


def _copy(backup: Path, copied: Path) -> None:
    """A private copy that is marked as one, so that nothing is sent again that was sent since the backup."""
    copied.unlink(missing_ok=True)
    descriptor = os.open(copied, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as target, backup.open("rb") as source:
        shutil.copyfileobj(source, target, 1 << 20)
    with closing(sqlite3.connect(copied)) as db:
        after_restore.mark(db)
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for suffix in PARTS[1:]:
        copied.with_name(copied.name + suffix).unlink(missing_ok=True)
    with copied.open("rb") as written:
        os.fsync(written.fileno())
    _give(copied, copied.parent)


def _give(path: Path, like: Path) -> None:
    """As root, give the files to the owner of the directory."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _set_aside(journal: Path) -> Path | None:
    """Keep the present journal, with all its parts, under a name with the time.

    There is a journal at every moment: after a power cut the old one or the new one is found.
    """
    aside = journal.with_name(f"{journal.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{journal.as_uri()}?mode=rw", uri=True)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # a sound one is whole without its log from here on
    for suffix in PARTS[1:]:
        with suppress(FileNotFoundError):
            journal.with_name(journal.name + suffix).rename(aside.with_name(aside.name + suffix))
    if not journal.exists():
        return None
    os.link(journal, aside, follow_symlinks=False)
    return aside
