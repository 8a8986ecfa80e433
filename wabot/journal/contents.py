"""What many get alike is stored once: the content of bulk messages, found by its hash.

A message that has its content here keeps the head of it (type and template, without parameters) as its own `raw`.
What is short stands in each message whole, and here only until it is queued.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from wabot.core.outgoing import Outgoing

SHORT = 1024
"""Characters up to which a content is no longer than what pointing to it would cost to look up."""
BODY = 1024
"""Characters of a bulk message that stand in each recipient's row: as many as the body of a template can have.
https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/components"""


def store(db: sqlite3.Connection, messages: Iterable[Outgoing]) -> dict[int, int]:
    """The ids of contents, by the `id()` of the message; what is there already is not stored again."""
    distinct = {id(outgoing): outgoing for outgoing in messages}
    return {key: _store(db, outgoing) for key, outgoing in distinct.items()}


def drop_unused(db: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Forget those of these contents that no message and no recipient needs any more."""
    db.executemany(
        "DELETE FROM contents WHERE id = ?"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE content_id = contents.id AND content_id IS NOT NULL)"
        " AND NOT EXISTS (SELECT 1 FROM recipients WHERE content_id = contents.id AND content_id IS NOT NULL)",
        [(content_id,) for content_id in ids],
    )


def _store(db: sqlite3.Connection, outgoing: Outgoing) -> int:
    raw = json.dumps(outgoing.content, ensure_ascii=False)
    digest = hashlib.sha256(f"{outgoing.body}\0{raw}".encode()).digest()
    known = db.execute("SELECT id FROM contents WHERE hash = ?", (digest,)).fetchone()
    if known:
        return int(known["id"])
    body = outgoing.body if len(outgoing.body) <= BODY else outgoing.body[: BODY - 1] + "…"
    head = json.dumps(_head(outgoing.content), ensure_ascii=False) if len(raw) > SHORT else None
    kind = str(outgoing.content.get("type", ""))
    row = db.execute(
        "INSERT INTO contents (hash, type, body, head, raw) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (digest, kind, body, head, raw),
    ).fetchall()
    return int(row[0]["id"])


def _head(content: Mapping[str, Any]) -> dict[str, Any]:
    """A content without what makes it long: who asks which template a message uses needs no more."""
    template = content.get("template")
    if not isinstance(template, Mapping):
        return {"type": content.get("type")}
    return {"type": content.get("type"), "template": {k: v for k, v in template.items() if k != "components"}}
