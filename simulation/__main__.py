"""`python -m simulation --seed N --days D`: simulates, and says what it found. Exit status 1: a promise was broken.

A finding is printed with its seed and the smallest trace in which it is found again. `--runs N` runs N seeds, each of
D days, on all processors. `--mutants` puts faults into wabot, one at a time, and shows which are found.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from typing import Any


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--days", type=float, default=1.0, help="of each run")
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="how many seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trace", type=int, default=0, metavar="N", help="print the last N lines of the trace")
    parser.add_argument("--small", action="store_true", help="make a finding small (takes a while)")
    parser.add_argument("--world", default="usual", metavar="NAME", help="a weighted one, of worlds.py")
    parser.add_argument("--mutant", metavar="NAME", help="put this fault in")
    parser.add_argument("--mutants", action="store_true", help="hunt all faults")
    parser.add_argument("--most", type=float, default=200.0, metavar="DAYS", help="for each of them")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Do what the arguments say."""
    args = arguments(argv)
    if args.mutants:
        from simulation.hunting import hunt, table
        from simulation.mutants import MUTANTS

        hunts = hunt([args.mutant] if args.mutant else MUTANTS, days=args.most, workers=args.workers)
        print(table(hunts))
        return 0 if all(one.found for one in hunts) else 1
    if args.mutant:
        from simulation.mutants import MUTANTS
        from simulation.mutation import put_in

        put_in(MUTANTS[args.mutant])
    if args.runs == 1:
        return int(simulate(args.seed, args.days, args.world, args.trace, args.small))
    seeds = range(args.seed, args.seed + args.runs)
    return simulate_many([(seed, args.days, args.world, args.trace, args.small) for seed in seeds], args.workers)


def simulate_many(runs: Sequence[tuple[Any, ...]], workers: int) -> int:
    """Simulate all, until they end or somebody stops it, and say what was done. The exit status.

    What is stopped by Ctrl-C or SIGTERM ends the runs that have begun.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ProcessPoolExecutor(workers, initializer=_leave_signals) as pool:
        begun = {pool.submit(simulate, *run): run for run in runs}
        try:
            wait(begun)
        except KeyboardInterrupt:
            print("stopping: what has begun is finished", flush=True)
            pool.shutdown(cancel_futures=True)
    ended = {run[0]: one.result() for one, run in begun.items() if not one.cancelled()}
    findings = [seed for seed, found in ended.items() if found]
    days = sum(run[1] for run in runs if run[0] in ended)
    print(f"{len(ended)} of {len(runs)} runs, {days:g} days; seeds with a finding: {findings or 'none'}", flush=True)
    return int(bool(findings) or len(ended) < len(runs))


def _leave_signals() -> None:
    """The first process is stopped, and stops the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def simulate(seed: int, days: float, world: str, lines: int, small: bool) -> bool:
    """Run a seed, and print what came of it; whether something was found."""
    from simulation.shrink import about, shrunk
    from simulation.world import Plan, run, settings_of
    from wabot import log

    log.configure(settings_of(seed).log)
    found = run(Plan(seed, days, world=world))
    if small and found.finding is not None:
        found = shrunk(found)
        print(f"# seed {seed}, {found.plan.days:.2f} days, {found.plan.people} people, without "
              f"{', '.join(sorted(found.plan.without)) or 'nothing'}:")  # fmt: skip
    for line in found.lines[-lines:] if lines else about(found) if found.finding else []:
        print(line)
    print(f"seed {seed}: {found.finding or 'no finding'}; {found.day:.2f} days, {found.crashes} crashes,"
          f" trace {found.digest}", flush=True)  # fmt: skip
    return found.finding is not None


if __name__ == "__main__":
    sys.exit(main())
