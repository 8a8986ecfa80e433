"""`run.py restore FILE`: a checked copy in the journal's place, and what was there beside it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.journal.scene import ANA, BEN, POLICY, RULES, Scene, said
from wabot.journal import backup
from wabot.journal.journal import FILE_NAME, open_journal
from wabot.journal.opening import VERSION
from wabot.journal.restore import RestoreFailed, put_in_place


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """Of a journal with two messages, which is closed. `copy.db` beside it was made between the two."""
    folder = tmp_path / "data"
    scene = Scene(folder, await open_journal(folder, rules=RULES, policy=POLICY))
    await scene.hear(said("wamid.before", ANA))
    backup.copy(folder, tmp_path / "copy.db")
    await scene.hear(said("wamid.after", BEN))
    await scene.journal.close()
    return folder


@pytest.fixture
def copy(data_dir: Path) -> Path:
    return data_dir.with_name("copy.db")


def wamids(journal: Path) -> list[str]:
    with closing(sqlite3.connect(journal)) as db:
        return [row[0] for row in db.execute("SELECT wamid FROM messages ORDER BY id")]


def marked(journal: Path) -> bool:
    with closing(sqlite3.connect(journal)) as db:
        return db.execute("SELECT 1 FROM meta WHERE key = 'copied'").fetchone() is not None


async def test_the_copy_is_the_journal_and_what_was_there_is_kept(data_dir: Path, copy: Path) -> None:
    journal = data_dir / FILE_NAME
    for suffix in ("-wal", "-shm"):
        journal.with_name(journal.name + suffix).write_bytes(b"of the old one")
    aside = put_in_place(copy, data_dir)
    assert aside is not None
    assert (wamids(journal), wamids(aside)) == (["wamid.before"], ["wamid.before", "wamid.after"])
    assert marked(journal), "so that the next start says nothing again"
    assert journal.stat().st_mode & 0o777 == 0o600
    assert wamids(copy) == ["wamid.before"], "it can be restored once more"


async def test_where_there_was_none_nothing_is_set_aside(copy: Path, tmp_path: Path) -> None:
    assert put_in_place(copy, tmp_path / "new") is None
    assert wamids(tmp_path / "new" / FILE_NAME) == ["wamid.before"]


async def test_one_that_was_copied_by_hand_is_marked_too(data_dir: Path, copy: Path, tmp_path: Path) -> None:
    by_hand = tmp_path / "by-hand.db"
    by_hand.write_bytes((data_dir / FILE_NAME).read_bytes())
    put_in_place(by_hand, data_dir)
    assert marked(data_dir / FILE_NAME)


async def test_while_wabot_runs_nothing_is_changed(scene: Scene, tmp_path: Path) -> None:
    await scene.hear(said("wamid.before", ANA))
    made = backup.copy(scene.data_dir, tmp_path / "copy.db")
    with pytest.raises(RestoreFailed, match=r"wabot is running .* stop it first"):
        put_in_place(made, scene.data_dir)
    assert sorted(path.name for path in scene.data_dir.glob("*restored*")) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b"not a database, for sure. " * 400), "cannot be read as a journal"),
        (lambda path: path.unlink(), r"there is no file /.+copy\.db: name one"),
        (lambda path: pragma(path, "application_id = 1"), "is no journal of wabot"),
        (lambda path: pragma(path, f"user_version = {VERSION + 1}"), "newer wabot"),
    ],
)
async def test_what_is_no_sound_backup_is_refused(data_dir: Path, copy: Path, spoil: object, says: str) -> None:
    spoil(copy)  # type: ignore[operator]
    with pytest.raises(RestoreFailed, match=says):
        put_in_place(copy, data_dir)
    assert wamids(data_dir / FILE_NAME) == ["wamid.before", "wamid.after"]


def pragma(path: Path, what: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA {what}")
        db.commit()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can restore for somebody else")
async def test_as_root_the_owner_of_the_directory_gets_the_files(data_dir: Path, copy: Path) -> None:
    os.chown(data_dir, 12345, 12345)
    put_in_place(copy, data_dir)
    owners = {path.name: path.stat().st_uid for path in data_dir.glob(f"{FILE_NAME}*")}
    assert owners[FILE_NAME] == owners[f"{FILE_NAME}.lock"] == 12345
