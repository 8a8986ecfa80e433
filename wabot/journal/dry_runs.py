"""What would keep a bulk send from people, without queueing anything."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence

from wabot.core.messages import Stop
from wabot.journal import forgotten


def stopped(db: sqlite3.Connection, numbers: Sequence[str], salt: bytes | None) -> Counter[Stop]:
    """How many of these distinct numbers may not be sent to, and why; also those whose person was forgotten."""
    found = Counter[Stop]()
    known = (
        "SELECT c.stopped FROM json_each(?) n JOIN identities i ON i.value = n.value"
        " JOIN contacts c ON c.id = i.contact_id WHERE c.stopped IS NOT NULL"
    )
    found.update(Stop(row["stopped"]) for row in db.execute(known, (json.dumps(numbers),)))
    if salt is not None:
        hashes = [forgotten.digest(salt, number) for number in numbers]
        gone = (
            "SELECT stopped FROM forgotten_people WHERE hash IN (SELECT value FROM json_each(?))"
            " AND stopped IS NOT NULL"
        )
        found.update(Stop(row["stopped"]) for row in db.execute(gone, (json.dumps(hashes),)))
    return found
