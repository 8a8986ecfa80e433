"""wabot in slices of three, that kills itself: `launch_killed.py STEP [run.py's arguments]`.

It dies as soon as that many commits of a large batch are on disk, before anybody hears of the last of them; 0: at once
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
from wabot.journal import batches
from wabot.journal.slices import Slices


def die_after(step: int) -> None:
    """Have `step` commits made, and no more."""
    write, commits = Slices._slice, 0

    async def counted(self: Slices, *args: Any, **more: Any) -> Any:
        nonlocal commits
        done = await write(self, *args, **more) if step else None
        commits += 1
        if commits >= step:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    Slices._slice = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    batches.SLICE = 3
    die_after(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
