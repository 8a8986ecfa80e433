"""media.keep: what came in is kept, whoever answers it or nobody, until its sender is forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.business import ANA, BEN, EVA, Business, business
from tests.process import eventually
from wabot.core.exceptions import JournalDown, MediumMissing, Missing
from wabot.core.media import Medium, ToKeep
from wabot.sandbox import payloads
from wabot.work import media_keeper
from wabot.work.attachments import Located, Room
from wabot.work.media_keeper import MediaKeeper

KEEP = {"media": {"keep": True}}
PICTURE = Medium("75", "image", "image/png")


def kept(data_dir: Path) -> set[bytes]:
    return {file.read_bytes() for file in (data_dir / "media").glob("*")}


async def test_all_that_came_in_is_kept_whoever_answers_it_or_nobody(tmp_path: Path) -> None:
    async with business(tmp_path, **KEEP) as b:
        await b.meta.say("Hi", from_=ANA)
        await b.post(f"/contacts/{ANA}/pause", {"hours": None})
        await b.post(f"/contacts/{BEN}/opt-out")
        files = {f"{number}".encode(): number for number in range(15)}
        for content, number in files.items():
            await b.meta.say(payloads.image(), from_=(ANA, BEN, EVA)[number % 3], content=content)
        await eventually(lambda: kept(tmp_path) == set(files))
        (one, *_) = (tmp_path / "media").iterdir()
        assert (one.suffix, one.stat().st_mode & 0o777) == (".jpg", 0o600)


async def test_who_becomes_part_of_another_contact_keeps_their_files_and_takes_them_along(tmp_path: Path) -> None:
    async with business(tmp_path, **KEEP) as b:
        await b.post("/initiate-bulk", {"numbers": [ANA]})
        await b.meta.say(payloads.image(), user_id="IN.1", content=b"jpeg")
        await eventually(lambda: kept(tmp_path) == {b"jpeg"})
        await b.meta.say("It is me", from_=ANA, user_id="IN.1")
        await eventually(lambda: merged(b))
    async with business(tmp_path, meta=b.meta, **KEEP) as b:
        await asyncio.sleep(0.1)
        assert kept(tmp_path) == {b"jpeg"}, "a start drops nothing of theirs"
        assert (await b.ask("DELETE", f"/contacts/{ANA}")).json["media"] == 1
        assert kept(tmp_path) == set()


async def merged(b: Business) -> bool:
    return bool((await b.get("/merges")).json["merges"])


async def test_a_person_who_is_forgotten_takes_their_files_along(tmp_path: Path) -> None:
    async with business(tmp_path, **KEEP) as b:
        await b.meta.say(payloads.video(), from_=ANA, content=b"mp4")
        await b.meta.say(payloads.image(), from_=BEN, content=b"jpeg")
        await eventually(lambda: kept(tmp_path) == {b"mp4", b"jpeg"})
        assert (await b.ask("DELETE", f"/contacts/{ANA}")).json["media"] == 1
        assert kept(tmp_path) == {b"jpeg"}


async def test_what_cannot_be_had_keeps_nothing_else_from_being_kept(tmp_path: Path) -> None:
    async with business(tmp_path, **KEEP) as b:
        gone = payloads.image()
        b.meta.media.lose(gone["image"]["id"])
        await b.meta.say(gone, from_=ANA)
        await b.meta.say(payloads.image(), from_=ANA, content=b"jpeg")
        await eventually(lambda: kept(tmp_path) == {b"jpeg"})


async def test_a_restart_goes_on_where_it_was_and_drops_the_files_of_nobody(tmp_path: Path) -> None:
    async with business(tmp_path, **KEEP) as b:
        await b.meta.say(payloads.video(), from_=ANA, content=b"mp4")
        await eventually(lambda: kept(tmp_path) == {b"mp4"})
    async with business(tmp_path, meta=b.meta) as b:  # meanwhile nothing is kept
        await b.meta.say(payloads.image(), from_=ANA, content=b"jpeg")
    for stray in ("77-1.jpg", ".1-2.jpg.part"):
        (tmp_path / "media" / stray).write_bytes(b"of somebody who was forgotten")
    (tmp_path / "media" / "notes.txt").write_bytes(b"not ours")
    async with business(tmp_path, meta=b.meta, **KEEP):
        await eventually(lambda: kept(tmp_path) == {b"mp4", b"jpeg", b"not ours"})


async def test_files_of_nobody_go_also_when_nothing_is_kept_any_more(tmp_path: Path) -> None:
    async with business(tmp_path, **KEEP) as b:
        await b.meta.say(payloads.video(), from_=ANA, content=b"mp4")
        await eventually(lambda: kept(tmp_path) == {b"mp4"})
    (tmp_path / "media" / "77-1.jpg").write_bytes(b"of somebody who was forgotten")
    async with business(tmp_path, meta=b.meta):
        assert kept(tmp_path) == {b"mp4"}


class Library:
    """Meta, which fails as told before it hands out a picture."""

    def __init__(self, *failures: Missing) -> None:
        self.failures = list(failures)

    async def look_up(self, medium: Medium) -> Located:
        if self.failures:
            raise MediumMissing("not now", self.failures.pop(0))
        return Located("https://there", 3, "")

    async def download(self, located: Located, largest: int) -> bytes:
        return b"png"


class Messages:
    """A journal with one message that has a picture; it fails `failures` times first."""

    changes = 0

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.there, self.upto = failures, True, 0
        self.done = asyncio.Event()

    async def begin_to_keep_media(self) -> None:
        if self.failures:
            self.failures -= 1
            raise JournalDown("disk full")

    async def media_to_keep(self, now: float) -> ToKeep:
        return ToKeep([(7, 1, PICTURE)], 7, more=False)

    async def media_are_kept(self, upto: int) -> None:
        self.upto = upto
        self.done.set()

    async def has_message(self, message_id: int) -> bool:
        return self.there

    async def changed(self, since: int, seconds: float) -> None:
        await asyncio.Event().wait()


class Folder:
    """Files in memory; the disk is full `failures` times first."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.files = failures, dict[str, bytes]()

    def has(self, contact_id: int, medium: Medium) -> bool:
        return medium.id in self.files

    def keep(self, contact_id: int, medium: Medium, content: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        self.files[medium.id] = content

    def drop(self, contact_id: int, medium: Medium) -> None:
        del self.files[medium.id]


async def after_one_page(library: Library, journal: Messages, folder: Folder) -> dict[str, bytes]:
    keeper = MediaKeeper(journal, library, Room(), folder, largest=10, clock=lambda: 0.0)
    running = asyncio.create_task(keeper.run())
    await asyncio.wait_for(journal.done.wait(), 10)
    running.cancel()
    assert journal.upto == 7
    return folder.files


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_keeper, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(media_keeper, "OUTAGE_SECONDS", 0.0)
    monkeypatch.setattr(media_keeper, "OUTAGE_TRIES", 25)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("failures", "found"),
    [
        ([Missing.LATER] * 2, True),
        ([Missing.LATER] * 3, False),
        ([Missing.OUTAGE] * 20 + [Missing.LATER] * 2, True),
        ([Missing.GONE], False),
        ([Missing.OUTAGE] * 30, False),
    ],
)
async def test_how_often_it_is_tried(failures: list[Missing], found: bool) -> None:
    assert await after_one_page(Library(*failures), Messages(), Folder()) == ({"75": b"png"} if found else {})


@pytest.mark.usefixtures("no_pauses")
async def test_a_journal_that_is_down_and_a_full_disk_are_waited_for() -> None:
    assert await after_one_page(Library(), Messages(failures=3), Folder(failures=3)) == {"75": b"png"}


@pytest.mark.usefixtures("no_pauses")
async def test_whose_message_is_gone_by_then_has_no_file() -> None:
    journal = Messages()
    journal.there = False
    assert await after_one_page(Library(), journal, Folder()) == {}
