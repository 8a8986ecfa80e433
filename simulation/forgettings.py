"""People who want to be forgotten: nothing of what they said is left afterwards, and nothing comes back.

A person goes quiet first, so that the world knows all that wabot may know of them; replies, sends, receipts and
redeliveries of theirs may still be on their way. When wabot says that they are forgotten, the bytes of the journal and
of the archive are searched for their words, their number and their BSUID; for the words also much later, since nothing
that is delivered again may bring them back.
"""

from __future__ import annotations

import asyncio
import re
from random import Random
from typing import TYPE_CHECKING

from simulation.timeline import actor
from simulation.witness import UNDERWAY_SECONDS, Word
from simulation.worlds import Weights

if TYPE_CHECKING:
    from simulation.customers import Person
    from simulation.world import World

DAY = 86400.0
SAID, BEFORE_WORDS = re.compile(rb"[wb]\d+\.\d+"), b' "'
"""A word, as bytes, and what stands before it in texts and templates: numbers of a file may look like a word."""
GIVES_UP_SECONDS = 3600.0
"""For so long it is waited until wabot knows all that a person said."""


class Forgettings:
    """Those who want to be forgotten, one at a time."""

    def __init__(self, world: World, dice: Random, weights: Weights) -> None:
        self._world, self._dice, self._weights = world, dice, weights
        self._witness = world.witness
        self._since: dict[int, float] = {}
        self.quiet = False

    def start(self) -> None:
        """They begin to ask for it."""
        if self._weights.forgets_a_day:
            actor(self._again_and_again())

    async def _again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(self._weights.forgets_a_day / DAY))
            person = self._dice.choice(self._world.customers.people)
            if not self.quiet and self._may_be_forgotten(person):
                person.leaving = True
                await self._forget(person)
                person.leaving = False

    def _may_be_forgotten(self, person: Person) -> bool:
        """Whether the world knows under which number wabot knows a person, and nobody is doing something to them."""
        moved = person.changing or person.inherited or person.left or self._world.requests.moved(person.id)
        number = str(person.customer.number)
        return not (moved or self._world.schedules.awaited(number) or self._world.colleagues.looks_after(person))

    async def _forget(self, person: Person) -> None:
        await asyncio.sleep(self._dice.choice((0.0, 5.0, 600.0)) * self._dice.random())
        until = self._witness.now() + GIVES_UP_SECONDS
        while self._is_open(person):
            await asyncio.sleep(10.0)
            if self._witness.now() > until:
                return
        words = [word for word in self._witness.words.values() if word.person == person.id]
        for word in words:
            word.forgotten = word.settled = True
        address = f"/contacts/+{person.customer.number}"
        while (found := await self._world.operators.surely("DELETE", address)).status == 202:
            await asyncio.sleep(60.0)  # the archive is away
        self._world.trace("forgotten", person=person.id, status=found.status, answer=str(found.json))
        if found.status not in (200, 404):
            self._witness.found("not forgotten", f"{found.status} {found.json}", person.id)
        self._since[person.id] = self._witness.now()
        self._world.takeovers.forgotten(person.id)
        self._search(words, person.customer.number or "", person.customer.user_id)

    def _is_open(self, person: Person) -> bool:
        """Whether something of a person may not have reached wabot yet: their words, their wishes, or a batch."""
        wish = self._witness.wishes.get(person.id)
        words = (word for word in self._witness.words.values() if word.person == person.id and word.wamid)
        unknown = any(word.acknowledged_at is None for word in words) or (wish is not None and wish.since is None)
        return unknown or self._world.operators.asks_for(person.id)

    def _search(self, words: list[Word], *names: str) -> None:
        """Whether one of these words or names is anywhere. In a file, values stand side by side without a border."""
        texts = {word.text.encode() for word in words}
        about = words[0].person if words else ""
        for place, content in self._kept():
            there = [name for name in names if name and name.encode() in content]
            said = SAID.finditer(content) if texts else ()
            there += [one[0].decode() for one in said if one[0] in texts and content[one.start() - 1] in BEFORE_WORDS]
            if there:
                self._witness.found("not forgotten", f"{there[0]} is in {place}", about)

    def _kept(self) -> list[tuple[str, bytes]]:
        files = [self._world.data_dir / f"wabot.db{suffix}" for suffix in ("", "-wal")]
        kept = [(file.name, file.read_bytes()) for file in files if file.exists()]
        archive = self._world.archive
        return [*kept, *([] if archive is None else [("the archive", str(archive.documents).encode())])]

    def check(self, person: int, job: str, words: list[str]) -> None:
        """A request arrived at Meta: none with words that were forgotten."""
        since = self._since.get(person)
        if since is not None and self._witness.now() > since + UNDERWAY_SECONDS:
            for word in words:
                known = self._witness.words.get(word)
                if known is not None and known.forgotten:
                    self._witness.found("not forgotten", f"{job} with {word} leaves", person)

    def at_rest(self) -> None:
        """Nothing came back."""
        self._search([word for word in self._witness.words.values() if word.forgotten])
