"""wabot that kills itself: `launch_killed.py WHAT STEP [run.py's arguments]`.

WHAT is done in steps of three: `batch`, a large batch that is queued, or `reclaim`, webhooks that were kept for a phone
number id. wabot dies as soon as STEP commits of it are on disk, before anybody hears of the last of them; 0: at once
when the first is asked for.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from wabot.cli import main
from wabot.journal import batches, foreign_webhooks
from wabot.journal.batch_queueing import Slices
from wabot.journal.journal import Journal

WHAT: dict[str, tuple[type, str]] = {"batch": (Slices, "write"), "reclaim": (Journal, "reclaim")}
"""Whose method makes one commit."""


def die_after(what: str, step: int) -> None:
    """Have `step` commits made, and no more."""
    owner, name = WHAT[what]
    write, commits = getattr(owner, name), 0

    async def counted(*args: Any, **more: Any) -> Any:
        nonlocal commits
        done = await write(*args, **more) if step else None
        commits += 1
        if commits >= step:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(owner, name, counted)


if __name__ == "__main__":
    batches.WRITTEN_AT_ONCE = 1
    batches.SLICE = foreign_webhooks.STEP_WEBHOOKS = 3
    die_after(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
