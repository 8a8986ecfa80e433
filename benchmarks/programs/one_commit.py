"""wabot without group commit: every operation has a transaction, and an fsync, of its own."""

from __future__ import annotations

import sys

from wabot import cli
from wabot.journal import sqlite

if __name__ == "__main__":
    sqlite.GROUP_LIMIT = 1
    sys.exit(cli.main())
