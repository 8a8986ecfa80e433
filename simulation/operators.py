"""Operators: they send in bulk with an Idempotency-Key, ask again when nobody answers, retry and cancel."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from simulation.timeline import START, actor
from simulation.wires import Answer
from simulation.witness import Witness
from simulation.worlds import Weights

if TYPE_CHECKING:
    from simulation.customers import Person
    from simulation.world import World

DAY = 86400.0
ASK_AGAIN_SECONDS = 5.0
TOO_LATE_SECONDS = 3700.0
"""A batch whose time comes so soon may be too late by a clock that is wrong."""


class Operators:
    """The people (and programs) with an API key."""

    def __init__(self, world: World, dice: Random, weights: Weights, *, key: str) -> None:
        self._world, self._dice = world, dice
        self._witness: Witness = world.witness
        self._weights, self._key = weights, key
        self._batches = 0
        self._asked_for = Counter[int]()
        self.quiet = False

    def start(self) -> None:
        """They begin to work."""
        actor(self._send_in_bulk())
        actor(self._look_after_the_outbox())

    async def ask(self, method: str, path: str, value: Any = None, **headers: str) -> Answer:
        """One request of theirs."""
        body = b"" if value is None else json.dumps(value).encode()
        return await self._world.front.ask(method, path, body, {"X-API-Key": self._key, **headers}, 40.0)

    async def surely(self, method: str, path: str, value: Any = None, **headers: str) -> Answer:
        """Ask until somebody answers."""
        while True:
            found = await self.ask(method, path, value, **headers)
            if found.status not in (0, 503):
                return found
            await asyncio.sleep(ASK_AGAIN_SECONDS * (0.5 + self._dice.random()))

    # --- bulk ---

    async def _send_in_bulk(self) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(self._weights.batches_a_day / DAY))
            if not self.quiet:
                actor(self._batch())

    async def _batch(self) -> None:
        number = self._batches
        self._batches += 1
        chosen = self._dice.sample(self._world.customers.people, self._dice.choice((1, 2, 4, 8)))
        if not (people := [person for person in chosen if not person.leaving]):
            return
        self._asked_for.update(ids := [person.id for person in people])
        try:
            await self._send_batch(number, people)
        finally:
            self._asked_for.subtract(ids)

    def asks_for(self, person: int) -> bool:
        """Whether a batch with a person is being asked for, or may be again."""
        return self._asked_for[person] > 0

    async def _send_batch(self, number: int, people: list[Person]) -> None:
        recipients: list[dict[str, Any]] = []
        for person in people:
            word = f"b{number}.{person.id}"
            self._witness.ordered(word, person.id)
            parameters = [{"type": "text", "text": word}]
            recipients.append({"number": f"+{person.customer.number}",
                               "components": [{"type": "body", "parameters": parameters}]})  # fmt: skip
        if self._dice.random() < 0.3:
            recipients.append(self._dice.choice((recipients[0], {"number": "12", "components": []})))
        words = [f"b{number}.{person.id}" for person in people]
        body = {"recipients": recipients, "template": {"name": "invitation", "language": "en_US"}}
        if lies_ahead := self._lies_ahead():
            body["send_at"] = self._schedule(words, [str(person.customer.number) for person in people], lies_ahead)
        headers = {"Idempotency-Key": f"key-{number}", "Prefer": self._dice.choice(("respond-async", "wait=5"))}
        found = await self._surely_ask(body, headers)
        self._world.trace("batch", number=number, status=found.status)
        if found.status == 422 and self._is_too_late(words):
            return
        if found.status not in (200, 202):
            self._witness.found("bulk refused", f"batch {number}: {found.status} {found.json}")
            return
        batch_id = str(found.json["batch_id"])
        self._witness.batched(batch_id, number, words)
        if self._dice.random() < 0.3:
            await asyncio.sleep(self._dice.choice((1.0, 3600.0, 1.2 * lies_ahead)) * self._dice.random())
            again = await self._surely_ask(body, headers)
            if again.json.get("batch_id") != batch_id:
                self._witness.found("idempotency", f"key-{number} gave {batch_id}, then {again.json}")
        if self._dice.random() < (0.4 if lies_ahead else 0.1):
            await asyncio.sleep(1.1 * lies_ahead * self._dice.random())
            cancelled = await self.surely("POST", f"/batches/{batch_id}/cancel")
            self._world.trace("batch.cancelled", batch=number, status=cancelled.status)
            if cancelled.status == 200:
                self._world.schedules.cancelled(words)

    def _lies_ahead(self) -> float:
        """In how many seconds a batch is to leave; 0: now."""
        if self._dice.random() >= self._weights.scheduled:
            return 0.0
        return TOO_LATE_SECONDS + float(int(self._dice.choice((600.0, 6 * 3600.0, DAY)) * self._dice.random()))

    def _schedule(self, words: list[str], numbers: list[str], lies_ahead: float) -> str:
        at = int(self._world.now() + lies_ahead)
        self._world.schedules.scheduled(words, numbers, at - START)
        return datetime.fromtimestamp(at, UTC).isoformat()

    def _is_too_late(self, words: list[str]) -> bool:
        """Whether a batch may have been asked for when its time was over, by a clock that may be wrong."""
        due = self._world.schedules.due.get(words[0])
        return due is not None and self._witness.now() > due - TOO_LATE_SECONDS + 60.0

    async def _surely_ask(self, body: Any, headers: Mapping[str, str]) -> Answer:
        return await self.surely("POST", "/initiate-bulk", body, **headers)

    # --- the outbox ---

    async def _look_after_the_outbox(self) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(self._weights.hands_a_day / DAY))
            if self.quiet:
                continue
            if self._dice.random() < 0.5:
                await self._retry(self._dice.choice(("failed", "parked", "held")))
            else:
                await self._cancel(self._dice.choice(("queued", "waiting", "held")))

    async def _retry(self, state: str) -> None:
        for job in await self._listed(state):
            self._witness.retried_by_hand.add(job["outbox_id"])  # before: the answer may be lost
            found = await self.ask("POST", f"/outbox/{job['outbox_id']}/retry")
            self._world.trace("retried", job=job["outbox_id"], status=found.status)

    async def _cancel(self, state: str) -> None:
        for job in (await self._listed(state))[:3]:
            found = await self.ask("POST", f"/outbox/{job['outbox_id']}/cancel")
            self._world.trace("cancelled", job=job["outbox_id"], status=found.status)
            if found.status == 200:
                self._witness.cancelled(job["outbox_id"], self._world.customers.owner_of(job["number"]))

    async def _listed(self, state: str) -> list[dict[str, Any]]:
        found = await self.ask("GET", f"/outbox?state={state}")
        return list(found.json["outbox"]) if found.status == 200 else []
