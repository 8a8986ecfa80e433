"""wabot with a probe in its loop: `launch_probed.py FILE GUARD [run.py's arguments]`.

The probe's turn comes every few milliseconds. The longest that it had to wait is in FILE, in seconds, and counts anew
from when the file was removed. What others on this machine do shall not count, nor what threads do beside the loop
(SQLite's commits); so of the wall's time and the CPU's time of the whole process the lesser counts.

GUARD is "none", or which one of those that keep the loop free is missing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from wabot import cli
from wabot.core import json_limits
from wabot.offload import Offload

EVERY = 0.005


async def probe(file: Path) -> None:
    """Write down how long our turn took to come, at the longest."""
    worst = 0.0
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(EVERY)
        lag = min(time.perf_counter() - wall, time.process_time() - cpu)
        if not file.exists():
            worst = 0.0
            file.write_text("0")
        elif lag > worst:
            worst = lag
            file.write_text(str(lag))


def have_a_probe(file: Path) -> None:
    """Let wabot run with a probe beside it."""
    serve = cli._serve

    async def watched(settings: Any) -> int:
        watching = asyncio.create_task(probe(file))
        try:
            return await serve(settings)
        finally:
            watching.cancel()

    cli._serve = watched


def read_all_at_once() -> None:
    """JSON of any number of values in one call."""
    json_limits.AT_ONCE = json_limits.MOST = 1 << 40


def nothing_aside() -> None:
    """What takes long is done in the loop."""

    async def here(_: Offload, function: Any, *args: Any, **more: Any) -> Any:
        return function(*args, **more)

    Offload.__call__ = here  # type: ignore[method-assign]


MISSING: Mapping[str, Callable[[], None]] = {
    "none": lambda: None,
    "read_all_at_once": read_all_at_once,
    "nothing_aside": nothing_aside,
}

if __name__ == "__main__":
    have_a_probe(Path(sys.argv[1]))
    MISSING[sys.argv[2]]()
    sys.exit(cli.main(sys.argv[3:]))
