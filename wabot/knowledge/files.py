"""Reads the prompt file and the knowledge folder, and again what changes in them.

A PDF that cannot be read is left out until it changes, also at the start: it may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TypeAlias

from wabot.core.whatsapp_text import sendable
from wabot.knowledge.pdf_text import read_pdf

SUFFIXES = frozenset({".md", ".txt"})
"""The files of the knowledge folder that are read as UTF-8 text."""
PDF = ".pdf"

_Signature: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Texts:
    """`assistant.prompt_file` (None: not set), and the texts of `assistant.knowledge_dir` by file name."""

    instructions: str | None
    knowledge: Mapping[str, str]


class Files:
    """The files of one account. What cannot be read any more keeps its last text; what left the folder is gone."""

    def __init__(self, prompt_file: Path | None, knowledge_dir: Path | None) -> None:
        """Raises OSError if a text cannot be read."""
        self._prompt_file, self._folder = prompt_file, knowledge_dir
        self._read: dict[Path, tuple[_Signature, str]] = {}
        self._faulty: dict[Path, tuple[_Signature, OSError]] = {}
        if faults := [fault for fault in self.look() if not _is_pdf(Path(str(fault.filename)))]:
            raise faults[0]

    @property
    def exist(self) -> bool:
        """Whether there is anything to read."""
        return self._prompt_file is not None or self._folder is not None

    def look(self) -> list[OSError]:
        """Read what has changed; what cannot be read."""
        faults = list[OSError]()
        try:
            present = set(self._listed())
        except OSError as error:
            faults.append(error)
            present = set(self._read)
        self._read = {path: known for path, known in self._read.items() if path in present or path == self._prompt_file}
        self._faulty = {path: known for path, known in self._faulty.items() if path in present}
        for path in sorted(present):
            try:
                self._look_at(path)
            except OSError as error:
                faults.append(error)
        return faults

    def texts(self) -> Texts:
        """What was read last."""
        prompt = self._read.get(self._prompt_file) if self._prompt_file else None
        known = sorted(self._read.items())
        knowledge = {legible(path.name): text for path, (_, text) in known if path != self._prompt_file}
        return Texts(prompt[1] if prompt else None, knowledge)

    def _listed(self) -> Iterator[Path]:
        if self._prompt_file is not None:
            yield self._prompt_file
        if self._folder is not None:
            yield from (
                file
                for file in self._folder.iterdir()
                if (file.suffix in SUFFIXES or _is_pdf(file)) and file != self._prompt_file
            )

    def _look_at(self, path: Path) -> None:
        found = path.stat()
        if not S_ISREG(found.st_mode):  # reading a pipe would wait for ever
            raise OSError(0, "It is not a file", str(path))
        signature = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = self._read.get(path)
        if known is not None and known[0] == signature:
            return
        if _is_pdf(path):
            self._read_pdf(path, signature)
        else:
            self._read[path] = (signature, _text(path))

    def _read_pdf(self, path: Path, signature: _Signature) -> None:
        """A PDF that could not be read is not tried again before it changes: that takes long."""
        failed = self._faulty.get(path)
        if failed is not None and failed[0] == signature:
            raise failed[1]
        try:
            self._read[path] = (signature, read_pdf(path))
        except OSError as error:
            self._faulty[path] = (signature, error)
            raise
        self._faulty.pop(path, None)


def legible(name: str) -> str:
    """The name of a file as text that can be written anywhere: it may be no UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def _is_pdf(path: Path) -> bool:
    return path.suffix.lower() == PDF


def _text(path: Path) -> str:
    try:
        return sendable(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise OSError(0, "It is not text in UTF-8", str(path)) from None
