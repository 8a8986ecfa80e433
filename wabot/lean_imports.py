"""Importing a library without the parts of it that only cost memory here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """While this lasts these modules cannot be imported: what wants them only if they are there goes without them."""
    hidden = [module for module in modules if module not in sys.modules]
    for module in hidden:
        sys.modules[module] = None  # type: ignore[assignment] # so the import system says: not to be had
    try:
        yield
    finally:
        for module in hidden:
            del sys.modules[module]
