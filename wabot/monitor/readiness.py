"""The state that `/readyz` shows: readiness, the external services, and the problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core.exceptions import JournalDown
from wabot.core.jobs import Kind
from wabot.journal.journal import Journal
from wabot.monitor.check_schedule import ASKED_SECONDS
from wabot.monitor.problem_sources import Watch
from wabot.work.lane import Lane

NO_ENDPOINTS = "[[events]] names no endpoints"
"""Why there is no lane of events."""


@dataclass(frozen=True, slots=True)
class World:
    """Whether each external service answered last time (None before the first). `mongo` is None without MongoDB."""

    meta: Callable[[], bool | None]
    model: Callable[[], bool | None]
    mongo: Callable[[], bool | None] | None


class Readiness:
    """Collects the state for `/readyz`."""

    def __init__(self, journal: Journal, lanes: Mapping[Kind, Lane], watch: Watch, world: World) -> None:
        self._journal, self._lanes, self._watch, self._world = journal, lanes, watch, world

    async def state(self) -> tuple[bool, dict[str, Any]]:
        """Whether the journal and the lanes work, and the state of everything."""
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
        """Send a probe through a paused lane at once, and run doctor soon; its state, None for an unknown lane."""
        lane = next((lane for known, lane in self._lanes.items() if known == kind), None)
        if lane is None:
            return {"lane": kind, "state": "stopped", "reason": NO_ENDPOINTS} if kind == Kind.EVENT else None
        lane.probe()
        self._watch.examine_soon(ASKED_SECONDS)
        return {"lane": kind, "state": lane.state, "reason": lane.paused.reason if lane.paused else None}


def _word(works: bool | None) -> str:
    return {True: "ok", False: "down", None: "unknown"}[works]
