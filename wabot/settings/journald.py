"""Whether systemd's journal reads what wabot writes: then each line names its priority, and systemd adds the time."""

from __future__ import annotations

import os
from collections.abc import Mapping


def is_journald(stream: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether systemd's journal reads what is written to this file descriptor: `JOURNAL_STREAM` of systemd.exec(5)."""
    try:
        status = os.fstat(stream)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
