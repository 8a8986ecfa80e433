"""What is asked of the service from outside, each night and at the end: is everything there, answered, and at rest?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from simulation.disk import rows_of
from simulation.model import WORD
from simulation.requests import bodies_of
from simulation.timeline import START, actor
from simulation.witness import ANSWER_SECONDS, Witness, Word

DAY = 86400.0
SETTLED_AFTER = 8 * 3600.0
"""What was acknowledged so long ago is answered, or it is recorded why not."""
CLOCK_SECONDS = 3100.0
"""How wrong the machine's clock may be."""
JOINED = "joined the reply before it"
OPEN = ("queued", "waiting", "running", "in_doubt", "held")
ENDED = ("failed", "expired", "cancelled", "parked")
KEPT_FOR_GOOD = frozenset({"contacts", "identities", "wishes", "passed_on", "merges", "meta"})
"""Tables that grow with people, not with time."""


class Audit:
    """The questions."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._witness: Witness = world.witness
        self._witness.on_acknowledged.append(lambda word: actor(self._answered_soon(word)))
        self._asked_until = 0.0

    def start(self) -> None:
        """Ask every night."""
        actor(self._every_night())

    async def _every_night(self) -> None:
        while True:
            await asyncio.sleep(DAY / 2)
            await self.everything_is_there(until=self._witness.now() - SETTLED_AFTER)
            await self._world.programs.note_failed()
            self.nothing_grows()
            self._world.meta.clear()

    async def _answered_soon(self, word: Word) -> None:
        """An answer that is possible comes within seconds."""
        began = self._witness.now()
        await asyncio.sleep(ANSWER_SECONDS)
        faults = self._world.faults
        if word.jobs or word.settled or not faults.calm_after_all(began, self._witness.now()):
            return
        if self._witness.latest_cancel.get(word.person, -1.0) >= began:
            return  # an operator may have cancelled the answer, which waited for the pair limit
        self._witness.found("late", f"{word.text} is not answered within {ANSWER_SECONDS:.0f} s", word.person)

    async def everything_is_there(self, *, until: float) -> None:
        """What was acknowledged before `until` is in the history, and answered, or it is recorded why not."""
        begin, self._asked_until = self._asked_until, max(until, self._asked_until)
        all_words = [word for word in self._witness.words.values() if not word.forgotten]
        words = [w for w in all_words if begin <= (w.acknowledged_at or -1.0) < self._asked_until]
        for person in sorted({word.person for word in words}):
            await self._check_person(person, [word for word in words if word.person == person])

    async def _check_person(self, person: int, words: list[Word]) -> None:
        number = self._world.customers.people[person].customer.number
        asked = {"number": f"+{number}", "include": ["queued", "failed"]}
        found = await self._world.operators.surely("POST", "/get", asked)
        if found.status != 200:
            self._witness.found("history", f"/get answers {found.status} {found.json}", person)
            return
        partial = found.json.get("partial", False)
        said = bodies_of(found.json["messages"]) + " "
        replies = await self._recorded_replies(number)
        for word in words:
            there = f"{word.text} " in said or f"{word.text}?" in said or f'{word.text}"' in said
            expected = word.jobs or word.text.startswith("w")
            if expected and not there and not partial and not self._world.requests.moved(person):
                self._witness.found("lost", f"{word.text} was acknowledged and is not in /get", person)
            if (
                word.text.startswith("w")
                and not word.jobs
                and not word.settled
                and not self._explained(word, found.json["messages"], replies)
            ):
                self._witness.found("unanswered", f"{word.text} has no answer, and nothing says why", person)

    async def _recorded_replies(self, number: str | None) -> list[dict[str, Any]]:
        """Those that ended without an answer, and those that are still tried, which must end by the end of the run."""
        recorded = []
        for state in (*ENDED, *OPEN):
            path = f"/outbox?kind=reply&state={state}&number={number}&limit=200"
            recorded += (await self._world.operators.surely("GET", path)).json["outbox"]
        return recorded

    def _explained(self, word: Word, messages: Iterable[dict[str, Any]], replies: Iterable[dict[str, Any]]) -> bool:
        """Whether it is recorded why a word has no answer."""
        if self._world.requests.moved(word.person):
            return True
        lasts = self._world.settings.delivery.reply_expires_seconds + CLOCK_SECONDS
        begin, end = START + word.said_at - lasts, START + (word.acknowledged_at or 0.0) + CLOCK_SECONDS
        for message in messages:
            if message["direction"] != "out":
                continue
            if word.text in str(message.get("body")):
                return True  # it failed, or waits
            if _is_welcome(message) and begin <= float(message["timestamp"]) <= end:
                return True  # so does the template that answers a first contact, which repeats no word
        return any(begin <= reply["created_at"] <= end and reply["error"] != JOINED for reply in replies)

    def nothing_grows(self) -> None:
        """No table has more rows than what happened lately explains."""
        settings = self._world.settings
        days = max(settings.server.retention_days, 7) + 2
        since = self._witness.now() - days * DAY
        events = self._witness.events = [at for at in self._witness.events if at >= since]
        bound = 6 * len(events) + 500
        for table, rows in rows_of(self._world.data_dir / "wabot.db"):
            if table in KEPT_FOR_GOOD or (table == "messages" and self._world.archive is None):
                continue
            if rows > bound:
                self._witness.found("growth", f"{table} has {rows} rows, after {len(events)} events in {days} days")

    async def at_rest(self) -> None:
        """Once all faults are over, nothing is open without a reason."""
        for kind in ("send", "reply"):
            for state in OPEN:
                found = await self._world.operators.surely("GET", f"/outbox?kind={kind}&state={state}")
                for job in found.json["outbox"]:
                    if self._world.schedules.is_quiet(self._witness.now()) and job["state"] == "held":
                        continue
                    self._witness.found("no rest", f"{kind} {job['outbox_id']} is {state}: {job.get('why')}",
                                        job["number"])  # fmt: skip
        for batch_id in self._witness.batches:
            found = await self._world.operators.surely("GET", f"/batches/{batch_id}")
            if found.status == 200 and not self._world.schedules.may_wait(self._witness.batches[batch_id]):
                self._check_batch(batch_id, found.json)
        await self.everything_is_there(until=self._witness.now() - 3600.0)
        self._check_archive()
        self._world.forgettings.at_rest()
        await self._world.programs.at_rest()

    def _check_batch(self, batch_id: str, batch: dict[str, Any]) -> None:
        """Each recipient's result is what Meta saw."""
        if batch["queued"]:
            self._witness.found("no rest", f"batch {batch_id} has {batch['queued']} queued")
        for word, result in zip(self._witness.batches[batch_id], batch["results"], strict=False):
            known = self._witness.words[word]
            if result["status"] == "sent" and not known.jobs:
                self._witness.found("invented", f"{word} is said to be sent, and Meta never got it", known.person)
            if result["status"] == "sent" and known.jobs and self._world.requests.failed_for_good(known.jobs):
                self._witness.found("invented", f"{word} is said to be sent, and failed by receipt", known.person)

    def _check_archive(self) -> None:
        archive = self._world.archive
        if archive is None:
            return
        texts = bodies_of(list(archive.documents.values()))
        since = max(archive.emptied_at - DAY, 0.0)
        for word in self._witness.words.values():
            if word.forgotten:
                continue
            if word.text.startswith("w") and since < (word.acknowledged_at or -1.0) < self._witness.now() - 3600.0:
                if f"{word.text}?" not in texts:
                    self._witness.found("archive", f"{word.text} is not in the archive", word.person)


def _is_welcome(message: dict[str, Any]) -> bool:
    return message["type"] == "template" and WORD.search(str(message.get("body"))) is None
