"""The API keys: those of `server.api_keys`, or one that the first start makes and keeps in `data_dir`."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from wabot.core.exceptions import WabotError
from wabot.log import get_logger
from wabot.ownership import whose
from wabot.private_file import sync_directory, write_private
from wabot.settings.sections import SHORTEST_KEY, Server

FILE = "api-key"
MADE_BYTES = 32
READ_BYTES = 4096

log = get_logger()


class UnusableKey(WabotError):
    """The key file cannot be used; the text says why and what to do."""


def of_service(server: Server) -> tuple[str, ...]:
    """The keys that the API accepts. Needs a private `data_dir`. Raises UnusableKey, OSError (full disk)."""
    if server.api_keys:
        return tuple(key.get_secret_value() for key in server.api_keys)
    path = server.data_dir / FILE
    return (_read(path) or _make(path),)


def of_terminal(server: Server) -> str | None:
    """A key for the terminal commands; None before the first start of the service. Raises UnusableKey."""
    if server.api_keys:
        return server.api_keys[0].get_secret_value()
    return _read(server.data_dir / FILE)


def source_of_terminal(server: Server) -> str:
    """Where the key of the terminal commands is from, for error messages."""
    return "the first of server.api_keys" if server.api_keys else f"the one in {server.data_dir / FILE}"


def _read(path: Path) -> str | None:
    """The key in the file; None without a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusableKey(f"{whose(path)}: cannot be read ({error.strerror}): run this as wabot's user") from error
    try:
        _make_private(path, descriptor)
        key = os.read(descriptor, READ_BYTES).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)
    if len(key) < SHORTEST_KEY or re.fullmatch(r"[!-~]+", key) is None:
        raise UnusableKey(
            f"{path}: holds no key of at least {SHORTEST_KEY} characters: delete it, and the next start makes one"
        )
    return key


def _make_private(path: Path, descriptor: int) -> None:
    """Make the open file private. Raises UnusableKey if it belongs to another user (root may read all files)."""
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode) or os.geteuid() not in (state.st_uid, 0):
        raise UnusableKey(f"{whose(path)}: must be a file of wabot's user: move it away, the next start makes one")
    if state.st_mode & 0o077:
        os.fchmod(descriptor, 0o600)
        log.warning("key.made_private", file=str(path), mode=f"{state.st_mode & 0o777:03o}")


def _make(path: Path) -> str:
    """Make a key and write its file atomically."""
    key = secrets.token_urlsafe(MADE_BYTES)
    write_private(path, f"{key}\n".encode("ascii"))
    sync_directory(path.parent)
    log.info("key.made", file=str(path))
    return key
