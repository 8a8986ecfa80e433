"""What is typed in a terminal while other things are printed."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import termios
from collections.abc import Iterator

import pyte
import pytest

from tests.sandbox.conftest import PHONE, Business, Webhook
from tests.sandbox.test_chat import heard
from wabot.sandbox.chat import chat
from wabot.sandbox.meta import Meta

HOME, END, UP = "\x1b[H", "\x1b[F", "\x1b[A"


class Terminal:
    """A terminal of 80 columns: the rows that one sees."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(self._master, (24, 80))
        self.stdin, self.out = os.fdopen(slave, "r"), os.fdopen(os.dup(slave), "w")
        os.set_blocking(self._master, False)
        self._screen = pyte.Screen(80, 24)
        self._screen.write_process_input = self.type
        self._stream = pyte.ByteStream(self._screen)

    @property
    def rows(self) -> list[str]:
        self._stream.feed(self._read())
        rows = [row.rstrip() for row in self._screen.display]
        while len(rows) > 1 and not rows[-1]:
            rows.pop()
        return rows

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.stdin)[3] & termios.ECHO)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def shows(self, *last: str) -> None:
        """Wait until the last rows are these."""
        try:
            async with asyncio.timeout(5):
                while self.rows[-len(last) :] != list(last):
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(self.rows) from None

    def close(self) -> None:
        self.stdin.close()
        self.out.close()
        os.close(self._master)

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 65536)
        except BlockingIOError:
            return b""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    yield terminal
    terminal.close()


async def test_an_answer_does_not_land_in_half_typed_text(
    business: Business, meta: Meta, webhook: Webhook, terminal: Terminal
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=terminal.stdin, out=terminal.out))
    await terminal.shows(">")
    terminal.type("how mu")
    await terminal.shows("> how mu")
    await business.send(body="Good morning!")
    await terminal.shows("🤖 Good morning!", "   ✓ sent", "   ✓✓ delivered", "   ✓✓ read", "> how mu")
    print("a line of the log")  # noqa: T201  as whatever else there is in the process may do
    await terminal.shows("a line of the log", "> how mu")
    terminal.type("ch?\r")
    await terminal.shows("> how much?", ">")
    assert [message["text"]["body"] for message in await heard(webhook, 1)] == ["how much?"]

    assert not terminal.echoes
    terminal.type("/quit\r")
    assert await asyncio.wait_for(chatting, 5) is True
    assert terminal.echoes


async def test_a_line_can_be_edited_and_recalled(
    business: Business, meta: Meta, webhook: Webhook, terminal: Terminal
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=terminal.stdin, out=terminal.out))
    await terminal.shows(">")
    terminal.type("grüß gott 🤖")
    terminal.type(f"{HOME}你好, {END}!")
    await terminal.shows("> 你好, grüß gott 🤖!")
    terminal.type("\r")
    await terminal.shows(">")
    terminal.type(f"{UP}\x17\x17again\r")
    assert [one["text"]["body"] for one in await heard(webhook, 2)] == ["你好, grüß gott 🤖!", "你好, grüß again"]
    terminal.type("\x04")
    assert await asyncio.wait_for(chatting, 5) is False


async def test_control_c_interrupts_the_process(business: Business, meta: Meta, terminal: Terminal) -> None:
    interrupted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=terminal.stdin, out=terminal.out))
    await terminal.shows(">")
    terminal.type("half\x03")
    await asyncio.wait_for(interrupted.wait(), 5)
    chatting.cancel()
    await asyncio.gather(chatting, return_exceptions=True)
    assert terminal.echoes
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
