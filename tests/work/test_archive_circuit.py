"""The circuit breaker around the archive."""

from __future__ import annotations

import pytest

from tests.fakes import MemoryArchive
from wabot.core.exceptions import ArchiveDown
from wabot.work.archive_circuit import Circuit, Guarded

ANA = ["919216598210"]


async def test_one_failure_spares_the_archive_all_later_questions(capsys: pytest.CaptureFixture[str]) -> None:
    archive, circuit = MemoryArchive(), Circuit()
    guarded = Guarded(archive, circuit)
    archive.down = True
    for _ in range(5):
        with pytest.raises(ArchiveDown):
            await guarded.history([], None, 0, ())
        with pytest.raises(ArchiveDown):
            await guarded.recent(ANA, "j-1", 5)
    assert archive.asked == 1
    assert circuit.works is False
    assert capsys.readouterr().out.count("archive.lost") == 1


async def test_while_it_is_closed_every_question_is_put() -> None:
    archive, circuit = MemoryArchive(), Circuit()
    guarded = Guarded(archive, circuit)
    assert await guarded.history([], None, 0, ()) == []
    circuit.close()
    assert await guarded.recent(ANA, "j-1", 5) == []
    assert archive.asked == 2


async def test_questions_do_not_close_it_but_the_recorder_does(capsys: pytest.CaptureFixture[str]) -> None:
    archive, circuit = MemoryArchive(), Circuit()
    guarded = Guarded(archive, circuit)
    circuit.open("no answer")
    with pytest.raises(ArchiveDown):
        await guarded.recent(ANA, "j-1", 5)
    circuit.close()
    assert await guarded.recent(ANA, "j-1", 5) == []
    assert capsys.readouterr().out.count("archive.found") == 1
