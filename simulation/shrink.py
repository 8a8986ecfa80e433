"""Makes a finding small: fewer days, fewer people, fewer kinds of faults, while the same kind of finding stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from simulation.faults import KINDS
from simulation.world import Plan, Run, run

ACTORS = ("operators", "moves", "stops", "asks", "colleagues")


def shrunk(found: Run) -> Run:
    """The smallest run with the same kind of finding that is found by leaving out one thing after the other."""
    assert found.finding is not None
    changed = True
    while changed:
        changed = False
        for plan in _smaller(found):
            tried = run(plan)
            if tried.finding is not None and tried.finding.kind == found.finding.kind:
                found, changed = tried, True
                break
    return found


def _smaller(found: Run) -> Iterator[Plan]:
    """Plans with less in them: the largest steps first."""
    plan = found.plan
    if found.day + 0.1 < plan.days:
        yield replace(plan, days=found.day + 0.05)
    kinds = [name for name in (*KINDS, *ACTORS) if name not in plan.without]
    for size in (len(kinds) // 2, len(kinds) // 4, 1):
        for start in range(0, len(kinds), size) if size else ():
            yield replace(plan, without=plan.without | set(kinds[start : start + size]))
    if plan.people > 2:
        yield replace(plan, people=plan.people // 2)


def about(found: Run, *, most: int = 60) -> list[str]:
    """The lines of the trace that concern the finding: its person's, and the faults."""
    assert found.finding is not None
    whose, text = found.finding.about, found.finding.text
    jobs = re.findall(r"\w{8}-\d+", text)
    wanted = [rf"person={whose}\b", rf"\b[w]{whose}\.\d+", rf"\bb\d+\.{whose}\b"] if whose.isdigit() else []
    wanted += [*map(re.escape, jobs), "FINDING", "fault", "crash", "start", "batch"]
    pattern = re.compile("|".join(wanted))
    return [line for line in found.lines if pattern.search(line)][-most:]
