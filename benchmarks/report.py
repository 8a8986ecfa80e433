"""What was found, as a table."""

from __future__ import annotations

import datetime
import os
import platform
import sqlite3
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stage import ROOT, cores

START, END = "<!-- bench:start -->", "<!-- bench:end -->"
FIGURES = ROOT / "docs" / "figures.md"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what was measured, what came out, what was wanted ("" = nothing), and whether that was met."""

    what: str
    found: str
    wanted: str = ""
    met: bool | None = None


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def ratio(values: Sequence[float]) -> str:
    """The median, and from where to where the rounds went."""
    return f"**{median(values):.2f}** [{min(values):.2f}–{max(values):.2f}]"


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def table(rows: Iterable[Row], command: str) -> str:
    """Markdown: the command, the machine, the rows."""
    verdicts = {None: "", True: "yes", False: "**no**"}
    lines = [f"`{command}` on {machine()}:", "", "| what | measured | wanted | met |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.what} | {row.found} | {row.wanted} | {verdicts[row.met]} |" for row in rows]
    return "\n".join(lines)


def machine() -> str:
    """The machine, the day, and the versions that matter."""
    pinned = "" if cores() else ", nothing pinned to cores"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"{os.cpu_count()} × {_processor()} ({platform.system()}{pinned}), {today},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def write(text: str, page: Path = FIGURES) -> None:
    """Put `text` between the markers of the page. Raises ValueError where they are missing."""
    whole = page.read_text("utf-8")
    before, start, rest = whole.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{page} has no {START} … {END}")
    page.write_text(f"{before}{START}\n{text}\n{END}{after}", "utf-8")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
