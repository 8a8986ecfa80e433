"""deploy/backup.sh, which the timer runs: with real journals."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.business import ANA
from tests.process import ROOT, environment, world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="for servers")


def back_up(data: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    env = environment(WABOT_SERVER__DATA_DIR=str(data), WABOT_PYTHON=sys.executable)
    script = ROOT / "deploy" / "backup.sh"
    return subprocess.run([script, folder, *more], env=env, capture_output=True, text=True, check=False)


def empty_journal(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "wabot.db")) as db:
        db.executescript((ROOT / "wabot" / "journal" / "schema.sql").read_text("utf-8"))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def test_every_accounts_journal_is_copied_while_wabot_runs_with_what_belongs_to_it(tmp_path: Path) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    async with world(tmp_path) as w:
        await w.start()
        assert (await w.meta.say("Hello", from_=ANA))[1] == 200
        (data / "api-key").write_text("made by the first start")
        (data / "wabot.db.salt").write_bytes(b"salt")
        shop = data / "accounts" / "shop"
        shop.mkdir(parents=True)
        empty_journal(shop)

        done = back_up(data, backups)

        assert done.returncode == 0, done.stderr
        (made,) = backups.iterdir()
        assert done.stdout == f"{made}\n"
        assert files(made) == {"wabot.db", "wabot.db.salt", "api-key", "accounts/shop/wabot.db"}
        with closing(sqlite3.connect(made / "wabot.db")) as db:
            assert db.execute("SELECT count(*) FROM messages").fetchone()[0] >= 1
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made.rglob("*")} == {0}


def test_the_newest_copies_stay_and_what_broke_off_goes(tmp_path: Path) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    data.mkdir()
    empty_journal(data)
    for name in ("20250101-000000", "20250102-000000", "20250103-000000", "20250104-000000.unfinished", "mine"):
        (backups / name).mkdir(parents=True)

    done = back_up(data, backups, "3")

    assert done.returncode == 0, done.stderr
    kept = sorted(path.name for path in backups.iterdir())
    assert (kept[:2], kept[3:]) == (["20250102-000000", "20250103-000000"], ["mine"])


@pytest.mark.parametrize("arguments", [[], [""], ["backups", "0"], ["backups", "some"], ["backups", "-1"]])
def test_what_would_keep_no_copies_or_all_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "backups" / "20250101-000000").mkdir(parents=True)
    empty_journal(tmp_path)
    env = environment(WABOT_SERVER__DATA_DIR=str(tmp_path), WABOT_PYTHON=sys.executable)
    script = ROOT / "deploy" / "backup.sh"

    done = subprocess.run([script, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: backup.sh FOLDER [KEEP]")
    assert files(tmp_path) == {"wabot.db"}
    assert (tmp_path / "backups" / "20250101-000000").is_dir()


def test_a_backup_that_fails_says_so_and_leaves_the_earlier_ones(tmp_path: Path) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    (backups / "20250101-000000").mkdir(parents=True)
    data.mkdir()

    nothing = back_up(data, backups, "1")
    (data / "wabot.db").write_text("no journal")
    broken = back_up(data, backups, "1")

    assert (nothing.returncode, nothing.stderr) == (1, f"there is no journal in {data}\n")
    assert broken.returncode != 0
    assert "could not be copied" in broken.stderr
    assert (backups / "20250101-000000").is_dir()
    assert os.listdir(data) == ["wabot.db"]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    found = subprocess.run(["shellcheck", ROOT / "deploy" / "backup.sh"], capture_output=True, text=True, check=False)

    assert found.stdout == ""
