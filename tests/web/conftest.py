"""What every test of the HTTP surface holds: whatever a caller does, nothing here breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _nothing_broke(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    lines = capsys.readouterr().out
    assert "Traceback" not in lines, lines
    assert " error " not in lines, lines
