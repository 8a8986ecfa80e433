"""Keeps the memory of the process small: the C library's allocator, and Python's garbage collection."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_M_MMAP_THRESHOLD, _M_ARENA_MAX, _LARGE_BYTES = -3, -8, 1 << 13


def share_one_pool() -> None:
    """One pool of memory for all threads: glibc gives each its own, 40 KB for an idle one; ours run in turn anyway."""
    _mallopt(_M_ARENA_MAX, 1)


def settle_in() -> None:
    """Exclude what was loaded at the start from garbage collection, and return large freed memory to the system."""
    gc.collect()
    gc.freeze()
    # By default glibc never returns the memory of many bodies at once; they come in pieces of web.server.PIECE_BYTES.
    _mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _mallopt(parameter: int, value: int) -> None:
    """Tune the C library's allocator. https://man7.org/linux/man-pages/man3/mallopt.3.html"""
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(parameter, value)
