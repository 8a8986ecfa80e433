"""Imports a library without optional parts that we do not use, to save memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Hide these modules within the block, so that libraries that use them only if installed do without them."""
    hidden = [module for module in modules if module not in sys.modules]
    for module in hidden:
        sys.modules[module] = None  # type: ignore[assignment] # makes `import` raise ImportError
    try:
        yield
    finally:
        for module in hidden:
            del sys.modules[module]
