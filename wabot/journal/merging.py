"""Merges contacts that are one person: names and wishes at once, messages and queues as soon as they can be.

They cannot be while both contacts have a send, or both a reply, in flight: joining the queues then would break the
order. The merge waits for the commit that ends one of the two. Every merge is stored with what it moved, so that it can
be undone (see merge_undo.py). Two contacts whose merge was undone are never merged automatically again.
"""

from __future__ import annotations

import json
import sqlite3

from wabot.core.jobs import Event, State
from wabot.journal import indexes, opt_outs, transitions
from wabot.journal.transitions import apply_event, promote, promote_reply
from wabot.log import get_logger

log = get_logger()

_SENDING = f"EXISTS (SELECT 1 FROM jobs WHERE {indexes.HEAD_IN_FLIGHT} AND contact_id = merges.{{}})"
_ANSWERING = f"EXISTS (SELECT 1 FROM jobs WHERE {indexes.ANSWERING} AND contact_id = merges.{{}})"
_BOTH_BUSY = "({})".format(
    " OR ".join(f"({busy.format('keep')} AND {busy.format('gone')})" for busy in (_SENDING, _ANSWERING))
)
"""Whether both halves of a row of `merges` have a send in flight, or both a reply."""


def unite(db: sqlite3.Connection, one: int, other: int, now: float, why: str) -> int:
    """Merge two contacts: the older gets names and wishes now, messages and queue as soon as possible; its id.

    Until then both have the same number and BSUID, so that what is queued for the younger reaches the person.
    """
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
    for waiting in opt_outs.everyone(db, keep)[1:]:  # `gone`, and those that wait to be merged into either
        db.execute(
            "UPDATE contacts SET wa_id = k.wa_id, bsuid = k.bsuid, last_inbound_at = k.last_inbound_at"
            " FROM contacts k WHERE contacts.id = ? AND k.id = ?",
            (waiting, keep),
        )
        opt_outs.share(db, keep, waiting)
        share_pause(db, keep, waiting)
    _join(db, int(merge_id or 0), keep, gone, now)
    return keep


def share_pause(db: sqlite3.Connection, one: int, other: int) -> None:
    """Two contacts are one person: where a person answers either, or is needed, that holds for both."""
    for giver, taker in ((one, other), (other, one)):
        db.execute(
            "UPDATE contacts SET silent_upto = max(contacts.silent_upto, g.silent_upto),"
            " paused_reason = iif(g.paused_until > coalesce(contacts.paused_until, 0), g.paused_reason,"
            " contacts.paused_reason), paused_until = nullif(max(coalesce(contacts.paused_until, 0),"
            " coalesce(g.paused_until, 0)), 0), attention_at = coalesce(contacts.attention_at, g.attention_at),"
            " attention_reason = coalesce(contacts.attention_reason, g.attention_reason)"
            " FROM contacts g WHERE contacts.id = ? AND g.id = ?",
            (taker, giver),
        )


def finish(db: sqlite3.Connection, now: float, contact_id: int | None = None) -> int:
    """Finish the merges that wait (all, or a contact's), as far as possible now; how many.

    The query leaves out those that still must wait: there may be many, and this runs every second.
    """
    rows = db.execute(
        f"SELECT id, keep, gone FROM merges WHERE done_at IS NULL AND (:only IS NULL OR :only IN (keep, gone))"
        f" AND NOT {_BOTH_BUSY} LIMIT 500",
        {"only": contact_id},
    ).fetchall()
    return sum(_join(db, row["id"], row["keep"], row["gone"], now) for row in rows)


def parted(db: sqlite3.Connection, one: int, other: int) -> bool:
    """Whether a merge of these two was undone, or one of any contacts that were merged into them."""
    became = "SELECT m.gone FROM merges m JOIN {0} ON m.keep = {0}.id WHERE m.undone_at IS NULL"
    found = db.execute(
        f"WITH RECURSIVE a (id) AS (SELECT ? UNION {became.format('a')}),"
        f" b (id) AS (SELECT ? UNION {became.format('b')})"
        " SELECT 1 FROM a JOIN b JOIN merges m ON (m.gone, m.keep) = (max(a.id, b.id), min(a.id, b.id))"
        " WHERE m.undone_at IS NOT NULL LIMIT 1",
        (one, other),
    ).fetchone()
    return found is not None


def _picture(db: sqlite3.Connection, contact_id: int) -> str:
    """A contact's row as JSON."""
    return json.dumps(dict(db.execute("SELECT * FROM contacts WHERE id = ?", (contact_id,)).fetchone()))


def _join(db: sqlite3.Connection, merge_id: int, keep: int, gone: int, now: float) -> bool:
    """Join messages and queues, unless both have something in flight."""
    if db.execute(f"SELECT 1 FROM merges WHERE id = ? AND {_BOTH_BUSY}", (merge_id,)).fetchone():
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
    """Make the open sends of both fit into one queue with one head."""
    head = f"SELECT 1 FROM jobs WHERE contact_id = ? AND {indexes.HEAD}"
    if all(db.execute(head, (contact,)).fetchone() for contact in (keep, gone)):
        transitions.demote_heads(db, (keep, gone))


def _join_replies(db: sqlite3.Connection, keep: int, gone: int, now: float) -> None:
    """Make the open replies of both fit together: one that further bubbles join, behind the one that runs if any."""
    _say_who_answers(db, keep, gone)
    joinable = f"contact_id = ? AND {indexes.JOINABLE}"
    spare = db.execute(f"SELECT id, state, since, expires_at FROM jobs WHERE {joinable}", (gone,)).fetchone()
    if spare is not None:
        joined = db.execute(
            f"UPDATE jobs SET since = min(since, ?), expires_at = max(expires_at, ?) WHERE {joinable} RETURNING id",
            (spare["since"], spare["expires_at"], keep),
        ).fetchall()
        for (job_id,) in joined:
            hand_over(db, spare["id"], job_id)
            why = "error = 'joined the reply of the same person'"
            apply_event(db, spare["id"], State(spare["state"]), Event.CANCEL, now, also=why)
    running = f"SELECT 1 FROM jobs WHERE contact_id IN (?, ?) AND {indexes.ANSWERING}"
    if db.execute(running, (keep, gone)).fetchone():
        transitions.demote_replies(db, (keep, gone))


def hand_over(db: sqlite3.Connection, reply: int, to: int) -> None:
    """Let one reply answer the messages of another."""
    db.execute("UPDATE messages SET asked_by = ? WHERE asked_by = ? AND asked_by IS NOT NULL", (to, reply))


def _say_who_answers(db: sqlite3.Connection, keep: int, gone: int) -> None:
    """Store for every message since the first open reply which reply answers it; 0 if it was answered already.

    Within one contact the reply's first message is enough; in two conversations that become one, the ids are mixed.
    """
    replies = [
        row
        for unfinished in (indexes.JOINABLE, indexes.ANSWERING)
        for row in db.execute(
            f"SELECT id, contact_id, since FROM jobs WHERE contact_id IN (?, ?) AND {unfinished}",
            (keep, gone),
        ).fetchall()
    ]
    name = "UPDATE messages SET asked_by = ? WHERE contact_id = ? AND id >= ? AND direction = 'in' AND asked_by IS NULL"
    for row in replies:  # what waits before what runs: the latter ends where the former begins
        db.execute(name, (row["id"], row["contact_id"], row["since"]))
    if replies:
        first = min(row["since"] for row in replies)
        db.executemany(name, [(0, contact, first) for contact in (keep, gone)])
