"""A line editor for the terminal that keeps the line being typed below the output.

A terminal's own line editing lets output land in the middle of the typed line, and does not show programs that line. So
keys are read one by one here; output of this process goes above the line, which is then redrawn.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import io
import os
import re
import signal
import sys
import termios
import tty
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO

MARK = "> "

_NO_TEXT = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)?")
"""The sequences of arrow and function keys (ECMA-48, 5.4), and Escape itself."""

_RUBOUT, _KILL_LINE, _KILL_WORD, _END = "\x7f\b", "\x15", "\x17", "\x04"
_ERASED = "\r\x1b[2K"
_COLUMNS = 80


class Line:
    """What is typed so far. It knows the keys that a terminal's own line editing knows: rubout, ^U, ^W and ^D."""

    def __init__(self) -> None:
        self.text = ""

    def press(self, keys: str) -> Iterator[str | None]:
        """The lines that these keys end, and None where they end the input. `text` is then what comes after."""
        for key in _NO_TEXT.sub("", keys.replace("\r\n", "\n")):
            if key in "\r\n":
                ended, self.text = self.text, ""
                yield ended
            elif key == _END and not self.text:
                yield None
            else:
                self.text = self._edited(key)

    def _edited(self, key: str) -> str:
        if key in _RUBOUT:
            return self.text[:-1]
        if key == _KILL_LINE:
            return ""
        if key == _KILL_WORD:
            return re.sub(r"\S*\s*\Z", "", self.text)
        return self.text + (" " if key == "\t" else key if key.isprintable() else "")


class Prompt:
    """A terminal in which one types at the bottom: `lines` are those typed (None: the end), `out` is printed above."""

    def __init__(self, stdin: TextIO, out: TextIO) -> None:
        self.lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.out = io.TextIOWrapper(_Above(self), "utf-8", "backslashreplace", write_through=True)
        self._keyboard, self._screen = stdin.fileno(), out.fileno()
        self._line = Line()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    @contextlib.contextmanager
    def open(self) -> Iterator[Prompt]:
        """Read keys until the end, and then leave the terminal as it was. All that is printed goes above the line."""
        loop = asyncio.get_running_loop()
        before = termios.tcgetattr(self._keyboard)
        self._take()
        loop.add_reader(self._keyboard, self._read)
        loop.add_signal_handler(signal.SIGCONT, self._take)  # after ^Z and `fg` the terminal edits by itself again
        errors = contextlib.redirect_stderr(self.out) if sys.stderr.isatty() else contextlib.nullcontext()
        try:
            with contextlib.redirect_stdout(self.out), errors:
                yield self
        finally:
            loop.remove_reader(self._keyboard)
            loop.remove_signal_handler(signal.SIGCONT)
            with contextlib.suppress(OSError, termios.error):  # the terminal may have gone
                self._write(_ERASED)
                termios.tcsetattr(self._keyboard, termios.TCSADRAIN, before)

    def print_above(self, text: str) -> None:
        """Print whole lines, and draw again what is typed."""
        self._write(f"{_ERASED}{text}{self._drawn()}")

    def _take(self) -> None:
        with contextlib.suppress(OSError, termios.error):
            tty.setcbreak(self._keyboard, termios.TCSANOW)
            self._write(_ERASED + self._drawn())

    def _read(self) -> None:
        try:
            keys = os.read(self._keyboard, 4096)
        except OSError:
            keys = b""
        ended = self._line.press(self._decode(keys)) if keys else iter([None])
        for line in ended:
            self.lines.put_nowait(line)
            if line is None:
                asyncio.get_running_loop().remove_reader(self._keyboard)
                break
            self._write(f"{_ERASED}{MARK}{line}\n")
        with contextlib.suppress(OSError):
            self._write(_ERASED + self._drawn())

    def _drawn(self) -> str:
        """The mark and what is typed; of more than fits into a row, the end."""
        room = _columns(self._screen) - len(MARK) - 1
        text = self._line.text
        if _width(text) > room:
            while _width(text) > room - 1:
                text = text[1:]
            text = "…" + text
        return MARK + text

    def _write(self, text: str) -> None:
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        while left:
            left = left[os.write(self._screen, left) :]


class _Above(io.BufferedIOBase):
    """What is printed, in whole lines."""

    name = "<above the prompt>"

    def __init__(self, prompt: Prompt) -> None:
        self._prompt, self._begun = prompt, b""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        whole, newline, self._begun = (self._begun + bytes(data)).rpartition(b"\n")
        if newline:
            self._prompt.print_above((whole + newline).decode("utf-8", "replace"))
        return memoryview(data).nbytes


def _columns(screen: int) -> int:
    try:
        return os.get_terminal_size(screen).columns or _COLUMNS
    except OSError:
        return _COLUMNS


def _width(text: str) -> int:
    """Columns that a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
