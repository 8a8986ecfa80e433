"""The address of the running wabot, stored in its data directory for the terminal commands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

FILE = "address"


@contextmanager
def kept(data_dir: Path, **urls: str) -> Iterator[None]:
    """Keep `urls` in the file while wabot runs. Errors are ignored: the file is only a convenience."""
    path = data_dir / FILE
    with suppress(OSError):
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(urls, file)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def url_of(host: str, port: int) -> str:
    """The URL of a server; an IPv6 address stands in brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def of_running(data_dir: Path) -> Mapping[str, str]:
    """The URLs of the wabot that runs on this data directory (or was killed); empty without one."""
    try:
        urls = json.loads((data_dir / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(url) for name, url in urls.items()} if isinstance(urls, dict) else {}
