"""Counts the requests to models of one day, so that a restart does not begin anew."""

from __future__ import annotations

import sqlite3

from wabot.journal.sqlite import Reader, Writer


class ModelCalls:
    """The journal's count of the requests to models, of the day that it was last asked to count for."""

    writer: Writer
    _read: Reader

    async def model_calls(self, day: str) -> int:
        """How many requests were counted on a day."""
        return await self._read(_counted, day)

    async def count_model_call(self, day: str, most: int) -> bool:
        """Count one more request on a day, unless there were `most`; whether it was counted."""
        return await self.writer(_count, day, most)


def _counted(db: sqlite3.Connection, day: str) -> int:
    row = db.execute("SELECT value FROM meta WHERE key = 'model_calls'").fetchone()
    counted_on, _, count = row["value"].partition(" ") if row is not None else ("", "", "0")
    return int(count) if counted_on == day else 0


def _count(db: sqlite3.Connection, day: str, most: int) -> bool:
    counted = _counted(db, day)
    if counted >= most:
        return False
    db.execute(
        "INSERT INTO meta VALUES ('model_calls', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (f"{day} {counted + 1}",),
    )
    return True
