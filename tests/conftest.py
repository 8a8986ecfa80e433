"""What every test may use: `wabot`, the whole service at work (see tests/business.py)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.business import Business, business
from tests.mongo_fixtures import database, mongo_uri
from wabot import log

__all__ = ["database", "mongo_uri"]

hypothesis.settings.register_profile("beside others", deadline=None)
hypothesis.settings.load_profile("beside others")  # an example's time on the wall says nothing on a shared machine


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two for each core (`-n auto`): half of the tests wait for a process, a timer or a disk."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture
def capsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.CaptureFixture[str]]:
    """pytest's own, but it also reads the lines of the log that wait for the end of the event loop's turn."""
    read = capsys.readouterr

    def read_all() -> Any:
        log.flush()
        return read()

    monkeypatch.setattr(capsys, "readouterr", read_all)
    yield capsys
    log.flush()  # else they would be in the next test's output


@pytest.fixture
async def wabot(tmp_path: Path) -> AsyncIterator[Business]:
    """wabot with the settings of a test, and Meta."""
    async with business(tmp_path / "data") as running:
        yield running
