"""Reads the prompt file and the knowledge folder, and again what changes in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

SUFFIXES = frozenset({".md", ".txt"})
"""The files of the knowledge folder that are read, as UTF-8 text."""

_Signature: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Texts:
    """`assistant.prompt_file` (None: not set), and the texts of `assistant.knowledge_dir` by file name."""

    instructions: str | None
    knowledge: Mapping[str, str]


class Files:
    """The files of one account. What cannot be read any more keeps its last text; what left the folder is gone."""

    def __init__(self, prompt_file: Path | None, knowledge_dir: Path | None) -> None:
        """Raises OSError if something cannot be read."""
        self._prompt_file, self._folder = prompt_file, knowledge_dir
        self._read: dict[Path, tuple[_Signature, str]] = {}
        if faults := self.look():
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
        for path in sorted(present):
            try:
                self._look_at(path)
            except OSError as error:
                faults.append(error)
        return faults

    def texts(self) -> Texts:
        """What was read last."""
        prompt = self._read.get(self._prompt_file) if self._prompt_file else None
        knowledge = {path.name: text for path, (_, text) in sorted(self._read.items()) if path != self._prompt_file}
        return Texts(prompt[1] if prompt else None, knowledge)

    def _listed(self) -> Iterator[Path]:
        if self._prompt_file is not None:
            yield self._prompt_file
        if self._folder is not None:
            yield from (
                file for file in self._folder.iterdir() if file.suffix in SUFFIXES and file != self._prompt_file
            )

    def _look_at(self, path: Path) -> None:
        stat = path.stat()
        signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._read.get(path)
        if known is None or known[0] != signature:
            self._read[path] = (signature, _text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise OSError(0, "It is not text in UTF-8", str(path)) from None
