"""Puts a fault into wabot: some pieces of its source, and what stands there instead.

It is put in while the modules are imported, so each mutant runs in a process of its own.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """In `module`, `mutant` stands where the source says `genuine`; and so on with `also`.

    `world`: the one in which it shows soonest.
    """

    module: str
    genuine: str
    mutant: str
    world: str = "usual"
    also: Mutant | None = None

    def __iter__(self) -> Iterator[Mutant]:
        yield self
        if self.also is not None:
            yield from self.also


class _Patched(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    """Imports the modules of a mutant from their changed sources."""

    def __init__(self, mutant: Mutant) -> None:
        self._modules = {one.module: [other for other in mutant if other.module == one.module] for one in mutant}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self._modules:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.util.spec_from_loader(name, self, origin=found.origin if found else None)

    def exec_module(self, module: ModuleType) -> None:
        origin = str(module.__spec__.origin if module.__spec__ else "")
        module.__file__ = origin
        with open(origin, encoding="utf-8") as file:
            source = file.read()
        exec(compile(changed(self._modules[module.__name__], source), origin, "exec"), module.__dict__)


def changed(pieces: Sequence[Mutant], source: str) -> str:
    """The source with the fault in it. Raises LookupError where it does not read so any more."""
    for piece in pieces:
        if source.count(piece.genuine) != 1:
            raise LookupError(f"{piece.module} has {source.count(piece.genuine)} times: {piece.genuine}")
        source = source.replace(piece.genuine, piece.mutant)
    return source


def put_in(mutant: Mutant) -> None:
    """From now on the modules are imported with this fault. They must not have been imported yet."""
    assert not any(one.module in sys.modules for one in mutant)
    sys.meta_path.insert(0, _Patched(mutant))
