"""The talk with a contact, read from outside, also while a running wabot writes the journal: nothing is changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from wabot.core.conversation import Said
from wabot.core.messages import Contact
from wabot.journal import transcripts
from wabot.journal.connections import open_file
from wabot.journal.journal import FILE_NAME

NOBODY = Contact(0)


def talk_so_far(data_dir: Path, identity: str, *, limit: int, oldest: float) -> tuple[Contact, list[Said]]:
    """The contact of a number (digits) or BSUID, and what a reply would continue if they wrote now, oldest first.

    `limit`, `oldest`: as a reply has them. NOBODY and no messages where nobody is known by it.
    """
    path = data_dir.absolute() / FILE_NAME
    if not path.exists():
        return NOBODY, []
    with closing(open_file(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return transcripts.next_talk(db, identity, limit=limit, oldest=oldest) or (NOBODY, [])
