"""A release: the version stands in wabot/__init__.py, its notes in CHANGELOG.md, and a tag has both."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.process import ROOT
from wabot import __version__

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("make", "git"))), reason="a release needs both")

CHANGELOG = f"""# Changelog

## Unreleased

- Later.

## {__version__} (2026-12-01)

- **Nothing is lost.** A reason.
  Another line.

## 0.0.1 (2026-01-01)

- Earlier.
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    who = {f"GIT_{role}_{what}": "tests" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **who}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "wabot").mkdir()
    for name in ("Makefile", "wabot/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, "utf-8")
    for command in (["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-q", "-m", "All"]):
        assert run(tmp_path, *command).returncode == 0
    return tmp_path


def test_a_tag_is_named_for_the_version_and_has_its_notes(project: Path) -> None:
    done = run(project, "make", "-s", "tag")

    assert done.returncode == 0, done.stderr
    said = run(project, "git", "tag", "-l", "--format=%(contents)", f"v{__version__}").stdout
    assert said.strip() == "- **Nothing is lost.** A reason.\n  Another line."


def test_a_version_without_notes_is_not_tagged(project: Path) -> None:
    (project / "CHANGELOG.md").write_text(CHANGELOG.replace(f"## {__version__} ", "## 9.9.9 "), "utf-8")

    done = run(project, "make", "-s", "tag")

    assert done.returncode != 0
    assert f'no section "## {__version__}"' in done.stderr
    assert run(project, "git", "tag").stdout == ""


def test_the_changelog_has_titles_that_a_release_finds() -> None:
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert titles[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", title) for title in titles[1:])
