"""Customers: they write in bubbles, now and then, and some say STOP, come back, or change their number."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.timeline import actor
from simulation.witness import Witness
from wabot.sandbox import payloads
from wabot.sandbox.people import Customer

DAY = 86400.0
COUNTRIES = ("9198765", "4915112", "1415555", "5511912", "5255123")


@dataclass
class Person:
    """Somebody with a phone. `words`: how many they said."""

    id: int
    customer: Customer
    words: int = 0

    @property
    def address(self) -> str:
        """How the business knows them."""
        return self.customer.number or self.customer.user_id


class Customers:
    """All customers of a run."""

    def __init__(self, meta: Any, witness: Witness, dice: Random, *, count: int, talks_a_day: float) -> None:
        self._meta, self._witness, self._dice = meta, witness, dice
        self._talks_a_day = talks_a_day
        self.quiet = False
        self.people = [self._person(number) for number in range(count)]

    def _person(self, number: int) -> Person:
        prefix = COUNTRIES[number % len(COUNTRIES)]
        return Person(number, self._meta.people.of(f"{prefix}{number:05d}"))

    def owner_of(self, address: str) -> int | None:
        """Whose number or BSUID it is."""
        customer = self._meta.people.of(address)
        return next((person.id for person in self.people if person.customer is customer), None)

    def start(self) -> None:
        """They begin to live."""
        for person in self.people:
            actor(self._live(person))

    async def _live(self, person: Person) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(self._talks_a_day / DAY))
            if not self.quiet:
                await self._talk(person)

    async def _talk(self, person: Person) -> None:
        for _ in range(self._dice.choice((1, 1, 2, 3))):
            for _ in range(self._dice.choice((1, 1, 1, 2, 3))):
                actor(self._say(person))
                await asyncio.sleep(self._dice.choice((0.0, 0.3, 2.0, 8.0)) * self._dice.random())
            await asyncio.sleep(self._dice.choice((5.0, 30.0, 120.0)) * self._dice.random())

    async def _say(self, person: Person) -> None:
        word = f"w{person.id}.{person.words}"
        person.words += 1
        wamid = payloads.new_wamid(person.address, inbound=True, draw=self._meta.draw)
        self._witness.said(word, person.id, wamid)
        customer = person.customer
        await self._meta.say(
            self._content(word), from_=customer.number, user_id=customer.user_id, wamid=wamid, name=f"P{person.id}"
        )

    def _content(self, word: str) -> Any:
        text = f"What about {word}?"
        if self._dice.random() < 0.1:
            return payloads.said("image", id=f"{self._dice.getrandbits(50)}", mime_type="image/jpeg", caption=text)
        return payloads.text(text)
