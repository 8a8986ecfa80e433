"""Two contacts turn out to be one person: names and wishes are joined at once, talk and queues as soon as they can be.

They cannot while both halves have a send or a reply in flight: joining their queues then would break the order. The
merge waits for the commit that ends one of the two. Every merge is written down with what it moved, so that it can be
undone; two contacts that were parted again are never merged by themselves.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from wabot.core.errors import InvalidInput
from wabot.core.jobs import Event, Kind, State, move
from wabot.journal import wishes
from wabot.journal.queue import promote, promote_reply
from wabot.journal.sqlite import Reader, Writer
from wabot.log import get_logger

log = get_logger()


class CannotUndo(InvalidInput):
    """A merge that cannot be undone now; the text says why."""


class Merges:
    """The journal's verbs for whoever wants to see merges, or does not want one."""

    writer: Writer
    _read: Reader
    notify: Callable[[Kind, float], None]

    async def merges(self, limit: int) -> list[dict[str, Any]]:
        """The last contacts that were merged, newest first; see `document`."""
        return await self._read(_listing, limit)

    async def undo_merge(self, merge_id: int, now: float) -> dict[str, Any] | None:
        """Make two contacts of one again; None for a merge that we do not know. Raises CannotUndo."""
        merge = await self.writer(_undo, merge_id, now)
        for kind in Kind:
            self.notify(kind, now)
        return merge


def unite(db: sqlite3.Connection, one: int, other: int, now: float, why: str) -> int:
    """Two contacts are one person: the older takes over all that was said and owed; returns its id."""
    keep, gone = min(one, other), max(one, other)
    names = db.execute("UPDATE identities SET contact_id = ? WHERE contact_id = ? RETURNING value", (keep, gone))
    merge_id = db.execute(
        "INSERT INTO merges (keep, gone, why, asked_at, keep_was, gone_was, names) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            keep,
            gone,
            why,
            now,
            _picture(db, keep),
            _picture(db, gone),
            json.dumps([row[0] for row in names.fetchall()]),
        ),
    ).lastrowid
    db.execute("UPDATE merges SET keep = ? WHERE keep = ? AND done_at IS NULL", (keep, gone))
    db.execute(
        "UPDATE contacts SET wa_id = coalesce(contacts.wa_id, g.wa_id), bsuid = coalesce(contacts.bsuid, g.bsuid),"
        " name = coalesce(nullif(contacts.name, ''), g.name), last_inbound_at = coalesce("
        "max(contacts.last_inbound_at, g.last_inbound_at), contacts.last_inbound_at, g.last_inbound_at)"
        " FROM contacts g WHERE contacts.id = ? AND g.id = ?",
        (keep, gone),
    )
    wishes.share(db, keep, gone)
    _join(db, int(merge_id or 0), keep, gone, now)
    return keep


def finish(db: sqlite3.Connection, now: float) -> int:
    """Do the merges that waited, as far as they can be done now; how many."""
    rows = db.execute("SELECT id, keep, gone FROM merges WHERE done_at IS NULL").fetchall()
    return sum(_join(db, row["id"], row["keep"], row["gone"], now) for row in rows)


def parted(db: sqlite3.Connection, one: int, other: int) -> bool:
    """Whether somebody undid a merge of these two."""
    found = db.execute(
        "SELECT 1 FROM merges WHERE gone = ? AND keep = ? AND undone_at IS NOT NULL",
        (max(one, other), min(one, other)),
    ).fetchone()
    return found is not None


def _listing(db: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """The last merges, newest first: who they were, why and when; times are None where it has not come to that."""
    rows = db.execute("SELECT * FROM merges ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    return [document(row) for row in rows]


def _undo(db: sqlite3.Connection, merge_id: int, now: float) -> dict[str, Any] | None:
    """Make two contacts of one again, as they were; None for a merge that we do not know. Raises CannotUndo.

    What was said since then stays with the older one, and what they wished last holds for both.
    """
    merge = db.execute("SELECT * FROM merges WHERE id = ?", (merge_id,)).fetchone()
    if merge is None:
        return None
    keep, gone = merge["keep"], merge["gone"]
    if merge["done_at"] is None:
        raise CannotUndo("this merge waits for something that is on its way: try again in a moment")
    if merge["undone_at"] is not None:
        raise CannotUndo("this merge was undone already")
    if not db.execute("SELECT 1 FROM contacts WHERE id = ?", (keep,)).fetchone():
        raise CannotUndo("what came of this merge was merged again: undo the later merge first")
    db.execute("UPDATE merges SET undone_at = ? WHERE id = ?", (now, merge_id))
    _restore(db, merge)
    moved = "WHERE contact_id = ? AND id IN (SELECT value FROM json_each(?))"
    db.execute(f"UPDATE messages SET contact_id = ?, version = version + 1 {moved}", (gone, keep, merge["messages"]))
    db.execute(f"UPDATE jobs SET contact_id = ? {moved}", (gone, keep, merge["jobs"]))
    wishes.share(db, keep, gone)
    for contact_id in (keep, gone):
        promote(db, contact_id, now)
        promote_reply(db, contact_id, now)
    log.warning("merge.undone", merge=merge_id, kept=keep, parted=gone)
    return document(db.execute("SELECT * FROM merges WHERE id = ?", (merge_id,)).fetchone())


def document(row: sqlite3.Row) -> dict[str, Any]:
    """A merge as the API tells it."""
    kept, gone = json.loads(row["keep_was"]), json.loads(row["gone_was"])
    return {
        "id": row["id"],
        "contact": row["keep"],
        "merged": row["gone"],
        "numbers": [kept["wa_id"], gone["wa_id"]],
        "bsuids": [kept["bsuid"], gone["bsuid"]],
        "reason": row["why"],
        "asked_at": row["asked_at"],
        "done_at": row["done_at"],
        "undone_at": row["undone_at"],
    }


def _picture(db: sqlite3.Connection, contact_id: int) -> str:
    """A contact's row as JSON."""
    return json.dumps(dict(db.execute("SELECT * FROM contacts WHERE id = ?", (contact_id,)).fetchone()))


def _restore(db: sqlite3.Connection, merge: sqlite3.Row) -> None:
    """Make the younger contact's row again, and give each the names that were its own and are nobody else's now."""
    keep, gone = merge["keep"], merge["gone"]
    kept, row = json.loads(merge["keep_was"]), json.loads(merge["gone_was"])
    db.execute(
        f"INSERT INTO contacts ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
        tuple({**row, "wa_id": None, "bsuid": None}.values()),
    )
    moved = db.execute(
        "UPDATE identities SET contact_id = ? WHERE contact_id = ? AND value IN (SELECT value FROM json_each(?))"
        " RETURNING value",
        (gone, keep, merge["names"]),
    ).fetchall()
    back = {value for (value,) in moved}
    for column in ("wa_id", "bsuid"):
        if row[column] in back:
            db.execute(f"UPDATE contacts SET {column} = ? WHERE id = ?", (row[column], gone))
        marks = ", ".join("?" * len(back))
        db.execute(
            f"UPDATE contacts SET {column} = (SELECT value FROM identities WHERE value = ? AND contact_id ="
            f" contacts.id) WHERE id = ? AND {column} IN ({marks})",
            (kept[column], keep, *back),
        )
    db.execute(  # what they said since the merge opened the window of the one whom we took them for
        "UPDATE contacts SET last_inbound_at = ? WHERE id = ? AND last_inbound_at <= ?",
        (kept["last_inbound_at"], keep, merge["asked_at"]),
    )


def _join(db: sqlite3.Connection, merge_id: int, keep: int, gone: int, now: float) -> bool:
    """Join talk and queues, unless both have something in flight."""
    in_flight = "SELECT 1 FROM jobs WHERE kind = ? AND contact_id = ? AND state IN ('running', 'in_doubt')"
    for kind in ("send", "reply"):
        if all(db.execute(in_flight, (kind, contact)).fetchone() for contact in (keep, gone)):
            return False
    _join_sends(db, keep, gone)
    _join_replies(db, keep, gone, now)
    messages = db.execute(
        "UPDATE messages SET contact_id = ?, version = version + 1 WHERE contact_id = ? RETURNING id",
        (keep, gone),
    ).fetchall()
    jobs = db.execute("UPDATE jobs SET contact_id = ? WHERE contact_id = ? RETURNING id", (keep, gone)).fetchall()
    db.execute(
        "UPDATE merges SET done_at = ?, messages = ?, jobs = ? WHERE id = ?",
        (now, json.dumps([row[0] for row in messages]), json.dumps([row[0] for row in jobs]), merge_id),
    )
    db.execute("DELETE FROM wishes WHERE contact_id = ?", (gone,))
    db.execute("DELETE FROM contacts WHERE id = ?", (gone,))
    promote(db, keep, now)
    promote_reply(db, keep, now)
    log.info("contacts.merged", merge=merge_id, kept=keep, merged=gone)
    return True


def _join_sends(db: sqlite3.Connection, keep: int, gone: int) -> None:
    """Make the open sends of both fit into one queue: one head."""
    head = "SELECT 1 FROM jobs WHERE contact_id = ? AND kind = 'send' AND state IN ('queued', 'running', 'in_doubt')"
    if all(db.execute(head, (contact,)).fetchone() for contact in (keep, gone)):
        db.execute(
            "UPDATE jobs SET state = ? WHERE contact_id IN (?, ?) AND kind = 'send'"
            " AND state IN ('queued', 'running', 'in_doubt') AND state = 'queued'",
            (move(State.QUEUED, Event.DEMOTE), keep, gone),
        )


def _join_replies(db: sqlite3.Connection, keep: int, gone: int, now: float) -> None:
    """Make the open replies of both fit together: one that further bubbles join, behind the one that runs if any."""
    _say_who_answers(db, keep, gone)
    joinable = "contact_id = ? AND kind = 'reply' AND state IN ('queued', 'waiting')"
    spare = db.execute(f"SELECT id, since, expires_at FROM jobs WHERE {joinable}", (gone,)).fetchone()
    if spare is not None:
        joined = db.execute(
            f"UPDATE jobs SET since = min(since, ?), expires_at = max(expires_at, ?) WHERE {joinable} RETURNING id",
            (spare["since"], spare["expires_at"], keep),
        ).fetchall()
        for (job_id,) in joined:
            hand_over(db, spare["id"], job_id)
            db.execute(
                "UPDATE jobs SET state = ?, settled_at = ?, error = 'joined the reply of the same person' WHERE id = ?",
                (State.CANCELLED, now, spare["id"]),
            )
    running = "SELECT 1 FROM jobs WHERE contact_id IN (?, ?) AND kind = 'reply' AND state = 'running'"
    if db.execute(running, (keep, gone)).fetchone():
        db.executemany(
            f"UPDATE jobs SET state = ? WHERE {joinable} AND state = 'queued'",
            [(move(State.QUEUED, Event.DEMOTE), contact) for contact in (keep, gone)],
        )


def hand_over(db: sqlite3.Connection, reply: int, to: int) -> None:
    """What one reply was to answer, another answers."""
    db.execute("UPDATE messages SET asked_by = ? WHERE asked_by = ? AND asked_by IS NOT NULL", (to, reply))


def _say_who_answers(db: sqlite3.Connection, keep: int, gone: int) -> None:
    """Let every message since the first open reply name the one that answers it; 0 where it was answered already.

    Within one contact it is the first message that tells; of two talks that become one, the ids lie between each other.
    """
    replies = [
        row
        for states in ("state IN ('queued', 'waiting')", "state = 'running'")
        for row in db.execute(
            f"SELECT id, contact_id, since FROM jobs WHERE contact_id IN (?, ?) AND kind = 'reply' AND {states}",
            (keep, gone),
        ).fetchall()
    ]
    name = "UPDATE messages SET asked_by = ? WHERE contact_id = ? AND id >= ? AND direction = 'in' AND asked_by IS NULL"
    for row in replies:  # what waits before what runs: the latter ends where the former begins
        db.execute(name, (row["id"], row["contact_id"], row["since"]))
    if replies:
        first = min(row["since"] for row in replies)
        db.executemany(name, [(0, contact, first) for contact in (keep, gone)])
