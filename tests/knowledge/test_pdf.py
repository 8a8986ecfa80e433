"""PDFs in the knowledge folder: their passages name the page, and a bad one costs a problem, never the service."""

from __future__ import annotations

import sys
import time
import zlib
from pathlib import Path

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from tests.business import business
from tests.knowledge.pdf import pdf
from tests.knowledge.test_briefing import AI, problems, told, until
from tests.stand_ins import OpenAIStandIn
from tests.test_assistant import answer, of
from wabot.knowledge import briefing, pdf_text
from wabot.knowledge.files import Files
from wabot.knowledge.search import Index


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(briefing, "LOOK_SECONDS", 0.05)


async def test_a_pdf_is_known_with_its_pages_and_a_broken_one_stops_nothing(
    tmp_path: Path, aiohttp_server: AiohttpServer
) -> None:
    model, facts = OpenAIStandIn(), tmp_path / "facts"
    facts.mkdir()
    (facts / "Prices.PDF").write_bytes(pdf("A tulip is three euros.", "A rose is five euros."))
    (facts / "scan.pdf").write_bytes(pdf("", ""))
    (facts / "broken.pdf").write_bytes(b"%PDF-1.4\n\x00\xff nothing of a PDF")
    chosen = await of(aiohttp_server, model, knowledge_dir=facts)
    async with business(tmp_path / "data", assistant=chosen, first_contact=AI) as b:
        await answer(b, "Hello")
        assert "## Prices.PDF\n\n# Page 1\n\nA tulip is three euros.\n\n# Page 2\n\nA rose is" in told(model)
        await until(lambda: problems(b))
        (what,) = await problems(b)
        assert "scan.pdf: It has no text, as a scanned document: run text recognition" in what
        assert "broken.pdf: It is broken, or no PDF" in what
        (facts / "broken.pdf").unlink()
        (facts / "scan.pdf").write_bytes(pdf("Now with text."))

        async def is_well() -> bool:
            return not await problems(b)

        await until(is_well)
        await answer(b, "And now?")
        assert "Now with text." in told(model)


def test_a_passage_of_a_pdf_names_file_and_page(tmp_path: Path) -> None:
    (tmp_path / "prices.pdf").write_bytes(pdf("A tulip is three euros.", "# Roses are five euros."))
    index = Index(Files(None, tmp_path).texts().knowledge)
    (found,) = index.best(["How much are roses?"], 1000)
    assert (found.file, found.heading, found.text) == ("prices.pdf", "Page 2", "Roses are five euros.")


def test_a_bad_pdf_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.pdf").write_bytes(pdf(""))
    files = Files(None, tmp_path)
    monkeypatch.setattr("wabot.knowledge.files.read_pdf", lambda path: pytest.fail(f"{path} is read again"))
    (fault,) = files.look()
    assert "bad.pdf" in str(fault.filename)
    monkeypatch.undo()
    (tmp_path / "bad.pdf").write_bytes(pdf("Good now."))
    assert files.look() == []
    assert files.texts().knowledge["bad.pdf"] == "# Page 1\n\nGood now."


@pytest.mark.parametrize(
    ("limit", "value", "reason"), [("SECONDS", 0.001, "cannot be read within"), ("LARGEST", 100, "larger than")]
)
def test_a_pdf_that_takes_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, reason: str
) -> None:
    (tmp_path / "large.pdf").write_bytes(pdf("text"))
    monkeypatch.setattr(pdf_text, limit, value)
    with pytest.raises(OSError, match=reason):
        pdf_text.read_pdf(tmp_path / "large.pdf")


def test_a_stream_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    packer = zlib.compressobj(1)
    packed = b"".join([*(packer.compress(b" " * (1 << 20)) for _ in range(400)), packer.flush()])
    plain = b"<< /Length 35 >>\nstream\nBT /F1 12 Tf 72 720 Td (text) Tj ET"
    assert plain in pdf("text")
    head = b"<< /Filter /FlateDecode /Length %d >>\nstream\n" % len(packed)
    (tmp_path / "bomb.pdf").write_bytes(pdf("text").replace(plain, head + packed))
    with pytest.raises(OSError, match="It "):
        pdf_text.read_pdf(tmp_path / "bomb.pdf")


def test_a_pdf_of_many_pages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long.pdf").write_bytes(pdf(*["page"] * (pdf_text.PAGES + 1)))
    started = time.monotonic()
    with pytest.raises(OSError, match="more than 500 pages"):
        pdf_text.read_pdf(tmp_path / "long.pdf")
    assert time.monotonic() - started < pdf_text.SECONDS


def test_the_service_never_loads_the_library(tmp_path: Path) -> None:
    (tmp_path / "some.pdf").write_bytes(pdf("text"))
    Files(None, tmp_path)
    assert "pypdf" not in sys.modules
