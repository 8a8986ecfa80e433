"""The line that is typed in a terminal: it stays below what is printed meanwhile, and can be edited and recalled."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import sys
from collections.abc import AsyncIterator
from contextvars import copy_context
from dataclasses import dataclass
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session, run_in_terminal
from prompt_toolkit.input.defaults import create_input
from prompt_toolkit.output import Output
from prompt_toolkit.output.defaults import create_output

MARK = "> "


@dataclass(frozen=True, slots=True)
class Typed:
    """`lines` are those that were typed (None: the end); what is written to `out` appears above the line."""

    lines: asyncio.Queue[str | None]
    out: io.TextIOWrapper


@contextlib.asynccontextmanager
async def typed(stdin: TextIO, out: TextIO) -> AsyncIterator[Typed]:
    """Read lines from a terminal until the end. All that this process prints goes above the line."""
    with create_app_session(create_input(stdin), create_output(out)) as session:
        above = _Above(session.output)
        printed = io.TextIOWrapper(above, "utf-8", "backslashreplace", write_through=True)
        errors = contextlib.redirect_stderr(printed) if sys.stderr.isatty() else contextlib.nullcontext()
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        reading = asyncio.create_task(_read(lines))
        try:
            with contextlib.redirect_stdout(printed), errors:
                yield Typed(lines, printed)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            with contextlib.suppress(OSError, ValueError):  # the terminal may have gone
                above.print_now()


class _Interrupted(Exception):
    """^C was pressed."""


async def _read(lines: asyncio.Queue[str | None]) -> None:
    session: PromptSession[str] = PromptSession(MARK, interrupt_exception=_Interrupted, enable_suspend=True)
    try:
        while True:
            lines.put_nowait(await session.prompt_async(handle_sigint=False))
    except _Interrupted:
        signal.raise_signal(signal.SIGINT)  # as without a line: it ends the process in its own way
    except (EOFError, OSError):  # ^D, or the terminal has gone
        lines.put_nowait(None)


class _Above(io.BufferedIOBase):
    """What is printed, in whole lines. The library prints above the line that is being typed only from the loop."""

    name = "<above the line>"

    def __init__(self, screen: Output) -> None:
        self._screen, self._begun, self._whole = screen, b"", b""
        self._loop, self._context = asyncio.get_running_loop(), copy_context()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def write(self, data: object) -> int:
        whole, newline, self._begun = (self._begun + bytes(data)).rpartition(b"\n")  # type: ignore[call-overload]
        if newline:
            self._whole += whole + newline
            self._loop.call_soon_threadsafe(self._print, context=self._context)
        return len(bytes(data))  # type: ignore[call-overload]

    def print_now(self) -> None:
        """Print the whole lines that are not printed yet."""
        text, self._whole = self._whole.decode("utf-8", "replace"), b""
        if text:
            self._screen.write_raw(text.replace("\n", "\r\n"))
            self._screen.flush()

    def _print(self) -> None:
        if self._whole:
            run_in_terminal(self.print_now)
