"""What people do not want to get: their latest wish by Meta's time counts, in whatever order wishes arrive.

A wish belongs to the person, so it holds for all contacts that are this person and wait to be merged (see merging.py).
`contacts.stopped` follows from the wishes: it answers whether something may be sent.
"""

from __future__ import annotations

import sqlite3

from wabot.core.messages import Person, Stop


def record(db: sqlite3.Connection, contact_id: int, what: Stop, at: float, *, stop: bool) -> None:
    """A person wants no more messages of a kind (ALL, MARKETING) since a time, or wants them again.

    The later wish counts. Of two with the same time, the one that arrives last counts.
    """
    for one in everyone(db, contact_id):
        db.execute(
            "INSERT INTO wishes (contact_id, what, stop, at) VALUES (?, ?, ?, ?) ON CONFLICT (contact_id, what)"
            " DO UPDATE SET stop = excluded.stop, at = excluded.at WHERE excluded.at >= wishes.at",
            (one, what, stop, at),
        )
        _follow(db, one)


def start(db: sqlite3.Connection, contact_id: int, at: float) -> None:
    """A person wants messages of all kinds again."""
    for what in (Stop.ALL, Stop.MARKETING):
        record(db, contact_id, what, at, stop=False)


def by_us(db: sqlite3.Connection, contact_id: int, now: float) -> float:
    """The time of a wish that is stored by hand: now, but not before a stored one, in case our clock lags.

    In whole seconds, as Meta's are: a wish of the person in the same second must not seem to be older.
    """
    last = db.execute("SELECT max(at) FROM wishes WHERE contact_id = ?", (contact_id,)).fetchone()[0]
    return max(float(int(now)), last or 0.0)


def suppress(db: sqlite3.Connection, contact_id: int, code: int | str | None, now: float) -> None:
    """Meta says that this person gets no marketing from us (131050), or no messages at all."""
    if code == 131050:
        record(db, contact_id, Stop.MARKETING, now, stop=True)
        return
    for one in everyone(db, contact_id):
        db.execute(
            "UPDATE contacts SET stopped = 'unreachable', stopped_at = ? WHERE id = ? AND stopped IS NULL", (now, one)
        )


def reachable(db: sqlite3.Connection, contact_id: int) -> None:
    """A person can be reached again, although Meta said otherwise."""
    for one in everyone(db, contact_id):
        db.execute(
            "UPDATE contacts SET stopped = NULL, stopped_at = NULL WHERE id = ? AND stopped = 'unreachable'", (one,)
        )


def of(db: sqlite3.Connection, contact_id: int) -> Stop | None:
    """What may not be sent to a contact."""
    (stopped,) = db.execute("SELECT stopped FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    return Stop(stopped) if stopped else None


def all_wishes(db: sqlite3.Connection) -> dict[Person, tuple[float, bool]]:
    """Who wants no messages at all, or wants them again: since when, and whether to stop."""
    rows = db.execute(
        "SELECT c.wa_id, c.bsuid, w.at, w.stop FROM wishes w JOIN contacts c ON c.id = w.contact_id"
        " WHERE w.what = 'all'"
    )
    return {Person(row["wa_id"], row["bsuid"]): (row["at"], bool(row["stop"])) for row in rows}


def share(db: sqlite3.Connection, one: int, other: int) -> None:
    """Two contacts are one person: the latest wishes of either hold for both."""
    for giver, taker in ((one, other), (other, one)):
        db.execute(
            "INSERT INTO wishes (contact_id, what, stop, at) SELECT ?, what, stop, at FROM wishes WHERE contact_id = ?"
            " ON CONFLICT (contact_id, what) DO UPDATE SET stop = excluded.stop, at = excluded.at"
            " WHERE excluded.at > wishes.at OR (excluded.at = wishes.at AND excluded.stop)",
            (taker, giver),
        )
        db.execute(
            "UPDATE contacts SET stopped = g.stopped, stopped_at = g.stopped_at FROM contacts g WHERE contacts.id = ?"
            " AND g.id = ? AND contacts.stopped IS NULL AND g.stopped = 'unreachable'"
            " AND g.stopped_at >= coalesce(contacts.last_inbound_at, 0)",
            (taker, giver),
        )
    for contact_id in (one, other):
        _follow(db, contact_id)


def everyone(db: sqlite3.Connection, contact_id: int) -> list[int]:
    """A contact, and those that are the same person and wait to be merged with it."""
    keep = db.execute("SELECT keep FROM merges WHERE done_at IS NULL AND gone = ?", (contact_id,)).fetchone()
    first = keep[0] if keep else contact_id
    others = db.execute("SELECT gone FROM merges WHERE done_at IS NULL AND keep = ?", (first,)).fetchall()
    return [first, *(row[0] for row in others)]


def _follow(db: sqlite3.Connection, contact_id: int) -> None:
    """Let `stopped` be what follows from the wishes: the wider one first."""
    wish = db.execute(
        "SELECT what, at FROM wishes WHERE contact_id = ? AND stop ORDER BY what LIMIT 1", (contact_id,)
    ).fetchone()
    db.execute(
        "UPDATE contacts SET stopped = ?, stopped_at = ? WHERE id = ? AND (? IS NOT NULL OR stopped <> 'unreachable')",
        (*(wish or (None, None)), contact_id, wish and wish["what"]),
    )
