"""A look at the journal from outside, also while a running wabot writes it: nothing is changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from wabot.core import health_checks
from wabot.core.health_checks import Check
from wabot.journal.journal import FILE_NAME

LARGE = 1 << 30
"""Bytes from which on a whole check would take too long."""

_RESTORE = "Stop wabot, move wabot.db, wabot.db-wal and wabot.db-shm aside together, and put a backup in place."


def inspect(data_dir: Path, *, whole: bool = True) -> Check:
    """Whether the journal of `data_dir` is there, ours to read, and sound; `whole`: every page is read."""
    path = data_dir.absolute() / FILE_NAME
    try:
        if not path.exists():
            return health_checks.ok("journal", f"{path} will be made at the first start")
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            verdict = (
                "ok" if not whole or path.stat().st_size > LARGE else db.execute("PRAGMA quick_check(1)").fetchone()[0]
            )
    except (sqlite3.OperationalError, OSError) as error:
        owner = f"Run this as the user of wabot; {path} must be a file of that user."
        return health_checks.broken("journal", f"{path} cannot be read ({error})", owner)
    except sqlite3.DatabaseError as error:
        return health_checks.broken("journal", f"{path} is damaged ({error})", _RESTORE)
    if verdict != "ok":
        return health_checks.broken("journal", f"{path} is damaged ({verdict})", _RESTORE)
    return health_checks.ok("journal", f"{path} is sound (schema {version}, {path.stat().st_size >> 20} MB)")
