"""The steps by which a person is erased from the journal; forgetting.py takes them in their order.

First, in one commit, nobody goes by their names any more: whoever writes from there is a new contact. What was owed to
them and what was said goes in bounded steps after that, then the contact. What is to be erased is stored, so that a
crash does not end it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wabot.journal import (
    batch_results,
    contacts,
    contents,
    event_queue,
    foreign_webhooks,
    forgotten,
    indexes,
    notices,
    opt_outs,
    owner_alerts,
)
from wabot.journal.transitions import SAYS_FORGOTTEN

STEP, JOBS_STEP = 200, 10
"""Messages and jobs that one commit deletes. The place of a job in its batch of up to 10 000 must be found."""
LOOKED_THROUGH = 200
"""Stored webhooks and notices that one commit looks through."""

_BEGUN = (
    "SELECT id FROM forgettings WHERE erased_at IS NULL AND EXISTS (SELECT 1 FROM json_each(names) WHERE value = ?)"
    " ORDER BY id DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Forgetting:
    """A person who is being forgotten: `names` are nobody else's, `keys` stand in our documents in the archive.

    `told`: what stands of them in documents about others: (the document's key, the words).
    """

    id: int
    names: tuple[str, ...]
    keys: tuple[str, ...]
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Erased:
    """How many messages and jobs the journal removed, and how many documents the archive; None: it has not yet.

    `media`: kept files that were deleted.

    `id`: of the forgetting; `known`: whether the journal knew the person.
    """

    id: int
    known: bool
    messages: int
    jobs: int
    archived: int | None
    media: int = 0


def begin(db: sqlite3.Connection, identity: str, salt: bytes, now: float) -> int:
    """End what is done for a person now, and let nobody go by their names; the id of the forgetting.

    If nobody goes by this name since it is being forgotten already, it is that one's.
    """
    known = contacts.find(db, identity)
    if known is None and (begun := db.execute(_BEGUN, (identity,)).fetchone()):
        return int(begun["id"])
    ids = opt_outs.everyone(db, known.id) if known else []
    names = {identity}
    for contact_id in ids:
        own = _names(db, contact_id)
        names |= own
        forgotten.remember_person(db, salt, contact_id, own)
    shared = [name for name in names if db.execute("SELECT 1 FROM passed_on WHERE value = ?", (name,)).fetchone()]
    lists = [json.dumps(value) for value in (sorted(names), sorted(shared), _with_merged(db, ids))]
    new = "INSERT INTO forgettings (known, names, shared, contacts) VALUES (?, ?, ?, ?)"
    forgetting = db.execute(new, (known is not None, *lists)).lastrowid or 0
    for contact_id in ids:
        for at_work in (indexes.HEAD, indexes.JOINABLE, indexes.ANSWERING):
            rows = db.execute(f"SELECT id FROM jobs WHERE contact_id = ? AND {at_work}", (contact_id,)).fetchall()
            _delete_jobs(db, forgetting, [row["id"] for row in rows], salt, now)
        db.execute("DELETE FROM identities WHERE contact_id = ?", (contact_id,))
        db.execute("UPDATE contacts SET alert_due = NULL, attention_at = NULL WHERE id = ?", (contact_id,))
    db.executemany("DELETE FROM passed_on WHERE value = ?", [(name,) for name in names])
    _leave_batches(db, names)
    return forgetting


def erase_some(db: sqlite3.Connection, forgetting: int, salt: bytes, now: float) -> bool:
    """Delete some of what was owed to a person, then of what was said; whether there was something left."""
    for contact_id in _list(db, forgetting, "contacts"):
        if event_queue.forget(db, contact_id, STEP):
            return True
        jobs = db.execute("SELECT id FROM jobs WHERE contact_id = ? LIMIT ?", (contact_id, JOBS_STEP)).fetchall()
        if jobs:
            _delete_jobs(db, forgetting, [row["id"] for row in jobs], salt, now)
            return True
        messages = db.execute(
            "SELECT id, wamid, shared_wamid, content_id FROM messages WHERE contact_id = ? LIMIT ?", (contact_id, STEP)
        ).fetchall()
        if messages:
            _delete_messages(db, forgetting, messages, salt, now)
            return True
    return False


def look_through(db: sqlite3.Connection, forgetting: int, after: tuple[int, int]) -> tuple[int, int] | None:
    """Remove a person from notices and stored webhooks with ids above `after`; where to go on, None at the end."""
    named = _any_of(_list(db, forgetting, "names"))
    last_notice = notices.forget(db, named, after[0], LOOKED_THROUGH)
    last_webhook = foreign_webhooks.leave_out(db, named, after[1], LOOKED_THROUGH)
    return (last_notice, last_webhook) if (last_notice, last_webhook) != after else None


def leave_results(db: sqlite3.Connection, forgetting: int, after: batch_results.Place) -> batch_results.Place | None:
    """Remove a person from results of batches; where to go on, None at the end."""
    return batch_results.forget(db, _list(db, forgetting, "names"), after)


def leave_alerts(db: sqlite3.Connection, forgetting: int, now: float) -> bool:
    """Remove a person from some of what the owner was told; whether there may be more."""
    gone = owner_alerts.forget(db, _list(db, forgetting, "contacts"), now)
    told = json.dumps([*_list(db, forgetting, "told"), *gone], ensure_ascii=False)
    db.execute("UPDATE forgettings SET told = ? WHERE id = ?", (told, forgetting))
    return len(gone) == owner_alerts.STEP


def contact_ids(db: sqlite3.Connection, forgetting: int) -> list[int]:
    """The contacts who are being forgotten, also those that were merged into them."""
    return [int(contact_id) for contact_id in _list(db, forgetting, "contacts")]


def count_media(db: sqlite3.Connection, forgetting: int, media: int) -> None:
    """So many kept files were deleted."""
    db.execute("UPDATE forgettings SET media = media + ? WHERE id = ?", (media, forgetting))


def end(db: sqlite3.Connection, forgetting: int) -> None:
    """Delete the contacts themselves; the merges in which they were cannot be undone any more."""
    for contact_id in _list(db, forgetting, "contacts"):
        db.execute("DELETE FROM merges WHERE keep = ?", (contact_id,))
        db.execute("DELETE FROM merges WHERE gone = ? AND undone_at IS NOT NULL", (contact_id,))
        db.execute("DELETE FROM wishes WHERE contact_id = ?", (contact_id,))
        db.execute("DELETE FROM contacts WHERE id = ?", (contact_id,))


def erased(db: sqlite3.Connection, forgetting: int, now: float, *, archive: bool) -> None:
    """The journal has forgotten a person. Without an archive that is all."""
    db.execute(
        "UPDATE forgettings SET erased_at = ?, archived = iif(?, archived, 0) WHERE id = ?", (now, archive, forgetting)
    )
    _drop_names(db, forgetting)


def archived(db: sqlite3.Connection, forgetting: int, documents: int) -> None:
    """The archive has forgotten a person, of whom it had so many documents."""
    db.execute("UPDATE forgettings SET archived = ? WHERE id = ?", (documents, forgetting))
    _drop_names(db, forgetting)


def unfinished(db: sqlite3.Connection) -> list[int]:
    """The forgettings that the journal has not finished."""
    return [row["id"] for row in db.execute("SELECT id FROM forgettings WHERE erased_at IS NULL").fetchall()]


def owed_by_archive(db: sqlite3.Connection) -> list[Forgetting]:
    """The people whom the journal has forgotten and the archive has not."""
    rows = db.execute(
        "SELECT *, (SELECT value FROM meta WHERE key = 'journal') AS journal FROM forgettings"
        " WHERE erased_at IS NOT NULL AND archived IS NULL"
    ).fetchall()
    return [
        Forgetting(
            row["id"],
            tuple(name for name in json.loads(row["names"]) if name not in json.loads(row["shared"])),
            tuple(f"{row['journal']}-{contact_id}" for contact_id in json.loads(row["contacts"])),
            tuple((f"{row['journal']}-{job_id}", words) for job_id, words in json.loads(row["told"])),
        )
        for row in rows
    ]


def being_forgotten(db: sqlite3.Connection) -> frozenset[str]:
    """The names of all who are being forgotten."""
    rows = db.execute("SELECT names FROM forgettings WHERE erased_at IS NULL OR archived IS NULL").fetchall()
    return frozenset(name for row in rows for name in json.loads(row["names"]))


def prune(db: sqlite3.Connection, *, before: float, limit: int) -> int:
    """Drop forgettings that were finished before a time; how many."""
    return db.execute(
        "DELETE FROM forgettings WHERE id IN"
        " (SELECT id FROM forgettings WHERE erased_at < ? AND archived IS NOT NULL LIMIT ?)",
        (before, limit),
    ).rowcount


def outcome(db: sqlite3.Connection, forgetting: int) -> Erased:
    """How much was removed so far."""
    row = db.execute(
        "SELECT id, known, messages, jobs, archived, media FROM forgettings WHERE id = ?", (forgetting,)
    ).fetchone()
    return Erased(row["id"], bool(row["known"]), row["messages"], row["jobs"], row["archived"], row["media"])


def _drop_names(db: sqlite3.Connection, forgetting: int) -> None:
    db.execute(
        "UPDATE forgettings SET names = '[]', shared = '[]', contacts = '[]', told = '[]'"
        " WHERE id = ? AND erased_at IS NOT NULL AND archived IS NOT NULL",
        (forgetting,),
    )


def _list(db: sqlite3.Connection, forgetting: int, column: str) -> list[Any]:
    (text,) = db.execute(f"SELECT {column} FROM forgettings WHERE id = ?", (forgetting,)).fetchone()
    return list(json.loads(text))


def _names(db: sqlite3.Connection, contact_id: int) -> set[str]:
    rows = db.execute("SELECT value FROM identities WHERE contact_id = ?", (contact_id,)).fetchall()
    row = db.execute("SELECT wa_id, bsuid FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    return {name for name in (*(row["value"] for row in rows), *row) if name}


def _with_merged(db: sqlite3.Connection, ids: Sequence[int]) -> list[int]:
    """These contacts and all that were ever merged into them, whose ids stand in the archive's documents."""
    found, new = set(ids), set(ids)
    while new:
        rows = db.execute(
            "SELECT gone FROM merges WHERE keep IN (SELECT value FROM json_each(?)) AND undone_at IS NULL",
            (json.dumps(sorted(new)),),
        ).fetchall()
        new = {row["gone"] for row in rows} - found
        found |= new
    return sorted(found)


def _delete_messages(
    db: sqlite3.Connection, forgetting: int, rows: Sequence[sqlite3.Row], salt: bytes, now: float
) -> None:
    wamids = [wamid for row in rows for wamid in (row["wamid"], row["shared_wamid"]) if wamid]
    forgotten.remember_messages(db, salt, wamids, now)
    db.executemany("DELETE FROM receipts WHERE wamid = ?", [(wamid,) for wamid in wamids])
    db.executemany("DELETE FROM messages WHERE id = ?", [(row["id"],) for row in rows])
    contents.drop_unused(db, {row["content_id"] for row in rows if row["content_id"] is not None})
    db.execute("UPDATE forgettings SET messages = messages + ? WHERE id = ?", (len(rows), forgetting))


def _delete_jobs(db: sqlite3.Connection, forgetting: int, ids: Iterable[int], salt: bytes, now: float) -> None:
    """Jobs go with the results of their batches. One that runs changes nothing any more when it is settled."""
    count = 0
    for job_id in ids:
        copies = db.execute("SELECT wamid FROM copies WHERE job_id = ?", (job_id,)).fetchall()
        forgotten.remember_messages(db, salt, [row["wamid"] for row in copies], now)
        gone = db.execute("DELETE FROM jobs WHERE id = ? RETURNING batch_id", (job_id,)).fetchall()
        for row in gone:
            db.execute(
                f"UPDATE recipients SET number = '', job_id = NULL, {SAYS_FORGOTTEN} WHERE batch_id = ? AND job_id = ?",
                (row["batch_id"], job_id),
            )
        count += len(gone)
    db.execute("UPDATE forgettings SET jobs = jobs + ? WHERE id = ?", (count, forgetting))


def _leave_batches(db: sqlite3.Connection, names: Iterable[str]) -> None:
    """Take a person out of the batches that are not queued to their end."""
    rows = db.execute(
        "SELECT r.batch_id, r.position, r.content_id FROM batches b JOIN recipients r ON r.batch_id = b.id"
        " WHERE b.next_position IS NOT NULL AND r.number IN (SELECT value FROM json_each(?))",
        (json.dumps(list(names)),),
    ).fetchall()
    db.executemany(
        f"UPDATE recipients SET number = '', content_id = NULL, {SAYS_FORGOTTEN} WHERE batch_id = ? AND position = ?",
        [(row["batch_id"], row["position"]) for row in rows],
    )
    contents.drop_unused(db, {row["content_id"] for row in rows if row["content_id"] is not None})


def _any_of(names: Sequence[str]) -> re.Pattern[str]:
    """Finds a name as a whole word; nothing, if there are no names any more."""
    return re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, names))})(?!\w)" if names else "(?!)")
