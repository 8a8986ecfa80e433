"""Merges as a person sees them: what was joined, and a merge undone.

The younger contact gets back its row, its names, its talk and its queue. Each of the two is answered what it asked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from wabot.core.exceptions import InvalidInput
from wabot.core.jobs import OF_CONTACTS, Kind
from wabot.journal import indexes, merging, opt_outs
from wabot.journal.sqlite import Reader, Writer
from wabot.journal.transitions import promote, promote_reply
from wabot.log import get_logger

log = get_logger()


class CannotUndo(InvalidInput):
    """A merge that cannot be undone now; the text says why."""


class Merges:
    """The journal's operations to list merges and undo one."""

    writer: Writer
    _read_long: Reader
    notify: Callable[[Kind, float], None]

    async def merges(self, limit: int) -> list[dict[str, Any]]:
        """The last contacts that were merged, newest first; see `document`."""
        return await self._read_long(_listing, limit)

    async def undo_merge(self, merge_id: int, now: float) -> dict[str, Any] | None:
        """Make two contacts of one again; None for a merge that we do not know. Raises CannotUndo."""
        merge = await self.writer(_undo, merge_id, now)
        for kind in OF_CONTACTS:
            self.notify(kind, now)
        return merge


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
    _check_undoable(db, merge)
    keep, gone = merge["keep"], merge["gone"]
    db.execute("UPDATE merges SET undone_at = ? WHERE id = ?", (now, merge_id))
    _restore(db, merge)
    reply = _say_what_is_asked(db, keep)
    moved = "WHERE contact_id = ? AND id IN (SELECT value FROM json_each(?))"
    db.execute(f"UPDATE messages SET contact_id = ?, version = version + 1 {moved}", (gone, keep, merge["messages"]))
    db.execute(f"UPDATE jobs SET contact_id = ? {moved} AND id IS NOT ?", (gone, keep, merge["jobs"], reply))
    if reply is not None:
        _part_reply(db, reply, keep, gone)
    opt_outs.share(db, keep, gone)
    merging.share_pause(db, keep, gone)
    for contact_id in (keep, gone):
        promote(db, contact_id, now)
        promote_reply(db, contact_id, now)
    log.warning("merge.undone", merge=merge_id, kept=keep, parted=gone)
    return document(db.execute("SELECT * FROM merges WHERE id = ?", (merge_id,)).fetchone())


def _check_undoable(db: sqlite3.Connection, merge: sqlite3.Row) -> None:
    if merge["done_at"] is None:
        raise CannotUndo("this merge waits for something that is on its way: try again in a moment")
    if merge["undone_at"] is not None:
        raise CannotUndo("this merge was undone already")
    if not db.execute("SELECT 1 FROM contacts WHERE id = ?", (merge["keep"],)).fetchone():
        raise CannotUndo("what came of this merge was merged again: undo the later merge first")
    waiting = "SELECT 1 FROM merges WHERE done_at IS NULL AND ? IN (keep, gone)"
    answering = f"SELECT 1 FROM jobs WHERE contact_id = ? AND {indexes.ANSWERING}"
    for busy in (waiting, answering):  # an answer that is being thought of knows the words of both
        if db.execute(busy, (merge["keep"],)).fetchone():
            raise CannotUndo("an answer or another merge of this contact is on its way: try again in a moment")


def document(row: sqlite3.Row) -> dict[str, Any]:
    """A merge as the API shows it."""
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


def _restore(db: sqlite3.Connection, merge: sqlite3.Row) -> None:
    """Insert the younger contact again, and give each contact the names that it had and that no other has now."""
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
    db.execute(  # messages since the merge may be the other one's, and opened the wrong window
        "UPDATE contacts SET last_inbound_at = ? WHERE id = ? AND last_inbound_at <= ?",
        (kept["last_inbound_at"], keep, merge["asked_at"]),
    )


def _say_what_is_asked(db: sqlite3.Connection, contact_id: int) -> int | None:
    """Let all that the open reply of a contact is to answer name it; the reply's id. None runs."""
    reply = db.execute(
        f"SELECT id, since FROM jobs WHERE contact_id = ? AND {indexes.JOINABLE}",
        (contact_id,),
    ).fetchone()
    if reply is None:
        return None
    db.execute(
        "UPDATE messages SET asked_by = ? WHERE contact_id = ? AND id >= ? AND direction = 'in' AND asked_by IS NULL",
        (reply["id"], contact_id, reply["since"]),
    )
    return int(reply["id"])


def _part_reply(db: sqlite3.Connection, reply: int, keep: int, gone: int) -> None:
    """Of two contacts that were one, each is answered what it asked: by this reply, or by one more like it."""
    first = "SELECT min(id) FROM messages WHERE asked_by = ? AND asked_by IS NOT NULL AND contact_id = ?"
    (ours,) = db.execute(first, (reply, keep)).fetchone()
    (theirs,) = db.execute(first, (reply, gone)).fetchone()
    if theirs is None:
        return
    if ours is None:
        db.execute("UPDATE jobs SET contact_id = ? WHERE id = ?", (gone, reply))
        return
    another = db.execute(
        "INSERT INTO jobs (kind, contact_id, state, due_at, created_at, expires_at, since)"
        " SELECT kind, ?, state, due_at, created_at, expires_at, ? FROM jobs WHERE id = ?",
        (gone, theirs, reply),
    ).lastrowid
    db.execute(
        "UPDATE messages SET asked_by = ? WHERE asked_by = ? AND asked_by IS NOT NULL AND contact_id = ?",
        (another, reply, gone),
    )
