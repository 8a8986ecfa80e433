"""Customers: they write in bubbles, now and then; some say STOP, come back, or change their number."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulation.timeline import actor
from simulation.witness import Witness
from simulation.worlds import Weights
from wabot.sandbox import payloads
from wabot.sandbox.people import Customer

DAY = 86400.0
COUNTRIES = ("9198765{:05d}", "491512{:07d}", "1415231{:04d}", "551198{:07d}", "52551{:07d}")
STOP, START, ASKS = "STOP", "Start!", "Human"
GRACE_SECONDS = 600.0
"""For so long after a change was acknowledged, what was on its way to an old address may still arrive there."""


@dataclass
class Person:
    """Somebody with a phone. `words`: how many they said. `moved_at`: when they last changed their address."""

    id: int
    customer: Customer
    words: int = 0
    stopped: bool = False
    asks: int = 0
    moved_at: float = float("-inf")
    changing: bool = False
    inherited: bool = False
    left: bool = False
    leaving: bool = False


@dataclass
class Address:
    """A number or BSUID: who has it, and who had it until when (infinite: wabot does not know yet)."""

    owner: int
    before: dict[int, float] = field(default_factory=dict)


class Customers:
    """All customers of a run. `moods`: kinds of behaviour that are left out (`stop`, `move`)."""

    def __init__(self, world: Any, dice: Random, weights: Weights, *, count: int) -> None:
        self._world, self._meta, self._dice = world, world.meta, dice
        self._witness: Witness = world.witness
        self._weights = weights
        self._without = world.plan.without
        self.quiet = False
        self.addresses: dict[str, Address] = {}
        self.free_numbers: list[str] = []
        self._numbers = 0
        self.people: list[Person] = []
        for _ in range(count):
            self.people.append(self._person())

    def _person(self) -> Person:
        """Somebody new, with a new number or one that somebody gave up."""
        id_ = len(self.people)
        inherits = self.free_numbers and self._dice.random() < 0.7
        number = self.free_numbers.pop(0) if inherits else self._new_number()
        customer = self._meta.people.link(number, f"IN.{10**9 + id_ * 7919}")
        person = Person(id_, customer, inherited=number in self.addresses)
        self._takes(person, number, customer.user_id)
        return person

    def _new_number(self) -> str:
        self._numbers += 1
        return COUNTRIES[self._numbers % len(COUNTRIES)].format(1000 + self._numbers)

    def _takes(self, person: Person, *addresses: str) -> None:
        for address in addresses:
            known = self.addresses.setdefault(address, Address(person.id))
            if known.owner != person.id:
                known.before[known.owner] = min(known.before.get(known.owner, float("inf")), float("inf"))
                known.owner = person.id

    def owners_of(self, address: str) -> set[int]:
        """Who may be written to there: its owner, and for a while those who had it before."""
        known = self.addresses.get(address)
        if known is None:
            return set()
        now = asyncio.get_running_loop().time()
        return {known.owner, *(who for who, until in known.before.items() if now < until + GRACE_SECONDS)}

    def owner_of(self, address: str) -> int:
        """Who has it now; -1: nobody."""
        known = self.addresses.get(address)
        return known.owner if known else -1

    def start(self) -> None:
        """They begin to live."""
        for person in self.people:
            actor(self._live(person))
        actor(self._newcomers())

    async def _newcomers(self) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(1.0 / DAY))
            if not self.quiet:
                self.people.append(self._person())
                actor(self._live(self.people[-1]))

    async def _live(self, person: Person) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(self._weights.talks_a_day / DAY))
            if self.quiet or person.leaving:
                continue
            luck = self._dice.random()
            if luck < self._weights.moves and "moves" not in self._without:
                await self._move(person)
            elif luck < self._weights.moves + self._weights.stops and "stops" not in self._without:
                await self._stop_or_start(person)
            elif self._dice.random() < self._weights.asks and "asks" not in self._without:
                await self._talk(person)
                actor(self._ask_for_somebody(person))
            else:
                await self._talk(person)

    async def _talk(self, person: Person) -> None:
        if person.stopped and self._dice.random() < 0.7:
            await self._stop_or_start(person)
        for _ in range(self._dice.choice((1, 1, 2, 3))):
            for _ in range(self._dice.choice((1, 1, 1, 2, 3))):
                actor(self._say(person))
                await asyncio.sleep(self._dice.choice((0.0, 0.3, 2.0, 8.0)) * self._dice.random())
            await asyncio.sleep(self._dice.choice((5.0, 30.0, 120.0)) * self._dice.random())

    async def _say(self, person: Person) -> None:
        if person.leaving:
            return
        word = f"w{person.id}.{person.words}"
        person.words += 1
        wamid = self._new_wamid(person)
        self._witness.said(word, person.id, wamid, must_be_answered=not person.stopped)
        await self._tell(person, self._content(word), wamid)

    async def _stop_or_start(self, person: Person) -> None:
        person.stopped = not person.stopped
        wamid = self._new_wamid(person)
        self._witness.wished(person.id, wamid, stop=person.stopped)
        await asyncio.sleep(1.0)  # Meta's times are whole seconds: within one nobody can tell what came first
        actor(self._tell(person, payloads.text(STOP if person.stopped else START), wamid))
        await asyncio.sleep(1.0)

    async def _ask_for_somebody(self, person: Person) -> None:
        """They want a person to answer."""
        word = f"h{person.id}.{person.asks}"
        person.asks += 1
        wamid = self._new_wamid(person)
        self._world.takeovers.asks(word, person.id)
        self._witness.said(word, person.id, wamid, must_be_answered=False)
        await self._tell(person, payloads.text(ASKS), wamid)

    async def _move(self, person: Person) -> None:
        """A new number, and with it a new BSUID; or a new BSUID alone."""
        customer = person.customer
        if person.changing:
            return
        person.changing = True
        old = [customer.number or "", customer.user_id]
        if self._dice.random() < 0.6:
            work = self._meta.change_number(customer, self._new_number())
        else:
            work = self._meta.change_user_id(customer)
        task = actor(work)
        await asyncio.sleep(0)
        person.moved_at = asyncio.get_running_loop().time()
        self._takes(person, customer.number or "", customer.user_id)
        self._world.trace("moved", person=person.id, to=f"{customer.number}/{customer.user_id}")
        actor(self._settled(person, task, [address for address in old if address != customer.number]))

    async def _settled(self, person: Person, told: Any, old: list[str]) -> None:
        """Once wabot knows of it, somebody else may get the number."""
        await told
        person.moved_at = asyncio.get_running_loop().time()
        person.changing = False
        for address in old:
            if address.isdigit() and not self._world.schedules.awaited(address):
                self.free_numbers.append(address)
            known = self.addresses[address]
            for owner in known.before:
                known.before[owner] = min(known.before[owner], person.moved_at)

    def _new_wamid(self, person: Person) -> str:
        return payloads.new_wamid(str(person.customer.number), inbound=True, draw=self._meta.draw)

    async def _tell(self, person: Person, content: Any, wamid: str) -> None:
        customer = person.customer
        await self._meta.say(
            content, from_=customer.number, user_id=customer.user_id, wamid=wamid, name=f"P{person.id}"
        )

    def _content(self, word: str) -> Any:
        text = f"What about {word}?"
        if self._dice.random() < 0.1:
            return payloads.said("image", id=f"{self._dice.getrandbits(50)}", mime_type="image/jpeg", caption=text)
        return payloads.text(text)
