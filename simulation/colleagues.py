"""Colleagues: they answer customers instead of the assistant, in the phone app or by the API, and give them back."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from simulation.takeovers import FOR_EVER
from simulation.timeline import actor
from simulation.worlds import Weights

if TYPE_CHECKING:
    from simulation.customers import Person
    from simulation.world import World

DAY = 86400.0


class Colleagues:
    """The staff of the business. Each customer is looked after by one of them at a time."""

    def __init__(self, world: World, dice: Random, weights: Weights) -> None:
        self._world, self._dice, self._weights = world, dice, weights
        self._witness, self._takeovers = world.witness, world.takeovers
        self._busy: set[int] = set()
        self._said = 0
        self.quiet = False

    def start(self) -> None:
        """They begin to work."""
        if self._weights.takeovers_a_day:
            actor(self._look_at_talks())

    async def _look_at_talks(self) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(self._weights.takeovers_a_day / DAY))
            if self._dice.random() < 0.7:
                await self._world.something_is_said()
                await asyncio.sleep(self._dice.choice((0.0, 3.0, 20.0)) * self._dice.random())
                person = self._world.customers.people[self._witness.last_speaker]
            else:
                person = self._dice.choice(self._world.customers.people)
            if not self.quiet and not self.looks_after(person) and self._may_be_looked_after(person):
                self._busy.add(person.id)
                actor(self._look_after(person))

    def looks_after(self, person: Person) -> bool:
        """Whether somebody is looking after a person."""
        return person.id in self._busy

    def _may_be_looked_after(self, person: Person) -> bool:
        """Whether the world knows under which number wabot knows a person."""
        moved = person.changing or person.inherited or person.left or self._world.requests.moved(person.id)
        return not (person.leaving or moved)

    async def _look_after(self, person: Person) -> None:
        for _ in range(self._dice.choice((1, 2, 3))):
            await self._dice.choice((self._write_in_the_app, self._write_by_the_api, self._pause))(person)
            await asyncio.sleep(self._dice.choice((1.0, 600.0, 7200.0)) * self._dice.random())
        if self._dice.random() < 0.7 or self._takeovers.may_be_silent(person.id):
            await self._give_back(person)
        self._busy.discard(person.id)

    def _word(self, person: Person) -> str:
        """What a colleague says: a word of its own, as operators send."""
        self._said += 1
        word = f"b{10**6 + self._said}.{person.id}"
        self._witness.ordered(word, person.id)
        return word

    async def _write_in_the_app(self, person: Person) -> None:
        """The phone app's own message; wabot hears of it by a webhook."""
        number, wished_at = str(person.customer.number), self._witness.now()
        owed_upto = self._takeovers.wished(person.id)
        _, status = await self._world.meta.echo(f"A colleague: {self._word(person)}", to=number)
        late = self._witness.now() > wished_at + self._takeovers.lasts
        if status == 200 and not late:
            self._begun(person, wished_at, owed_upto, self._takeovers.lasts, counts_from=int(wished_at))
        if status == 200:
            self._takeovers.staff_spoke(person.id)

    async def _write_by_the_api(self, person: Person) -> None:
        number, word = f"+{person.customer.number}", self._word(person)
        wished_at, owed_upto = self._witness.now(), self._takeovers.wished(person.id)
        body = {"number": number, "text": f"A colleague: {word}", "takeover": True}
        headers = {"Idempotency-Key": f"colleague-{word}", "Prefer": "respond-async"}
        found = await self._world.operators.surely("POST", "/messages", body, **headers)
        self._world.trace("colleague.wrote", person=person.id, status=found.status)
        if found.status in (200, 202):
            self._begun(person, wished_at, owed_upto, self._takeovers.lasts)
            self._takeovers.staff_spoke(person.id)
        elif found.status != 422:
            self._witness.found("message refused", f"{found.status} {found.json}", person.id)

    async def _pause(self, person: Person) -> None:
        hours = self._dice.choice((0.2, 3.0, None))
        wished_at, owed_upto = self._witness.now(), self._takeovers.wished(person.id)
        found = await self._contact(person, "pause", {"hours": hours})
        if found.status == 200:
            seconds = FOR_EVER if hours is None else hours * 3600.0
            self._begun(person, wished_at, owed_upto, seconds, exactly=True)
            if found.json["assistant"]["state"] != "paused":
                self._witness.found("takeover", f"{person.id} was paused, and is {found.json['assistant']}", person.id)

    async def _give_back(self, person: Person) -> None:
        self._takeovers.ending(person.id)
        found = await self._contact(person, "resume", None)
        if found.status in (200, 404):
            self._takeovers.ended(person.id)
            self._takeovers.staff_spoke(person.id)

    async def _contact(self, person: Person, what: str, value: Any) -> Any:
        return await self._world.operators.surely("POST", f"/contacts/+{person.customer.number}/{what}", value)

    def _begun(self, person: Person, wished_at: float, owed_upto: int, seconds: float, **more: Any) -> None:
        self._takeovers.begun(person.id, wished_at=wished_at, owed_upto=owed_upto, seconds=seconds, **more)
