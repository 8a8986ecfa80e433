"""No room on the disk: nothing is acknowledged that could not be written, and everything goes on when there is room."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.business import ANA, BEN, EVA
from tests.process import RUN, World, eventually, world
from wabot.sandbox.behaviour import accept

PATIENT = {"quiet_seconds": 0.1}


@asynccontextmanager
async def file_size_limit(w: World) -> AsyncIterator[None]:
    """`ulimit -f` on the running process: no file of it grows any more."""
    largest = max(file.stat().st_size for file in w.journal.parent.iterdir())
    resource.prlimit(w.wabot.pid, resource.RLIMIT_FSIZE, (min(largest, 4096), resource.RLIM_INFINITY))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(w.wabot.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@asynccontextmanager
async def ballast(w: World) -> AsyncIterator[None]:
    """A file that fills the file system to the last byte."""
    stone = w.journal.with_name("ballast")
    with stone.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 512)
    try:
        yield
    finally:
        stone.unlink()


async def refuses_and_recovers(w: World, fault: contextlib.AbstractAsyncContextManager[None]) -> None:
    """While the fault lasts nothing is acknowledged; what is delivered again afterwards is answered once."""
    async with fault:
        refused = [await w.meta.say(f"Hi {nth}", from_=BEN) for nth in range(3)]
        assert {status for _, status in refused} == {503}
        async with w.client.get(f"{w.wabot.url}/readyz") as ready:
            assert (ready.status, "Retry-After" in ready.headers) == (503, True)
            assert (await ready.json())["journal"] == "down"
        assert (await w.get("/healthz"))["status"] == "ok"
        status, answer = await w.post("/initiate-bulk", {"numbers": [EVA]})
        assert (status, answer["error"]["code"]) == (503, "unavailable")
        status, answer = await w.post("/get", {"number": ANA})
        assert (status, answer["count"]) == (200, 2)
    for nth, (wamid, _) in enumerate(refused):
        assert (await w.meta.say(f"Hi {nth}", from_=BEN, wamid=wamid, attempts=30))[1] == 200
    await w.meta.until(lambda meta: [sent.to for sent in meta.sent] == [ANA, BEN])
    assert (await w.get("/readyz"))["ready"] is True
    assert [m["body"] for m in await w.said_with(BEN) if m["direction"] == "in"] == ["Hi 0", "Hi 1", "Hi 2"]


async def warm_up(w: World) -> None:
    """One talk, written down whole."""
    await w.start()
    await w.meta.say("Hi", from_=ANA)
    await w.meta.until(lambda meta: len(meta.told) == 3)

    async def known() -> bool:
        return [m.get("status") for m in await w.said_with(ANA)] == ["received", "read"]

    await eventually(known)


async def test_a_process_whose_files_may_not_grow_refuses_and_recovers(tmp_path: Path) -> None:
    async with world(tmp_path, assistant=PATIENT) as w:
        await warm_up(w)
        await refuses_and_recovers(w, file_size_limit(w))
        assert await w.wabot.stop() == 0


async def test_an_answer_of_metas_that_cannot_be_written_is_kept_until_it_can(tmp_path: Path) -> None:
    """It is known only to the process: what was accepted must not be sent again because the disk was full."""
    async with world(tmp_path) as w:
        w.meta.receipts = False
        w.meta.behaviour.script(ANA, [accept(delay=0.5)])
        await w.start()
        await w.meta.say("Hi", from_=ANA)
        await w.meta.until(lambda meta: len(meta.sent) == 1)

        async with file_size_limit(w):
            await w.wabot.until(lambda: bool(w.wabot.events("journal.refused")))

        await w.wabot.event("send.settled")
        await w.restart()
        await w.meta.say("prices?", from_=ANA)
        await w.meta.until(lambda meta: len(meta.sent) == 2)
        assert w.texts() == ["[hello_world]", "A visit costs 25 €, and the first one is free."]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


async def test_a_full_disk_is_refused_and_recovered_from(tmp_path: Path, small_disk: Path) -> None:
    async with world(tmp_path, assistant=PATIENT, server={"data_dir": small_disk / "data"}) as w:
        w.place = small_disk.parent
        (tmp_path / "data").symlink_to(small_disk / "data")
        await warm_up(w)
        await refuses_and_recovers(w, ballast(w))
        assert await w.wabot.stop() == 0


async def test_wabot_does_not_start_on_a_full_disk_and_says_why(tmp_path: Path, small_disk: Path) -> None:
    async with world(tmp_path, server={"data_dir": small_disk / "data"}) as w:
        (tmp_path / "data").symlink_to(small_disk / "data")
        (small_disk / "data").mkdir()
        async with ballast(w):
            process = await w.spawn()
            assert await process.ended() == 1  # it passes: systemd is to try again
        assert process.said[-1].startswith("wabot: ")
        await w.start()


async def test_a_start_whose_files_may_not_grow_is_a_trouble_that_passes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        limited = (
            "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); sys.argv.pop(0);"
            f" sys.path.insert(0, {str(RUN.parent)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        process = await w.spawn(launcher=["-c", limited, RUN])
        assert await process.ended() == 1
        assert process.said[-1].startswith("wabot: the journal cannot be used")
        await w.start()


async def test_stopping_on_a_full_disk_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, assistant=PATIENT) as w:
        await warm_up(w)
        w.sections["assistant"]["quiet_seconds"] = 0.1
        async with file_size_limit(w):
            await w.meta.say("Hi", from_=BEN)
            assert await w.wabot.stop() == 0
        await w.start()
        assert len(await w.said_with(ANA)) == 2
