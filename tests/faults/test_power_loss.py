"""The power fails: whatever was acknowledged is there, at every moment at which it may happen.

A process writes to the journal under a recorder of writes, syncs and acknowledgements (recorder.c). At each cut point
an image is made of what a disk may hold then: all that was synced, and of the rest nothing, or a random half of its
4-KiB units. The image must open soundly and hold every message that had been acknowledged. A killed process cannot
show this: the kernel keeps what it was given. `test_it_sees_...` shows that the check can fail.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.process import environment
from wabot.core.jobs import Policy
from wabot.journal.accept import Rules
from wabot.journal.journal import open_journal

HERE = Path(__file__).resolve().parent
HEADER = struct.Struct("<BB6xQQ")
UNIT = 4096
SOME = 100
"""How many moments are enough to see that something is lost."""
ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class Entry:
    """What was written down: `kind` w, t, s or u, as recorder.c has it."""

    kind: str
    name: str
    data: bytes
    offset: int


@dataclass
class Disk:
    """What is on the disk for sure, and what was written since, by file."""

    synced: dict[str, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    since: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))

    def apply(self, entry: Entry) -> None:
        """What happens next. Names come and go at once: file systems keep a journal of these."""
        if entry.kind == "u":
            self.synced.pop(entry.name, None)
            self.since.pop(entry.name, None)
            return
        if entry.kind != "s":
            self.since[entry.name].append(entry)
            return
        for waiting in self.since.pop(entry.name, ()):
            _write(self.synced[entry.name], waiting)

    def image(self, folder: Path, noise: random.Random | None) -> None:
        """What may be there when the power comes back; `noise` None: nothing that was not synced."""
        for name in {*self.synced, *self.since} - {ACKNOWLEDGED}:
            content = bytearray(self.synced[name])
            for entry in self.since[name] if noise else ():
                for part in _units(entry):
                    if noise and noise.random() < 0.5:
                        _write(content, part)
            (folder / name).write_bytes(content)


def _units(entry: Entry) -> Iterator[Entry]:
    """The parts of a write that reach the disk one without the other."""
    if entry.kind == "t":
        yield entry
    start = 0
    while start < len(entry.data):
        end = min(start + UNIT - (entry.offset + start) % UNIT, len(entry.data))
        yield Entry("w", entry.name, entry.data[start:end], entry.offset + start)
        start = end


def _write(content: bytearray, entry: Entry) -> None:
    if entry.kind == "t":
        del content[entry.offset :]
        content.extend(bytes(entry.offset - len(content)))
        return
    content.extend(bytes(max(0, entry.offset - len(content))))
    content[entry.offset : entry.offset + len(entry.data)] = entry.data


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    source = HERE / "recorder.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def record(recorder: Path, place: Path, synchronous: str, when: str = "honest") -> list[Entry]:
    """Let the journal work, and read what was written down."""
    folder, log = place / "data", place / "record"
    folder.mkdir(mode=0o700)
    env = environment(LD_PRELOAD=str(recorder), RECORDED=str(folder), RECORD=str(log))
    subprocess.run([sys.executable, HERE / "recorded.py", folder, synchronous, when], env=env, check=True, timeout=60)
    entries, data, at = [], log.read_bytes(), 0
    while at < len(data):
        kind, name, length, offset = HEADER.unpack_from(data, at)
        body = at + HEADER.size + name
        entries.append(Entry(chr(kind), data[at + HEADER.size : body].decode(), data[body : body + length], offset))
        at = body + length
    return [entry for entry in entries if not entry.name.endswith("-shm")]


@dataclass
class Verdict:
    """What a run of cuts showed: how many images, how many unsound, and the worst loss of acknowledged messages."""

    images: int = 0
    unsound: int = 0
    losing: int = 0
    worst: int = 0


def cut(entries: list[Entry], place: Path, *, at_most: int = sys.maxsize, seed: int = 1) -> Verdict:
    """Fail the power at every moment (or so many), each with and without what was not synced."""
    noise = random.Random(seed)
    begin = next(index for index, entry in enumerate(entries) if entry.name == ACKNOWLEDGED)
    chosen = set(noise.sample(range(begin, len(entries)), min(at_most, len(entries) - begin)))
    disk, acknowledged, verdict = Disk(), list[str](), Verdict()
    for index, entry in enumerate(entries):
        disk.apply(entry)
        if entry.name == ACKNOWLEDGED:
            acknowledged.append(entry.data.decode().strip())
        if index in chosen:
            for mixed in (None, noise):
                image = place / f"image-{index}-{mixed is None}"
                image.mkdir()
                disk.image(image, mixed)
                _judge(image, set(acknowledged), verdict)
                shutil.rmtree(image)
    return verdict


def _judge(image: Path, acknowledged: set[str], verdict: Verdict) -> None:
    verdict.images += 1
    try:
        with closing(sqlite3.connect(image / "wabot.db")) as db:
            db.execute("PRAGMA synchronous = OFF")  # the image need not outlive another power failure
            sound = db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            kept = {row[0] for row in db.execute("SELECT wamid FROM messages")}
    except sqlite3.DatabaseError:
        sound, kept = False, set()
    lost = len(acknowledged - kept)
    verdict.unsound += not sound
    verdict.losing += lost > 0
    verdict.worst = max(verdict.worst, lost)


def test_what_was_acknowledged_survives_a_power_failure_at_any_moment(recorder: Path, tmp_path: Path) -> None:
    entries = record(recorder, tmp_path, "FULL")
    main = [entry for entry in entries if entry.name == "wabot.db" and entry.kind == "w"]
    assert len(main) > 20, "no checkpoint was among what was recorded"

    verdict = cut(entries, tmp_path)

    assert verdict.images > 1000
    assert (verdict.unsound, verdict.losing, verdict.worst) == (0, 0, 0)


async def test_the_journal_opens_after_a_power_failure(recorder: Path, tmp_path: Path) -> None:
    """As wabot opens it, which is more than SQLite asks for."""
    entries = record(recorder, tmp_path, "FULL")
    disk, noise = Disk(), random.Random(2)
    acknowledged = 0
    for index, entry in enumerate(entries):
        disk.apply(entry)
        acknowledged += entry.name == ACKNOWLEDGED
        if acknowledged and index % (len(entries) // 10) == 0:
            image = tmp_path / f"image-{index}"
            image.mkdir()
            disk.image(image, noise)
            journal = await open_journal(image, rules=Rules(), policy=Policy())
            await journal.recover(2.0)
            await journal.close()


def test_it_sees_that_synchronous_normal_loses_what_was_acknowledged(recorder: Path, tmp_path: Path) -> None:
    verdict = cut(record(recorder, tmp_path, "NORMAL"), tmp_path, at_most=SOME)
    assert verdict.unsound == 0
    assert verdict.losing > verdict.images / 4


def test_it_sees_an_acknowledgement_before_the_commit(recorder: Path, tmp_path: Path) -> None:
    verdict = cut(record(recorder, tmp_path, "FULL", "early"), tmp_path, at_most=SOME)
    assert verdict.losing > verdict.images / 4
