"""Timers that nobody waits for."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quick_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubts end when they are over, not up to a second later. For wabot in this process; others have their own."""
    monkeypatch.setattr("wabot.work.timers.TEND_SECONDS", 0.05)
