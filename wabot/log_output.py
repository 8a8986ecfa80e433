"""Writes log lines to stdout, those of one turn of the event loop together, since each write is a system call."""

from __future__ import annotations

import asyncio
import sys
import threading


class Output:
    """Writes lines as UTF-8, in the order in which they were logged, from any thread.

    A line logged while a loop runs in its thread waits for the end of the loop's turn. Lines of threads without a loop
    and lines at `error` and above are written at once, after those that wait.
    """

    def __init__(self) -> None:
        self._hidden: tuple[str, ...] = ()
        self._waiting: list[str] = []
        self._turn_of: asyncio.AbstractEventLoop | None = None
        """The loop that writes what waits at the end of its turn."""
        self._one_writer = threading.RLock()
        self._is_writing = False

    def write(self, line: str) -> None:
        """Write the line now or at the end of the turn. Never raises OSError."""
        self._waiting.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if loop is not self._turn_of:
            self._turn_of = loop
            loop.call_soon(self._end_turn)

    def write_now(self, line: str) -> None:
        """Write what waits and the line, since the process may be about to end. Never raises OSError."""
        self._waiting.append(line)
        self.flush()

    debug = info = warning = write
    error = critical = write_now

    def hide(self, spellings: tuple[str, ...]) -> None:
        """Replace these texts, instead of those given before, in the lines from now on."""
        self.flush()
        self._hidden = spellings

    def flush(self) -> None:
        """Write what waits. Never raises OSError."""
        with self._one_writer:
            if self._is_writing:
                return  # a finalizer of this thread logs in the middle of a write, which goes on with its line
            self._is_writing = True
            try:
                while count := len(self._waiting):  # other threads may add lines meanwhile
                    text = "".join(self._waiting[:count])
                    del self._waiting[:count]
                    self._put(text)
            finally:
                self._is_writing = False

    def _put(self, text: str) -> None:
        for secret in self._hidden:
            if secret in text:
                text = text.replace(secret, "***")
        try:
            stream = sys.stdout.buffer
            stream.write(text.encode("utf-8", "backslashreplace"))
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # full disk, closed pipe, no stdout: lines are lost, but the work goes on

    def _end_turn(self) -> None:
        self._turn_of = None
        self.flush()
