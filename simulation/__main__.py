"""`python -m simulation --seed N --days D`: simulates, and says what it found. Exit status 1: a promise was broken."""

from __future__ import annotations

import argparse
import sys

from simulation.world import Plan, run, settings_of
from wabot import log


def main(argv: list[str] | None = None) -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--trace", type=int, default=0, metavar="N", help="print the last N lines of the trace")
    args = parser.parse_args(argv)
    log.configure(settings_of(args.seed).log)
    found = run(Plan(args.seed, args.days))
    for line in found.lines[-args.trace :] if args.trace else []:
        print(line)
    print(f"seed {args.seed}: {found.finding or 'no finding'}; {found.day:.2f} days, {found.crashes} crashes,"
          f" trace {found.digest}")  # fmt: skip
    return 1 if found.finding else 0


if __name__ == "__main__":
    sys.exit(main())
