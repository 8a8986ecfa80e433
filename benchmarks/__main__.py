"""`python -m benchmarks`: all benchmarks, or those that are named."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import accounts, acknowledge, deliver, depth, footprint, large, loop, people
from benchmarks.report import Row, table, write
from benchmarks.stage import Stage, step_aside

ALL: dict[str, Callable[[Stage], list[Row]]] = {
    "acknowledge": acknowledge.run,
    "deliver": deliver.run,
    "loop": loop.run,
    "accounts": accounts.run,
    "depth": depth.run,
    "large": large.run,
    "people": people.run,
    "footprint": footprint.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run them, print the table, and put it into docs/figures.md if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; default: all")
    parser.add_argument("--quick", action="store_true", help="tiny: shows that it works, and measures nothing")
    parser.add_argument("--write", action="store_true", help="put the table into docs/figures.md")
    parser.add_argument("--messages", type=int, default=1_000_000, help="of the large journal (default 1 000 000)")
    args = parser.parse_args(argv)
    unknown = set(args.names) - set(ALL)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if args.quick and args.write:
        parser.error("what --quick finds is not worth writing down")
    step_aside()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="wabot-benchmarks-") as scratch:
        for name in args.names or ALL:
            started = time.monotonic()
            rows += ALL[name](Stage(Path(scratch), quick=args.quick, messages=args.messages))
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    text = table(rows, shlex.join(["python", "-m", "benchmarks", *args.names]))
    print(text)
    if args.write:
        write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
