"""The journal at work, for the recorder: `recorded.py FOLDER SYNCHRONOUS (honest|early)`.

Its own Writer commits deliveries from eight people at once, with a checkpoint every few dozen pages. Each wamid that is
acknowledged goes to the file `acknowledged`, in the order of the acknowledgements; `early`: before it is committed.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from wabot.core.jobs import Policy
from wabot.core.messages import Inbound, Person, Webhook
from wabot.journal.accept import Rules
from wabot.journal.journal import open_journal

PEOPLE, EACH = 8, 25


async def main(folder: Path, synchronous: str, *, early: bool) -> None:
    journal: Any = await open_journal(folder, rules=Rules(), policy=Policy())

    def prepare(db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA synchronous = {synchronous}").fetchall()
        db.execute("PRAGMA wal_autocheckpoint = 60").fetchall()

    await journal._connection.run(prepare)
    acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def person(number: int) -> None:
        for nth in range(EACH):
            wamid = f"wamid.{number}.{nth}"
            message = Inbound(wamid, Person(wa_id=f"91{number:010d}"), 1.0 + nth, "text", f"text {nth} " * 20, "{}")
            if early:
                os.write(acknowledged, f"{wamid}\n".encode())
            await journal.accept(Webhook(1, (message,)), 1.0 + nth)
            if not early:
                os.write(acknowledged, f"{wamid}\n".encode())

    await asyncio.gather(*(person(number) for number in range(PEOPLE)))
    os._exit(0)  # the journal is not closed: power fails before that


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], early=sys.argv[3] == "early"))
