"""Whether wabot can do its job, what the rest of its world is like, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core.errors import JournalDown
from wabot.core.jobs import Kind
from wabot.journal.journal import Journal
from wabot.monitor.watch import ASKED_SECONDS, Watch
from wabot.work.lane import Lane


@dataclass(frozen=True, slots=True)
class World:
    """Whether each part of it answers, as it was last seen; None before it was asked. `mongo` None: there is none."""

    meta: Callable[[], bool | None]
    model: Callable[[], bool | None]
    mongo: Callable[[], bool | None] | None


class Health:
    """What `/readyz` says."""

    def __init__(self, journal: Journal, lanes: Mapping[Kind, Lane], watch: Watch, world: World) -> None:
        self._journal, self._lanes, self._watch, self._world = journal, lanes, watch, world

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether we can do our job, and the state of all that it takes."""
        journal = "ok"
        try:
            await self._journal.ping()
        except JournalDown:
            journal = "down"
        await self._watch.look()
        lanes = {str(kind): lane.state for kind, lane in self._lanes.items()}
        ready = journal == "ok" and "stopped" not in lanes.values()
        return ready, {
            "ready": ready,
            "journal": journal,
            "lanes": lanes,
            "paused": {str(kind): lane.paused.reason for kind, lane in self._lanes.items() if lane.paused},
            "mongo": "embedded" if self._world.mongo is None else _word(self._world.mongo()),
            "graph": _word(self._world.meta()),
            "llm": _word(self._world.model()),
            "last_webhook_at": self._watch.last_webhook_at,
            "problems": self._watch.problems.documents(),
        }

    def probe(self, kind: str) -> dict[str, Any] | None:
        """Try at once whether the jobs of a paused lane get through, and let doctor look again; None: no such lane."""
        lane = next((lane for known, lane in self._lanes.items() if known == kind), None)
        if lane is None:
            return None
        lane.probe()
        self._watch.examine_soon(ASKED_SECONDS)
        return {"lane": kind, "state": lane.state, "reason": lane.paused.reason if lane.paused else None}


def _word(works: bool | None) -> str:
    return {True: "ok", False: "down", None: "unknown"}[works]
