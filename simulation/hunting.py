"""Hunts mutants: runs each, seed after seed, until a promise is broken."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from simulation.mutants import MUTANTS
from simulation.worlds import WORLDS

BROKEN = "wabot or the simulation broke"
"""Not a promise: that is no finding, unless it is the mutant which makes wabot raise what it must not."""


@dataclass(frozen=True)
class Hunt:
    """What came of the hunt for a mutant: the days that were simulated, and the line of the run that found it."""

    name: str
    days: float
    found: str


def hunt(names: Iterable[str], *, days: float, workers: int) -> list[Hunt]:
    """Run each mutant in its world until it is found, for at most `days`."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda name: _hunt(name, days), names))


def _hunt(name: str, days: float) -> Hunt:
    world = MUTANTS[name].world
    piece, spent, seed = WORLDS[world].days, 0.0, 0
    while spent < days:
        seed += 1
        run = ["--mutant", name, "--world", world, "--seed", str(seed), "--days", str(piece)]
        ended = subprocess.run([sys.executable, "-m", "simulation", *run], capture_output=True, text=True, check=False)
        if ended.returncode:
            line = (ended.stdout.strip() or ended.stderr.strip() or "?").splitlines()[-1]
            if not line.startswith("seed "):
                line = f"{BROKEN}: {line}"
            print(f"{name}: after {spent + _day(line):.1f} days of {world!r}: {line[:150]}", flush=True)
            return Hunt(name, spent + _day(line), line.partition(", trace")[0])
        spent += piece
    print(f"{name}: NOT FOUND in {spent:g} days of {world!r}", flush=True)
    return Hunt(name, spent, "")


def _day(line: str) -> float:
    """On which day of its run something was found."""
    found = re.search(r"; ([\d.]+) days", line)
    return float(found[1]) if found else 0.0


def table(hunts: Sequence[Hunt]) -> str:
    """For people."""
    lines = [f"{one.name:<72} {one.found[:110] if one.found else f'NOT FOUND in {one.days:g} days'}" for one in hunts]
    return "\n".join([*lines, f"{sum(bool(one.found) for one in hunts)} of {len(hunts)} found"])
