"""The text of a PDF, page by page, as a program of its own: `python pdf_text.py FILE`.

A PDF comes from anywhere, and a broken or hostile one can take all time and memory there is. So it is read by another
process, with limits, and the service never loads the library. The text goes to the standard output; what is wrong, in
one line, to the standard error, with exit status 1.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

LARGEST = 32 * 1024 * 1024
"""Bytes of a PDF."""
PAGES = 500
CHARACTERS = 2_000_000
"""Of the text of one PDF."""
SECONDS = 20
MEMORY = 1024 * 1024 * 1024

_HEADING = re.compile(r"^[ \t]*#+(?=\s)", re.MULTILINE)
_TOO_HARD = f"It cannot be read within {SECONDS} seconds and {MEMORY >> 20} MiB of memory: split it, or save it anew"
_NO_TEXT = "It has no text, as a scanned document: run text recognition (OCR) on it, or write its text into a .md file"
_BROKEN = "It is broken, or no PDF: save it anew"
_ENCRYPTED = "It is encrypted: save it without a password"
_TOO_LONG = f"It has more than {PAGES} pages or {CHARACTERS} characters: split it"
_REASONS = {_NO_TEXT, _ENCRYPTED, _TOO_LONG}


def read_pdf(path: Path) -> str:
    """The text of a PDF as Markdown, below a heading for each page. Blocks for SECONDS at the most.

    Raises OSError, with what to do.
    """
    if path.stat().st_size > LARGEST:
        raise OSError(0, f"It is larger than {LARGEST >> 20} MiB: split it", str(path))
    command = [sys.executable, "-I", __file__, str(path.absolute())]
    try:
        done = subprocess.run(  # noqa: S603  our own program, and a path as its argument
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise OSError(0, _TOO_HARD, str(path)) from None
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace")
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if last not in _REASONS:  # the library's own error, or the end of the process by a limit
        last = _TOO_HARD if done.returncode < 0 or "MemoryError" in last else _BROKEN
    raise OSError(0, last, str(path))


def _text(path: str) -> str:
    """The text of the PDF at `path`. Ends the process with what to do; else the library's errors."""
    from pypdf import PdfReader  # noqa: PLC0415  in the process of its own only

    reader, found, room = PdfReader(path), list[str](), CHARACTERS
    if reader.is_encrypted and not reader.decrypt(""):
        sys.exit(_ENCRYPTED)
    for number, page in enumerate(islice(reader.pages, PAGES + 1), 1):
        found.append(_HEADING.sub("", page.extract_text()).strip())
        room -= len(found[-1])
        if number > PAGES or room < 0:
            sys.exit(_TOO_LONG)
    if not any(found):
        sys.exit(_NO_TEXT)
    return "\n\n".join(f"# Page {number}\n\n{text}" for number, text in enumerate(found, 1))


def _limit() -> None:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  Windows has none

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    _limit()
    logging.disable(logging.CRITICAL)
    sys.stdout.buffer.write(_text(sys.argv[1]).encode("utf-8", "replace"))
