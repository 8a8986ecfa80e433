"""Fakes that work: small, in memory, and held to the contracts of what they stand for (tests/test_fakes.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wabot.adapters.mongo_documents import is_theirs
from wabot.core.conversation import Prompt
from wabot.core.exceptions import ArchiveDown, AssistantFailed, DeliveryError, JournalDown
from wabot.core.history_span import ALWAYS, Span
from wabot.core.jobs import Job, Kind, Outcome, State, move
from wabot.core.json_values import blanked
from wabot.core.messages import Contact
from wabot.core.meta_errors import Accepted
from wabot.core.model_answers import ModelAnswer
from wabot.core.outgoing import Origin, Outgoing
from wabot.core.tools import NO_TOOLS, ToolUse

TEXT = Outgoing({"type": "text", "text": {"body": "words that nobody logs"}}, "words that nobody logs", Origin.AI)


@dataclass
class Entry:
    """A job as the queue keeps it; `outcomes` is everything that was settled on it."""

    job: Job
    state: State
    due_at: float
    outcomes: list[Outcome] = field(default_factory=list)
    priority: int = 0


class MemoryQueue:
    """The journal, as a lane needs it. `down`: it raises JournalDown; `broken`: a claim raises this.

    `claims`, `looks`: how often jobs were claimed, and how often the first due one was asked for.
    """

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.down = False
        self.broken: Exception | None = None
        self.claims = self.looks = 0

    def put(
        self,
        due_at: float,
        *,
        kind: Kind = Kind.SEND,
        contact: Contact | None = None,
        priority: int = 0,
        **fields: Any,
    ) -> int:
        """Queue a job; its id."""
        job_id = len(self.entries) + 1
        contact = contact or Contact(job_id, wa_id=f"9192165{job_id:05}", last_inbound_at=due_at)
        known: dict[str, Any] = {"token": 0, "attempt": 0, "spent": 0, "created_at": due_at, "outgoing": TEXT}
        job = Job(job_id, kind, contact, **{**known, **fields})
        self.entries[job_id] = Entry(job, State.QUEUED, due_at, priority=priority)
        return job_id

    def states(self) -> list[State]:
        """Of all jobs, in the order of their ids."""
        return [entry.state for entry in self.entries.values()]

    async def claim(self, kind: Kind, *, limit: int, now: float) -> list[Job]:
        await asyncio.sleep(0)
        self._refuse_when_down()
        if self.broken is not None:
            raise self.broken
        self.claims += 1
        due = [e for e in self.entries.values() if self._is_queued(e, kind) and e.due_at <= now]
        claimed = sorted(due, key=lambda entry: (entry.priority, entry.due_at, entry.job.id))[:limit]
        for entry in claimed:
            entry.state = State.RUNNING
            entry.job = replace(entry.job, token=self.claims, attempt=entry.job.attempt + 1)
        return [entry.job for entry in claimed]

    async def settle(self, job: Job, outcome: Outcome, now: float) -> State | None:
        await asyncio.sleep(0)
        self._refuse_when_down()
        entry = self.entries[job.id]
        state = move(State.RUNNING, outcome.event)
        if entry.state is not State.RUNNING or entry.job.token != job.token:
            return None
        if outcome.wamid is not None:
            outcome.wamid.encode()  # as SQLite does
        entry.state, entry.due_at = state, outcome.due_at or now
        entry.job = replace(entry.job, spent=entry.job.spent + outcome.spent)
        entry.outcomes.append(outcome)
        return state

    async def next_due(self, kind: Kind) -> float | None:
        self._refuse_when_down()
        self.looks += 1
        return min((e.due_at for e in self.entries.values() if self._is_queued(e, kind)), default=None)

    def _is_queued(self, entry: Entry, kind: Kind) -> bool:
        return entry.state is State.QUEUED and entry.job.kind is kind

    def _refuse_when_down(self) -> None:
        if self.down:
            raise JournalDown("the disk is full")


class MemoryArchive:
    """The archive. `down`: it raises ArchiveDown; `refused`: keys that it does not take, each with the reason."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, str] = {}
        self.down = False
        self.asked = 0

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]:
        self._answer()
        refused = {}
        for position, document in enumerate(documents):
            if document["_id"] in self.refused:
                refused[position] = self.refused[document["_id"]]
            else:
                self.documents[document["_id"]] = self.documents.get(document["_id"], {}) | document
        return refused

    async def ping(self) -> None:
        self._answer()

    async def lacks(self, versions: Mapping[str, int]) -> set[str]:
        self._answer()
        return {
            key
            for key, version in versions.items()
            if key not in self.documents or self.documents[key].get("version", version) < version
        }

    async def forget(self, names: Sequence[str], keys: Sequence[str]) -> int:
        self._answer()
        theirs = [
            key
            for key, document in self.documents.items()
            if document["contact"] in keys
            or (set(names).intersection(document["participant_numbers"]) and is_theirs(document, names, ""))
        ]
        for key in theirs:
            del self.documents[key]
        return len(theirs)

    async def blank(self, told: Sequence[tuple[str, str]]) -> None:
        self._answer()
        for key, words in told:
            if key in self.documents:
                self.documents[key] = blanked(self.documents[key], words)

    async def recent(self, names: Sequence[str], key: str, limit: int) -> list[dict[str, Any]]:
        return [found for found in await self.history(names, key, limit, ()) if is_theirs(found, names, key)]

    async def find(self, identities: Iterable[str | None], contact: str | None, id_: str) -> dict[str, Any] | None:
        found = await self.history(identities, contact, 0, ("queued", "failed"))
        return next((document for document in found if id_ in (document["id"], document["_id"])), None)

    async def history(
        self,
        identities: Iterable[str | None],
        contact: str | None,
        limit: int,
        include: Sequence[str],
        *,
        span: Span = ALWAYS,
    ) -> list[dict[str, Any]]:
        self._answer()
        people = set(filter(None, identities))
        found = [
            document
            for document in self.documents.values()
            if (people.intersection(document["participant_numbers"]) or contact == document["contact"] is not None)
            and (document["id"] is not None or document["status"] in include)
            and (span.since is None or int(document["timestamp"]) >= span.since)
            and (span.below is None or int(document["timestamp"]) < span.below)
        ]
        found.sort(key=lambda document: (document["timestamp"], document["_id"]), reverse=True)
        return found[: limit or None]

    def _answer(self) -> None:
        self.asked += 1
        if self.down:
            raise ArchiveDown("MongoDB does not answer")


class ScriptedGraph:
    """Meta: accepts everything, after the errors that a test puts into `errors`."""

    def __init__(self, *errors: DeliveryError) -> None:
        self.errors = list(errors)
        self.requests: list[Mapping[str, Any]] = []

    async def send(self, request: Mapping[str, Any]) -> Accepted:
        self.requests.append(request)
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        wamid = f"wamid.{len(self.requests)}"
        to = str(request.get("to", "")).removeprefix("+") or None
        return Accepted(wamid, to, {"messages": [{"id": wamid}]})


class ScriptedAssistant:
    """A model: says `text`, after failing for the reasons that a test puts into `failures`."""

    def __init__(self, text: str = "We open at nine.", *, failures: Sequence[str] = ()) -> None:
        self.text = text
        self.failures = list(failures)
        self.asked: list[Prompt] = []

    async def answer(self, prompt: Prompt, _use: ToolUse = NO_TOOLS) -> ModelAnswer:
        self.asked.append(prompt)
        await asyncio.sleep(0)
        if self.failures:
            raise AssistantFailed(self.failures.pop(0))
        return ModelAnswer(self.text)

    async def close(self) -> None:
        """Nothing is open."""
