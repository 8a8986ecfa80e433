"""Opens the journal: one process per file, an intact file, the newest schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wabot.journal.files import CannotOpen

APPLICATION_ID = 0x77616274
VERSION = 2
SCHEMA = Path(__file__).with_name("schema.sql")
UPGRADES = Path(__file__).with_name("upgrades")
"""schema.sql is what a new journal gets; `upgrades/N.sql` makes version N of version N - 1, forward only. A test
compares what both ways lead to."""

QUICK_CHECK_BELOW = 1 << 30


class Purpose(StrEnum):
    """What a journal is for: the sandbox must never get what is meant for people, nor the other way round."""

    LIVE = "live"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` is this journal's own, in tags and outbox ids; `epoch` counts its openings; `business` is our number."""

    name: str
    epoch: int
    business: str


@contextmanager
def told_in_words() -> Iterator[None]:
    """Raises SQLite's errors as CannotOpen, with the remedy."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CannotOpen(
            f"the journal cannot be used ({error}): see that the disk has room and that no other program holds wabot.db"
        ) from error
    except sqlite3.DatabaseError as error:
        raise CannotOpen(
            f"the journal cannot be read ({error}): move wabot.db, wabot.db-wal and wabot.db-shm aside together and"
            " restore a backup (python run.py backup makes them), or start with an empty data directory"
        ) from error


def refuse_strangers(db: sqlite3.Connection, purpose: Purpose, *, fresh: bool) -> None:
    """Raises CannotOpen if the file is not ours, before anything is written to it.

    `fresh`: a sandbox's journal is emptied next, so it may be of a newer wabot.
    """
    application_id, version = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application_id != APPLICATION_ID and (tables or version):
        raise CannotOpen("wabot.db is not a journal of wabot: move it aside or choose another server.data_dir")
    if version > VERSION and not (fresh and purpose is Purpose.SANDBOX and _is_disposable(db)):
        raise CannotOpen(f"the journal has schema {version}, this wabot knows {VERSION}: install a newer wabot")
    kept_for = db.execute("SELECT value FROM meta WHERE key = 'purpose'").fetchone() if version else None
    if kept_for and kept_for[0] != purpose:
        raise CannotOpen(_OTHER_PURPOSE[Purpose(kept_for[0])])


_OTHER_PURPOSE = {
    Purpose.LIVE: "wabot.db holds real messages, which the sandbox does not touch: move it out of data/sandbox",
    Purpose.SANDBOX: "wabot.db is the sandbox's journal: choose another server.data_dir",
}


def empty(db: sqlite3.Connection) -> None:
    """Empty a sandbox's journal, unless a backup was just restored there. Any other journal stays as it is."""
    if db.execute("PRAGMA user_version").fetchone()[0] == 0 or not _is_disposable(db):
        return
    names = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'")
    drops = "".join(f'DROP TABLE "{name}";' for (name,) in names.fetchall())
    db.execute("PRAGMA foreign_keys = OFF")
    try:
        db.executescript(f"BEGIN EXCLUSIVE;{drops}PRAGMA user_version = 0;COMMIT;")
    finally:
        db.execute("PRAGMA foreign_keys = ON")


def _is_disposable(db: sqlite3.Connection) -> bool:
    facts = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('purpose', 'copied')").fetchall())
    return facts == {"purpose": Purpose.SANDBOX}


def migrate(db: sqlite3.Connection, business: str, purpose: Purpose, name: str) -> Identity:
    """Bring the file to the newest schema, and open it for a new run. `name`: what a new journal is called."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _apply(db, SCHEMA.read_text("utf-8"), VERSION)
    elif version < VERSION:
        _upgrade(db, version)
    return _open_meta(db, business, purpose, name)


def _upgrade(db: sqlite3.Connection, version: int) -> None:
    """Foreign keys are off meanwhile, since tables are dropped and made anew. They are checked at the end: that reads
    every row, some seconds of a large journal."""
    db.execute("PRAGMA foreign_keys = OFF")
    try:
        for number in range(version + 1, VERSION + 1):
            _apply(db, (UPGRADES / f"{number}.sql").read_text("utf-8"), number)
    finally:
        db.execute("PRAGMA foreign_keys = ON")
    if db.execute("PRAGMA foreign_key_check").fetchone():
        raise sqlite3.DatabaseError("rows point at others that are not there")
    with suppress(sqlite3.OperationalError):  # no room for a second file: then the pages go when they are used again
        db.execute("VACUUM")  # earlier versions did not overwrite what they deleted


def _apply(db: sqlite3.Connection, script: str, number: int) -> None:
    """One step of the schema in one transaction: after a crash it is applied whole or not at all."""
    db.executescript(
        f"BEGIN EXCLUSIVE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};\n"
        f"PRAGMA user_version = {number};\nCOMMIT;"
    )


def _open_meta(db: sqlite3.Connection, business: str, purpose: Purpose, name: str) -> Identity:
    clean = db.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()
    if clean and clean[0] == "no" and _size(db) < QUICK_CHECK_BELOW:
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
    db.execute("BEGIN IMMEDIATE")
    facts = [("journal", name), ("epoch", "0"), ("business", business), ("purpose", purpose)]
    db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", facts)
    kept_for = db.execute("SELECT value FROM meta WHERE key = 'phone_number_id'").fetchone()
    if kept_for and kept_for[0] != business:  # the number from Meta is the other one's
        set_business(db, business)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('phone_number_id', ?)", (business,))
    db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'epoch'")
    db.execute("INSERT OR REPLACE INTO meta VALUES ('clean', 'no')")
    db.execute("COMMIT")
    meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
    return Identity(meta["journal"], int(meta["epoch"]), meta["business"])


def set_business(db: sqlite3.Connection, number: str) -> None:
    """Store our own number, which Meta's webhooks name."""
    db.execute("UPDATE meta SET value = ? WHERE key = 'business'", (number,))


def _size(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA page_count").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0])


def seal(db: sqlite3.Connection) -> None:
    """Before closing: mark a clean end, and move everything into the main file."""
    db.execute("INSERT OR REPLACE INTO meta VALUES ('clean', 'yes')")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
