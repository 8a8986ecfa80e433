"""When a log line is written, in which order, and what the end of the process can take with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wabot import log_output
from wabot.log import configure, flush, get_logger, hide
from wabot.settings.sections import Log

LOG = get_logger()


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    configure(Log())
    yield
    hide([])


class Written:
    """A stdout that keeps each write by itself."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.buffer = SimpleNamespace(write=self._write, flush=lambda: None)

    def _write(self, text: bytes) -> None:
        self.writes.append(text.decode())

    @property
    def events(self) -> list[list[str]]:
        """The events of each write."""
        return [[line.split()[3] for line in text.splitlines()] for text in self.writes]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    flush()
    stdout = Written()
    with monkeypatch.context() as patch:
        patch.setattr(log_output, "sys", SimpleNamespace(stdout=stdout))  # pytest sets sys.stdout once more
        yield stdout
        flush()


async def test_the_lines_of_a_turn_are_written_together_at_its_end(written: Written) -> None:
    for turn in range(3):
        LOG.info("first.line", turn=turn)
        LOG.warning("second.line", turn=turn)
        assert len(written.writes) == turn
        await asyncio.sleep(0)

    assert written.events == [["first.line", "second.line"]] * 3


async def test_an_error_comes_out_at_once_after_what_waits(written: Written) -> None:
    LOG.info("send.settled")
    LOG.error("lane.broken")
    assert written.events == [["send.settled", "lane.broken"]]

    LOG.info("send.settled")
    with contextlib.suppress(KeyError):
        try:
            raise KeyError("gone")
        except KeyError:
            LOG.exception("job.broken")
            raise
    assert [text.count("\n") > 1 for text in written.writes] == [True, True]
    assert "KeyError: 'gone'" in written.writes[1]


def test_without_a_loop_a_line_comes_out_at_once(written: Written) -> None:
    LOG.info("one.line")
    asyncio.run(asyncio.sleep(0))
    LOG.info("two.line")

    assert written.events == [["one.line"], ["two.line"]]


async def test_a_thread_writes_at_once_and_after_what_the_loop_logged_before(written: Written) -> None:
    LOG.info("loop.first")
    thread = threading.Thread(target=lambda: LOG.info("thread.second"))
    thread.start()
    thread.join()

    assert written.events == [["loop.first", "thread.second"]]


async def test_a_line_at_error_is_out_when_its_thread_goes_on_though_another_writes(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = threading.Thread(target=lambda: LOG.error("thread.broken"))

    def slow(text: bytes) -> None:
        if not written.writes:
            thread.start()
            thread.join(0.1)
            assert thread.is_alive()
        written.writes.append(text.decode())

    monkeypatch.setattr(written.buffer, "write", slow)
    LOG.error("loop.broken")
    thread.join()

    assert written.events == [["loop.broken"], ["thread.broken"]]


@pytest.fixture
def _threads_that_change_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_that_change_often")
async def test_threads_and_turns_lose_no_line_and_keep_their_order(written: Written) -> None:
    def keep_logging(source: int) -> None:
        for line in range(3000):
            LOG.info("line.logged", source=source, line=line)

    threads = [threading.Thread(target=keep_logging, args=(source,)) for source in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for line in range(3000):
        LOG.info("line.logged", source=0, line=line)
        if line % 5 == 0:
            await asyncio.sleep(0)
    for thread in threads:
        thread.join()
    flush()

    seen = re.findall(r"source=(\d) line=(\d+)\n", "".join(written.writes))
    for source in range(4):
        assert [int(line) for who, line in seen if int(who) == source] == list(range(3000))


def test_a_loop_that_never_ends_its_turn_silences_no_other(written: Written) -> None:
    async def last_turn() -> None:
        asyncio.get_running_loop().stop()
        LOG.info("last.turn")

    loop = asyncio.new_event_loop()
    task = loop.create_task(last_turn())
    loop.run_forever()
    loop.close()
    assert task.done()

    async def next_loop() -> None:
        LOG.info("next.loop")
        await asyncio.sleep(0)
        assert written.events == [["last.turn", "next.loop"]]

    asyncio.run(next_loop())


async def test_what_waits_is_written_without_the_secrets_of_its_time(written: Written) -> None:
    hide(["first-secret"])
    LOG.info("a.b", one="first-secret", two="second-secret")
    hide(["second-secret"])
    LOG.info("c.d", one="first-secret", two="second-secret")
    flush()

    assert [text[text.index("one=") :] for text in written.writes] == [
        "one=*** two=second-secret\n",
        "one=first-secret two=***\n",
    ]


def test_a_finalizer_that_logs_in_the_middle_of_a_write_loses_and_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes: list[str] = []
    doomed: list[Any] = [type("Doomed", (), {})()]
    weakref.finalize(doomed[0], lambda: LOG.error("finalizer.ran"))

    def write(text: bytes) -> None:
        doomed.clear()
        writes.append(text.decode())

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", SimpleNamespace(buffer=SimpleNamespace(write=write, flush=lambda: None)))
        LOG.info("write.begun")

    assert [text.split()[3] for text in writes] == ["write.begun", "finalizer.ran"]


async def test_a_full_disk_stops_no_turn(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    with monkeypatch.context() as patch:
        patch.setattr(written.buffer, "write", full)
        LOG.info("webhook.lost")
        await asyncio.sleep(0)
    LOG.info("webhook.accepted")
    await asyncio.sleep(0)

    assert troubles == []
    assert written.events == [["webhook.accepted"]]


PROGRAM = """
import asyncio, os, signal, sys
from wabot.cli import end
from wabot.log import get_logger

log = get_logger()

async def main():
    for turn in range(100):
        log.info(f"turn.{turn}")
        log.info(f"same.{turn}")
        await asyncio.sleep(0)
    log.info("last.turn")
    %s

%s
"""


def run(last: str, around: str = "asyncio.run(main())") -> tuple[int, list[str]]:
    """The exit status, and the events that came out."""
    program = [sys.executable, "-c", PROGRAM % (last, around)]
    root = Path(__file__).parent.parent
    ended = subprocess.run(
        program, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=60
    )
    return ended.returncode, [line.split()[3] for line in ended.stdout.decode().splitlines()]


TURNS = [f"{event}.{turn}" for turn in range(100) for event in ("turn", "same")]


@pytest.mark.parametrize(
    ("last", "around", "status"),
    [
        ("raise RuntimeError('a bug')", "asyncio.run(main())", 1),
        ("sys.exit(3)", "asyncio.run(main())", 3),
        ("end(4)", "asyncio.run(main())", 4),
        ("pass", "asyncio.run(main()); end(5)", 5),
        ("asyncio.get_running_loop().stop()", "asyncio.new_event_loop().run_until_complete(main())", 0),
    ],
    ids=["an exception", "sys.exit", "cli.end in the loop", "cli.end after it", "a loop that stops"],
)
def test_every_line_comes_out_however_the_process_ends(last: str, around: str, status: int) -> None:
    assert run(last, around) == (status, [*TURNS, "last.turn"])


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_process_loses_at_most_the_lines_of_one_turn() -> None:
    status, events = run("os.kill(os.getpid(), signal.SIGKILL)")

    assert status == -signal.SIGKILL
    assert [*events, "last.turn"][: len(TURNS) + 1] == [*TURNS, "last.turn"]
