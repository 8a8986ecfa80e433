"""A journal that can be written but, for a while, not read: what was acknowledged is answered when it can."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, Business, business
from tests.process import eventually
from wabot.journal import transcripts


@dataclass
class Disk:
    """Reading a conversation fails while it is `broken`."""

    broken: bool = True
    reads: int = 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk, genuine = Disk(), transcripts.talk

    def talk(*args: Any, **bounds: Any) -> transcripts.Transcript:
        if disk.broken:
            disk.reads += 1
            raise sqlite3.OperationalError("disk I/O error")
        return genuine(*args, **bounds)

    monkeypatch.setattr(transcripts, "talk", talk)
    return disk


async def replies(wabot: Business) -> list[dict[str, Any]]:
    path = wabot.settings.server.data_dir / "wabot.db"
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT state, spent FROM jobs WHERE kind = 'reply'")]


async def test_a_conversation_that_cannot_be_read_is_answered_once_it_can(tmp_path: Path, disk: Disk) -> None:
    async with business(tmp_path) as wabot:
        assert (await wabot.meta.say("Hi", from_=ANA))[1] == 200
        await eventually(lambda: disk.reads >= 2)
        assert wabot.meta.sent == []
        disk.broken = False
        await wabot.meta.until(lambda meta: len(meta.sent) == 1)
        assert await replies(wabot) == [{"state": "done", "spent": 1}], "only the success is a try"


async def test_it_is_answered_after_a_restart_too(tmp_path: Path, disk: Disk) -> None:
    async with business(tmp_path) as wabot:
        assert (await wabot.meta.say("Hi", from_=ANA))[1] == 200
        await eventually(lambda: disk.reads >= 1)
    disk.broken = False
    async with business(tmp_path, meta=wabot.meta) as again:
        await again.meta.until(lambda meta: len(meta.sent) == 1)
        assert [row["state"] for row in await replies(again)] == ["done"]
