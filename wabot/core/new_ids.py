"""Random ids, for journals and batches."""

from __future__ import annotations

from collections.abc import Callable


def new_id(noise: Callable[[], float], digits: int) -> str:
    """An id of this many hexadecimal digits; `noise` returns random numbers from 0 to 1. No secret."""
    return "".join(f"{int(noise() * 16):x}" for _ in range(digits))
