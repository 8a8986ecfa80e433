"""The owner of a file, for error messages: most file errors come from running as the wrong user."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path


def whose(path: Path | str) -> str:
    """`path` with its owner, its mode and the current user, for error messages; `path` alone if there is no file."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return str(path)
    except OSError:
        return f"{path} (this runs as {user(os.geteuid())})"
    return (
        f"{path} (it belongs to {user(status.st_uid)}, mode {status.st_mode & 0o777:03o}; this runs as"
        f" {user(os.geteuid())})"
    )


def open_to_all(paths: Iterable[Path]) -> list[Path]:
    """Those of the files that every user of this machine may read."""
    return [path for path in paths if path.is_file() and path.stat().st_mode & stat.S_IROTH]


def user(uid: int) -> str:
    """The name of a user, or its number if it has no name (in a container, say)."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
