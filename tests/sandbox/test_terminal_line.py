"""What is typed in a terminal while other things are printed."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import termios
from collections.abc import Iterator

import pytest

from tests.sandbox.conftest import PHONE, Business, Webhook
from tests.sandbox.test_chat import heard
from wabot.sandbox.chat import chat
from wabot.sandbox.meta import Meta
from wabot.sandbox.terminal_line import Line


class Terminal:
    """A terminal of 80 columns, as far as it takes: the rows that one sees."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(self._master, (24, 80))
        self.stdin, self.out = os.fdopen(slave, "r"), os.fdopen(os.dup(slave), "w")
        os.set_blocking(self._master, False)
        self._seen = ""

    @property
    def rows(self) -> list[str]:
        self._seen += self._read()
        rows = [""]
        for piece in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", self._seen):
            match piece:
                case "\n":
                    rows.append("")
                case "\x1b[2K":
                    rows[-1] = ""
                case _ if piece != "\r" and not piece.startswith("\x1b"):
                    rows[-1] += piece
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

    def _read(self) -> str:
        try:
            return os.read(self._master, 65536).decode()
        except BlockingIOError:
            return ""


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
    await terminal.shows("> ")
    terminal.type("how mu")
    await terminal.shows("> how mu")
    await business.send(body="Good morning!")
    await terminal.shows("🤖 Good morning!", "   ✓ sent", "   ✓✓ delivered", "   ✓✓ read", "> how mu")
    print("a line of the log")  # noqa: T201  as whatever else there is in the process may do
    await terminal.shows("a line of the log", "> how mu")
    terminal.type("ch?\n")
    await terminal.shows("> how much?", "> ")
    assert [message["text"]["body"] for message in await heard(webhook, 1)] == ["how much?"]

    assert not terminal.echoes
    terminal.type("/quit\n")
    assert await asyncio.wait_for(chatting, 5) is True
    assert terminal.echoes


async def test_of_a_long_line_one_sees_the_end_and_says_the_whole(
    business: Business, meta: Meta, webhook: Webhook, terminal: Terminal
) -> None:
    chatting = asyncio.create_task(chat(meta, number=PHONE, stdin=terminal.stdin, out=terminal.out))
    await terminal.shows("> ")
    terminal.type("word " * 40 + "end")
    await terminal.shows("> …" + ("word " * 40 + "end")[-76:])
    terminal.type("\n")
    await terminal.shows("> ")
    assert [message["text"]["body"] for message in await heard(webhook, 1)] == ["word " * 40 + "end"]
    terminal.type("\x04")
    assert await asyncio.wait_for(chatting, 5) is False


@pytest.mark.parametrize(
    ("keys", "lines", "left"),
    [
        ("hello\n", ["hello"], ""),
        ("one\r\ntwo\rthree", ["one", "two"], "three"),
        ("helo\x7f\x7fllo", [], "hello"),
        ("\x7f\x15x", [], "x"),
        ("nonsense\x15hello", [], "hello"),
        ("hello big  world \x17", [], "hello big  "),
        ("a\tb\x00\x1b[A\x1b[1;5C\x1bOPc\x1b", [], "a bc"),
        ("grüß 你好 🤖", [], "grüß 你好 🤖"),
        ("typed\x04", [], "typed"),
        ("\x04", [None], ""),
    ],
)
def test_keys(keys: str, lines: list[str | None], left: str) -> None:
    line = Line()
    assert list(line.press(keys)) == lines
    assert line.text == left
