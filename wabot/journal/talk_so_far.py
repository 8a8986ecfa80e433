"""The talk with a contact, read from outside, also while a running wabot writes the journal: nothing is changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from wabot.core.conversation import Said
from wabot.core.messages import Contact
from wabot.core.outgoing import Origin
from wabot.journal import history
from wabot.journal.connections import open_file
from wabot.journal.journal import FILE_NAME

NOBODY = Contact(0)


def talk_so_far(data_dir: Path, identity: str, limit: int) -> tuple[Contact, list[Said]]:
    """The contact of a number (digits) or BSUID, and their `limit` newest messages, oldest first.

    NOBODY and no messages where nobody is known by it.
    """
    path = data_dir.absolute() / FILE_NAME
    if not path.exists():
        return NOBODY, []
    with closing(open_file(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        page = history.of_contact(db, identity, limit, include=())
        return page.contact or NOBODY, [Said(Origin(one["origin"]), one["body"]) for one in reversed(page.messages)]
