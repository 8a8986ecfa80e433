"""Meta's messaging limit: Meta changes it now and then, and wabot neither exceeds it nor leaves room unused.

Meta counts the people that it let the business reach (the sandbox's `account.reached`). Whoever is one too many gets a
`failed` receipt; that is a finding, unless Meta had not yet told wabot of a lower limit. While Meta has room, nobody
waits for it for long; and once there is no limit any more, nobody waits at all.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from simulation.timeline import actor
from simulation.witness import UNDERWAY_SECONDS
from simulation.worlds import Weights
from wabot.core.messages import Receipt
from wabot.core.messaging_limit import CODE as HELD_FOR_IT

if TYPE_CHECKING:
    from simulation.world import World

DAY = 86400.0
BEYOND = 131048
"""Meta's code for who was one too many."""
LIMITS = (2, 3, 4, 6, 9, None)
LOOK_SECONDS = 300.0
UNUSED_SECONDS = 1800.0
"""For so long Meta may have room for somebody who waits: wabot counts those again who were not reached."""


class MessagingLimit:
    """Meta's changes of it, and what the world knows of it. Times are seconds of the run."""

    def __init__(self, world: World, dice: Random, weights: Weights) -> None:
        self._world, self._witness, self._dice = world, world.witness, dice
        self._changes_a_day = weights.limits_a_day
        self._known_at: float | None = None
        self._room_since: float | None = None

    def start(self) -> None:
        """Meta names the first limit, and others from time to time; people look at who waits."""
        if self._changes_a_day:
            actor(self._change_again_and_again())
            actor(self._look_again_and_again())

    async def _change_again_and_again(self) -> None:
        ending = self._world.faults.ending
        while not ending.is_set():
            await self._change(self._dice.choice(LIMITS))
            try:
                async with asyncio.timeout(self._dice.expovariate(self._changes_a_day / DAY)):
                    await ending.wait()
            except TimeoutError:
                continue
        await self._change(None)

    async def _change(self, people: int | None) -> None:
        self._world.trace("limit", people=people)
        self._known_at = None
        await self._world.meta.set_limit(people)
        self._known_at = self._witness.now()
        self._world.trace("limit.acknowledged", people=people)

    def __call__(self, event: object) -> None:
        """Something happened at Meta."""
        if not isinstance(event, Receipt) or event.error is None or event.error.get("code") != BEYOND:
            return
        copy, known_at = self._witness.copy_of.get(event.wamid), self._known_at
        if copy is not None and known_at is not None and copy.at > known_at + UNDERWAY_SECONDS:
            most = self._world.meta.account.limit
            self._witness.found("messaging limit", f"a message to one more than {most} people left")

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._witness.now()
            if not self._has_room() or self._known_at is None:
                self._room_since = None
                continue
            since = self._room_since = now if self._room_since is None else self._room_since
            if now - since > UNUSED_SECONDS and self._world.faults.calm_after_all(since, now):
                await self._nobody_waits()

    def _has_room(self) -> bool:
        account, now = self._world.meta.account, self._world.now()
        return account.limit is None or sum(at > now - DAY for at in account.reached.values()) < account.limit

    async def _nobody_waits(self) -> None:
        found = await self._world.operators.ask("GET", "/outbox?kind=send&state=held&limit=200")
        for job in found.json["outbox"] if found.status == 200 else []:
            if job["error_code"] == HELD_FOR_IT and self._has_room():
                text = f"{job['outbox_id']} waits for the messaging limit, and Meta has had room for half an hour"
                self._witness.found("room unused", text, job["number"])
