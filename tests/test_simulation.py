"""The simulation: a seed is a run, bit for bit, and the promises hold in it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.house import ROOT


def simulate(seed: int, days: float, *, hashes: int) -> str:
    """What `python -m simulation` prints, in a process whose sets have another order."""
    command = [sys.executable, "-m", "simulation", "--seed", str(seed), "--days", str(days)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hashes)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_one_seed_is_one_run_bit_for_bit() -> None:
    first, again = (simulate(7, 0.5, hashes=hashes) for hashes in (1, 2))
    assert "trace " in first
    assert first == again


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_promises_hold(seed: int) -> None:
    assert "no finding" in simulate(seed, 1.0, hashes=0)
