"""`scene`: an open journal with nothing in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journal.scene import POLICY, RULES, Scene
from wabot.journal.journal import open_journal


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A journal in a directory of its own. Close it with `scene.restart()` only: what is open at the end is closed."""
    data_dir = tmp_path / "data"
    scene = Scene(data_dir, await open_journal(data_dir, rules=RULES, policy=POLICY))
    scene.listen()
    yield scene
    await scene.journal.close()
