"""What every test of the HTTP surface holds: whatever a caller does, nothing here breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.business import EVA, Business, business
from wabot.sandbox.behaviour import error


@pytest.fixture(autouse=True)
def _nothing_broke(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    lines = capsys.readouterr().out
    assert "Traceback" not in lines, lines
    assert " error " not in lines, lines


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Business]:
    """wabot; what it sends to EVA stays in the outbox."""
    later = {"backoff_base_seconds": 60, "backoff_max_seconds": 60}
    async with business(tmp_path / "data", delivery=later) as b:
        b.meta.behaviour.always(EVA, error(131016))
        yield b
