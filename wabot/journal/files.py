"""The journal's place on disk: a directory and files that are ours alone, and one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from wabot.core.exceptions import WabotError
from wabot.ownership import user, whose

_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_OTHERS_WRITE, _OTHERS = 0o022, 0o077
_OUR_NAMES = ("wabot.db", "api-key", "address", "sandbox", "accounts")
"""What the names of our own files and directories begin with, in a data directory."""


class CannotOpen(WabotError):
    """The journal cannot be opened; the text says why and what to do."""


def take(path: Path) -> int:
    """Make the directory of the journal `path`, and keep all others out of it; the descriptor that holds the lock.

    Everything is looked at and changed by descriptor, so that nothing can be put in its place meanwhile.
    """
    directory = _own_directory(path.parent)
    try:
        lock = _own_file(directory, path, ".lock", os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Only now: where another connection of this process has the file, closing it would end that one's locks.
            os.close(_own_file(directory, path, "", os.O_CREAT))
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.close(_own_file(directory, path, suffix))
        except BlockingIOError as error:
            os.close(lock)
            raise CannotOpen(
                f"another wabot already uses {path}: stop it, or give this one its own server.data_dir"
            ) from error
        except BaseException:
            os.close(lock)
            raise
    finally:
        os.close(directory)
    return lock


def own(path: Path) -> None:
    """Make a directory that nobody else can write in. Raises CannotOpen if it is not ours."""
    os.close(_own_directory(path))


def _own_directory(path: Path) -> int:
    """The descriptor of a directory that nobody else can write in; a new one is for our user alone (0700)."""
    follows = path.is_symlink() and _is_administrators(path)
    if path.is_symlink() and not follows:
        raise CannotOpen(f"server.data_dir {path} is a link: name the directory that it leads to")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        remedy = f"make it as a directory of {user(os.geteuid())}, or set another"
        raise CannotOpen(f"server.data_dir {path.absolute()} cannot be made ({error.strerror}): {remedy}") from error
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follows else os.O_NOFOLLOW))
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise CannotOpen(
                f"server.data_dir {whose(path)}: run wabot as its owner, or choose a directory that does not exist yet"
            )
        if status.st_mode & _OTHERS_WRITE:
            raise CannotOpen(
                f"others can write in server.data_dir {path}: chmod 700 it if it is for wabot alone, or choose a"
                " directory that does not exist yet"
            )
        # One that holds other things too may be read by their users, and keeps its mode: our files have their own.
        if status.st_mode & _OTHERS and all(name.startswith(_OUR_NAMES) for name in os.listdir(descriptor)):
            os.fchmod(descriptor, 0o700)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_administrators(link: Path) -> bool:
    """Whether root alone can have made this link for us, as systemd does for the state of a DynamicUser."""
    place = link.parent.stat()
    owners = {link.lstat().st_uid, place.st_uid}
    return os.geteuid() != 0 and owners == {0} and not place.st_mode & _OTHERS_WRITE


def _own_file(directory: int, path: Path, suffix: str, flags: int = 0) -> int:
    """The descriptor of a file beside the journal, for our user alone (0600). Raises FileNotFoundError."""
    name = path.name + suffix
    try:
        descriptor = os.open(name, _OPEN | flags, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise CannotOpen(f"{path.parent / name} is a link: put the file itself in its place") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(descriptor)
        raise CannotOpen(f"{whose(path.parent / name)} must be a file of wabot's user: move it aside, or chown it")
    os.fchmod(descriptor, 0o600)
    return descriptor
