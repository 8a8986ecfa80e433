"""Looks at the outbox as an operator does, again and again: does each job have its turn, and did each end rightly?

What is due is done soon; what waits, waits behind something; nothing is given up for what was not its own fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from simulation.faults import CRASHES
from simulation.timeline import START, actor
from simulation.witness import Witness

OPEN = ("queued", "waiting", "running", "in_doubt", "held")
DUE = ("queued", "in_doubt", "held")
OVERDUE_SECONDS = 100.0
"""So long after its time a job that nothing delays has had its turn: timers look once a minute."""
ARCHIVE, ARCHIVE_SECONDS = ("archive away",), 60.0
"""So long after the archive came back it is used again."""
YOUNG_SECONDS = 500.0
"""A reply that is not older than this is not too late, whatever a clock said."""
CLOCKS = ("clock jumps", "clock hiccup")
DELAYS_REPLIES = (*CRASHES, "disk full", "disk fails", "disk slow", *CLOCKS, "archive slow")

Job = dict[str, Any]


class OutboxWatch:
    """The looks. Of what looks wrong only what still does so a while later is a finding."""

    def __init__(self, world: Any, every: float) -> None:
        self._world, self._every = world, every
        self._witness: Witness = world.witness
        self._judged: set[str] = set()
        self._suspects: set[str] = set()

    def start(self) -> None:
        """Begin to look."""
        actor(self._again_and_again())

    async def _again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            for kind in ("send", "reply"):
                await self._look(kind)
            for job in await self._listed("send", "failed"):
                self._judge_failed_send(job)
            for job in await self._listed("reply", "failed"):
                self._judge_failed_reply(job)
            for job in await self._listed("reply", "expired"):
                self._judge_expired_reply(job)
            await self._read_a_history()

    async def _listed(self, kind: str, state: str) -> list[Job]:
        found = await self._world.operators.ask("GET", f"/outbox?kind={kind}&state={state}&limit=200")
        return list(found.json["outbox"]) if found.status == 200 else []

    async def _read_a_history(self) -> None:
        """While the archive answers, histories are whole."""
        world, now = self._world, self._witness.now()
        person = world.customers.people[0]
        found = await world.operators.ask("POST", "/get", {"number": f"+{person.customer.number}", "limit": 5})
        calm = world.faults.calm(now, self._witness.now(), margin=ARCHIVE_SECONDS, kinds=DELAYS_REPLIES + ARCHIVE)
        if world.archive is not None and found.status == 200 and found.json.get("partial") and calm:
            self._witness.found(
                "partial", "the archive answers, and a history has only what the journal has", person.id
            )

    # --- what is open ---

    async def _look(self, kind: str) -> None:
        """What looks wrong, twice."""
        first = await self._wrong(kind)
        if first:
            await asyncio.sleep(5.0)
            again = await self._wrong(kind)
            for job_id in sorted(first.keys() & again.keys()):
                text, number = again[job_id]
                self._witness.found("no turn", f"{kind} {job_id} {text}", number)

    async def _wrong(self, kind: str) -> dict[str, tuple[str, str]]:
        jobs = [job for state in OPEN for job in await self._listed(kind, state)]
        wrong = self._overdue(kind, jobs) | self._due_too_late(jobs)
        for job in jobs:
            if job["state"] == "waiting" and not self._waits_behind_another(job, jobs):
                wrong[job["outbox_id"]] = "waits behind nothing", str(job["number"])
        return wrong

    def _overdue(self, kind: str, jobs: Iterable[Job]) -> dict[str, tuple[str, str]]:
        now, faults = self._witness.now(), self._world.faults
        calm = (
            faults.calm(now, now, margin=2 * OVERDUE_SECONDS, kinds=DELAYS_REPLIES)
            if kind == "reply"
            else faults.calm_after_all(now - OVERDUE_SECONDS, now)
        )
        late = START + now - OVERDUE_SECONDS
        return {
            job["outbox_id"]: (f"is {job['state']}, though it was due {START + now - job['due_at']:.0f} s ago",
                               str(job["number"]))
            for job in jobs
            if calm and job["state"] in DUE and job["due_at"] < late
        }  # fmt: skip

    def _due_too_late(self, jobs: Iterable[Job]) -> dict[str, tuple[str, str]]:
        """What is tried again waits for one back-off at the most, also where another clock queued it before a start."""
        now, world = self._witness.now(), self._world
        started = max(world.supervisor.starts, default=now)
        latest = now + world.settings.delivery.backoff_max_seconds + OVERDUE_SECONDS
        if now < started + OVERDUE_SECONDS or not world.faults.calm(started, now, margin=60.0, kinds=CLOCKS):
            return {}
        return {
            job["outbox_id"]: (f"is due only in {job['due_at'] - START - now:.0f} s", str(job["number"]))
            for job in jobs
            if job["state"] == "queued" and job["due_at"] > START + latest
        }

    def _waits_behind_another(self, job: Job, jobs: Iterable[Job]) -> bool:
        ahead = ("queued", "running", "in_doubt")
        same = {name for name in (job["number"], job["bsuid"]) if name}
        return any(other["state"] in ahead and same & {other["number"], other["bsuid"]} for other in jobs)

    # --- what has ended ---

    def _is_new(self, job: Job) -> bool:
        name = f"{job['outbox_id']} {job['state']}"
        new = name not in self._judged and job["outbox_id"] not in self._witness.retried_by_hand
        self._judged.add(name)
        return new

    def _judge_failed_send(self, job: Job) -> None:
        """While Meta takes nothing from anybody, no send uses up its tries."""
        tries = self._witness.tries.get(job["outbox_id"], [])
        if self._is_new(job) and tries and all(tries):
            why = f"{job['error_code']}: {job['error']}"
            self._witness.found("given up", f"{job['outbox_id']} failed in an outage ({why})", job["number"])

    def _judge_failed_reply(self, job: Job) -> None:
        """A model that fails is asked as often as the settings say."""
        attempts = self._world.settings.delivery.attempts
        if self._is_new(job) and job["error_code"] == "assistant" and job["attempts"] < attempts:
            tries = f"{job['attempts']} tries of {attempts}"
            self._witness.found("given up", f"reply {job['outbox_id']} failed after {tries}", job["number"])

    def _judge_expired_reply(self, job: Job) -> None:
        """What has just been asked is not too late."""
        age = START + self._witness.now() - job["created_at"]
        if self._is_new(job) and 0.0 <= age < YOUNG_SECONDS:
            self._witness.found("expired", f"reply {job['outbox_id']} is {age:.0f} s old, and expired", job["number"])
