"""The simulation: a seed is a run, bit for bit; the promises hold in it; and it finds what is broken on purpose.

WABOT_SIMULATED_DAYS: how many days each seed lives. `make simulate` runs many more.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.mutants import MUTANTS
from simulation.mutation import changed
from simulation.worlds import WORLDS
from tests.house import ROOT

WEIGHTED = ["people step in", "schedules", "schedules by a wrong clock", "people are forgotten", "few people a day"]
"""Worlds whose parts the usual one has little or nothing of."""
DAYS = float(os.environ.get("WABOT_SIMULATED_DAYS", "3"))
FIXED = range(1, 7)
FRESH = [secrets.randbelow(10**9) for _ in range(2)]
"""Other seeds each time. A finding is repeated with its seed, which is in what the test prints."""
ONCE_FOUND = [
    ("the owner's programs are away for days", 3, 7.5),
    ("the model is away for days", 101, 6.0),
]
"""(world, seed, days) of runs that had a finding once, which was understood and mended."""


def simulate(*arguments: str, hashes: int = 0) -> subprocess.CompletedProcess[str]:
    """`python -m simulation`, in a process whose sets have an order of their own."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hashes)}
    command = [sys.executable, "-m", "simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_one_seed_is_one_run_bit_for_bit() -> None:
    first, again = (simulate("--seed", "7", "--days", "0.5", hashes=hashes).stdout for hashes in (1, 2))
    assert "trace " in first
    assert first == again


@pytest.mark.parametrize("number", range(len(FIXED) + len(FRESH)))
def test_the_promises_hold(number: int) -> None:
    seed = [*FIXED, *FRESH][number]
    ended = simulate("--seed", str(seed), "--days", str(DAYS))
    assert ended.returncode == 0, f"python -m simulation --seed {seed} --days {DAYS}\n{ended.stdout}{ended.stderr}"


@pytest.mark.parametrize(("world", "seed", "days"), ONCE_FOUND)
def test_what_was_found_once_is_mended(world: str, seed: int, days: float) -> None:
    ended = simulate("--world", world, "--seed", str(seed), "--days", str(days))
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}"


@pytest.mark.parametrize("world", WEIGHTED)
def test_the_promises_hold_in_a_weighted_world(world: str) -> None:
    seed = str(FRESH[0])
    ended = simulate("--world", world, "--seed", seed, "--days", "2")
    assert ended.returncode == 0, f"python -m simulation --world '{world}' --seed {seed} --days 2\n{ended.stdout}"


def test_a_fault_is_found_with_its_seed_and_a_trace() -> None:
    ended = simulate("--mutant", "what a reply says is lost", "--seed", "1", "--days", "2")
    assert ended.returncode == 1
    assert "seed 1: " in ended.stdout
    assert "FINDING" in ended.stdout


@pytest.mark.parametrize("name", MUTANTS)
def test_the_source_reads_as_a_mutant_expects(name: str) -> None:
    assert MUTANTS[name].world in WORLDS
    for mutant in MUTANTS[name]:
        source = Path(ROOT, mutant.module.replace(".", "/") + ".py").read_text("utf-8")
        pieces = [piece for piece in MUTANTS[name] if piece.module == mutant.module]
        compile(changed(pieces, source), mutant.module, "exec")
