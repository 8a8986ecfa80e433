"""Webhook deliveries acknowledged per second, against a handler that keeps nothing.

What is measured is all of wabot as `python run.py` runs it with the default settings and the canned assistant: HTTP,
signature, parsing, contact, message and reply job in one commit with its fsync, the log line; the lanes run beside it.
Every round starts every server anew, one after the other on the same core, and afterwards the journal must hold all
that was acknowledged.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.load import Load, drive
from benchmarks.report import Row, median, ms, ratio, thousands
from benchmarks.stage import Server, Stage
from benchmarks.webhooks import PEOPLE, requests
from wabot.journal.journal import FILE_NAME

CONNECTIONS = 64
MOST_PER_SECOND = 25_000
"""More than any of these servers can take."""
SLOWER_US = 2000
NEW = "new people"
LEAST_KNOWN, LEAST_NEW, MOST_P99 = 0.55, 0.48, 0.015
"""What is wanted: shares of the bare handler's rate, for people who wrote before and for new ones, and seconds."""
ALONE = 0.85
"""The share of its core from which on a server counts as alone there."""
PYWA = "pywa[server]==4.5.0"
ONE_COMMIT = ("-m", "benchmarks.programs.one_commit")

Start = Callable[[], AbstractContextManager[Server]]


@dataclass(frozen=True, slots=True)
class Round:
    """One server under load. `cpu`: what a request cost it, in seconds of its core; `share`: how much of it it got."""

    load: Load
    cpu: float
    share: float


def run(stage: Stage) -> list[Row]:
    """Every server in turn, round by round."""
    servers = _servers(stage)
    rounds: dict[str, list[Round]] = {name: [] for name in servers}
    for _ in range(stage.pick(3, 1)):
        for name, start in servers.items():
            rounds[name].append(_round(stage, start, new=name == NEW))
            last = rounds[name][-1].load
            print(f"  {name}: {last.rate:.0f}/s, p99 {ms(last.quantile(0.99))}", file=sys.stderr)
    return rows_of(rounds)


def _servers(stage: Stage) -> dict[str, Start]:
    servers: dict[str, Start] = {
        "bare": stage.bare,
        "wabot": stage.wabot,
        NEW: stage.wabot,
        "one commit": partial(stage.wabot, program=ONE_COMMIT),
    }
    shim = None if stage.quick else slow_fsync(stage.scratch)
    if shim is not None:
        env = {"LD_PRELOAD": str(shim), "SLOW_FSYNC_US": str(SLOWER_US)}
        servers["slow"] = partial(stage.wabot, env=env)
        servers["slow one commit"] = partial(stage.wabot, program=ONE_COMMIT, env=env)
    python = None if stage.quick else _pywa()
    if python is not None:
        servers["pywa"] = partial(stage.pywa, python)
    return servers


def _round(stage: Stage, start: Start, *, new: bool) -> Round:
    """`new`: every delivery is the first of a person; otherwise all have written before, if not in the warm-up."""
    seconds, warm_up = stage.pick((3.0, 1.0), (0.2, 0.1))
    count = int(MOST_PER_SECOND * (seconds + warm_up))
    deliveries = requests(count, people=count if new else PEOPLE)
    with start() as server:
        used = server.cpu_seconds
        load = drive(server.port, deliveries, connections=CONNECTIONS, seconds=seconds, warm_up=warm_up)
        used = server.cpu_seconds - used
    if load.refused or not load.answered:
        raise RuntimeError(f"{load.refused} of {load.answered + load.refused} deliveries were not answered 200")
    journal = server.data / FILE_NAME
    if journal.exists() and (kept := _messages(journal)) != load.answered:
        raise RuntimeError(f"{load.answered} deliveries were acknowledged, and the journal has {kept}")
    return Round(load, used / load.answered, used / (seconds + warm_up))


def _messages(journal: Path) -> int:
    with closing(sqlite3.connect(journal)) as db:
        return int(db.execute("SELECT count(*) FROM messages WHERE direction = 'in'").fetchone()[0])


def rows_of(rounds: dict[str, list[Round]]) -> list[Row]:
    """What the rounds of every server say."""
    bare, wabot = rounds["bare"], rounds["wabot"]
    noise = _noise(bare)
    rows = [
        Row("Bare aiohttp handler on uvloop (signature, JSON, 200), one core, 64 connections", _summary(bare)),
        _durable("people who wrote before", bare, wabot, LEAST_KNOWN, is_quiet=noise is None),
    ]
    if NEW in rounds:
        rows.append(_durable(NEW, bare, rounds[NEW], LEAST_NEW, is_quiet=noise is None))
    if "slow" in rounds:
        rows.append(Row("The same with every fsync 2 ms slower", f"{ratio(_ratios(rounds['slow'], bare))}:"
                        f" {_summary(rounds['slow'])}"))  # fmt: skip
    else:
        rows.append(Row("The same with every fsync 2 ms slower", "skipped: it takes Linux and a C compiler"))
    rows.append(_worth("Group commit, against one commit per request", rounds, "wabot", "one commit"))
    if "slow" in rounds:
        rows.append(_worth("The same with every fsync 2 ms slower", rounds, "slow", "slow one commit"))
    if "pywa" in rounds:
        rows.append(Row("pywa's own server, which stores nothing, of the bare handler's",
                        f"{ratio(_ratios(rounds['pywa'], bare))}: {_summary(rounds['pywa'])}"))  # fmt: skip
    else:
        rows.append(Row("pywa's own server, which stores nothing", "skipped: pip could not install it"))
    busiest = max(one.load.busy for several in rounds.values() for one in several)
    rows.append(Row("Load generator, at its busiest", f"{busiest:.0%} of its core"))
    return rows if noise is None else [*rows, noise]


def _durable(who: str, bare: list[Round], wabot: list[Round], least: float, *, is_quiet: bool) -> Row:
    ratios, p99 = _ratios(wabot, bare), _quantile(wabot, 0.99)
    by_cpu = median(one.cpu for one in bare) / median(one.cpu for one in wabot)
    met = median(ratios) >= least and p99 <= MOST_P99 if is_quiet else None
    return Row(
        f"Durable acknowledgements to {who}, of the bare handler's",
        f"{ratio(ratios)} ({by_cpu:.2f} by CPU time): {_summary(wabot)}",
        f"at least {least:.2f}, p99 at most {ms(MOST_P99)}",
        met,
    )


def _noise(bare: list[Round]) -> Row | None:
    """What to say where the machine was busy: then no ratio is worth a verdict.

    The bare handler never waits for a disk, so under this load it takes all of the core that it can get. Where it got
    less, or was not always as fast, others had a part of the time in which wabot waits for its fsyncs, too.
    """
    rates, least = [one.load.rate for one in bare], min(one.share for one in bare)
    if max(rates) <= 2 * min(rates) and least >= ALONE:
        return None
    varied = f"varied by {max(rates) / min(rates):.1f} times and got {least:.0%} of its core"
    return Row("Noise", f"the bare handler itself {varied}: run this on a quiet machine")


def _worth(what: str, rounds: dict[str, list[Round]], one: str, other: str) -> Row:
    return Row(what, f"{ratio(_ratios(rounds[one], rounds[other]))} times; without: {_summary(rounds[other])}")


def _ratios(some: list[Round], others: list[Round]) -> list[float]:
    return [one.load.rate / other.load.rate for one, other in zip(some, others, strict=True)]


def _quantile(rounds: list[Round], q: float) -> float:
    return median(one.load.quantile(q) for one in rounds)


def _summary(rounds: list[Round]) -> str:
    rate, cpu = median(one.load.rate for one in rounds), median(one.cpu for one in rounds)
    p50, p99 = ms(_quantile(rounds, 0.5)), ms(_quantile(rounds, 0.99))
    return f"{thousands(rate)}/s, p50 {p50}, p99 {p99}, {cpu * 1e6:.0f} µs of CPU each"


def slow_fsync(scratch: Path) -> Path | None:
    """The library that makes fsync slow, if this machine can compile it."""
    compiler, library = shutil.which("cc"), scratch / "slow_fsync.so"
    if compiler is None or sys.platform != "linux":
        return None
    source = Path(__file__).with_name("programs") / "slow_fsync.c"
    built = subprocess.run([compiler, "-O2", "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"], check=False)
    return library if built.returncode == 0 else None


def _pywa() -> Path | None:
    """A Python that has pywa, in a virtual environment of its own that outlives this run."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wabot-benchmarks"
    python = cache / PYWA / "bin" / "python"
    if python.exists():
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", str(cache / PYWA)], check=True, timeout=60)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYWA]
        subprocess.run(install, check=True, timeout=180, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        shutil.rmtree(cache / PYWA, ignore_errors=True)
        return None
    return python
