"""While a person answers, the assistant says nothing: what the world knows of each takeover, and whether that is held.

Of a takeover the world knows when it was wished, when wabot acknowledged it, and so for how long the assistant is
silent at least, and at most: wabot counts the time by its own clock, which may be wrong. What the assistant was about
to say when a person stepped in is never said, not even when the person has gone again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulation.timeline import actor
from simulation.witness import Word
from wabot.sandbox.ledger import Sent

if TYPE_CHECKING:
    from simulation.world import World

FOR_EVER = float("inf")
LEAVING_SECONDS = 5.0
"""So long after a takeover was acknowledged, what had left before it may still arrive at Meta."""
CLOCK_SECONDS = 3100.0
"""How wrong the machine's clock may be."""
TENDED_SECONDS = 300.0
"""So long after its time a contact that still waits is told, at most."""


@dataclass
class Silence:
    """Of one person, in seconds of the run. `since`: when wabot knew of it; None: there is none, or it may have ended.

    It lasts until `least` at the least, and until `most` at the most. `wished_at`, `known_at`: of the latest takeover.
    `owed_upto`: the youngest job that existed when it was wished. `pending`: somebody wishes something that wabot may
    know or not. `ending_at`, `asked_at`: when the person was given back last, and asked for somebody.
    """

    since: float | None = None
    least: float = 0.0
    most: float = 0.0
    wished_at: float = -1.0
    known_at: float = FOR_EVER
    owed_upto: int = -1
    pending: bool = False
    ending_at: float = -1.0
    asked_at: float = -1.0


@dataclass
class Awaiting:
    """Of one person: how often they asked for a person, and the sends by which they were told that they still wait.

    `staff_at`: when wabot knew that a colleague has spoken since they asked.
    """

    asked: int = 0
    staff_at: float | None = None
    told: set[str] = field(default_factory=set)


class Takeovers:
    """What the world knows of all takeovers. Times are seconds of the run."""

    def __init__(self, world: World) -> None:
        self._world, self._witness = world, world.witness
        self._of: dict[int, Silence] = defaultdict(Silence)
        self._awaiting: dict[int, Awaiting] = defaultdict(Awaiting)
        handoff = world.settings.handoff
        self.lasts = handoff.resume_hours * 3600.0
        self._told_after = handoff.unanswered_minutes * 60.0
        self._reminder = handoff.unanswered_notice
        self._youngest_job = -1
        self._asking: dict[str, int] = {}
        self._sure: set[str] = set()
        self._witness.on_acknowledged.append(self._asked_for)

    def may_be_silent(self, person: int) -> bool:
        """Whether the assistant may be silent for a person now."""
        silence = self._of[person]
        return silence.pending or self._witness.now() <= silence.most or person in self._asking.values()

    def is_silent(self, person: int) -> bool:
        """Whether the assistant is silent for a person now, for sure."""
        silence = self._of[person]
        return silence.since is not None and self._witness.now() <= silence.least

    def began_since(self, person: int, at: float) -> bool:
        """Whether somebody stepped in after a time."""
        return at <= self._of[person].known_at < FOR_EVER

    # --- what people do ---

    def wished(self, person: int) -> int:
        """A colleague steps in. The youngest job that was seen by now, for `begun`."""
        self._of[person].pending = True
        for word in [word for word, whose in self._asking.items() if whose == person]:
            self._sure.discard(word)
        self._witness.settle_all(person)
        return self._youngest_job

    def begun(
        self, person: int, *, wished_at: float, owed_upto: int, seconds: float, counts_from: float | None = None,
        exactly: bool = False,
    ) -> None:  # fmt: skip
        """wabot knows of it: the assistant is silent for so long, from `counts_from` on (None: from now, or earlier).

        `exactly`: a longer silence becomes this one.
        """
        now, silence = self._witness.now(), self._of[person]
        least = (wished_at if counts_from is None else counts_from) + seconds - self._clock_error()
        most = (now if counts_from is None else counts_from) + seconds + self._clock_error()
        if self.is_silent(person) and not exactly:
            silence.least, silence.most = max(silence.least, least), max(silence.most, most)
        else:
            silence.since, silence.least, silence.most = now, least, max(most, 0.0 if exactly else silence.most)
            silence.wished_at, silence.known_at, silence.owed_upto = wished_at, now, owed_upto
        silence.pending = False
        self._witness.settle_all(person)
        self._witness.trace("taken.over", person=person, until=f"{silence.least:.0f}..{silence.most:.0f}")

    def ending(self, person: int) -> None:
        """Somebody gives a person back to the assistant; wabot may know it from now on."""
        silence = self._of[person]
        silence.since, silence.pending, silence.ending_at = None, True, self._witness.now()

    def ended(self, person: int) -> None:
        """wabot knows that the assistant answers a person again, unless they asked for somebody meanwhile."""
        now, silence = self._witness.now(), self._of[person]
        asked = silence.asked_at >= silence.ending_at
        silence.most = now + self.lasts + self._clock_error() if asked else now
        silence.pending = False
        self._witness.settle_all(person)
        self._witness.trace("given.back", person=person)

    def forgotten(self, person: int) -> None:
        """wabot has forgotten a person: they are as new."""
        self._of[person], self._awaiting[person] = Silence(), Awaiting()

    def staff_spoke(self, person: int) -> None:
        """wabot knows that a colleague spoke to a person, or that nobody is needed: they wait no more."""
        self._awaiting[person].staff_at = self._witness.now()

    def asks(self, word: str, person: int) -> None:
        """A person is going to ask for somebody with this word."""
        if not self.may_be_silent(person) and not self._said_stop(person):
            self._sure.add(word)
        self._asking[word] = person
        self._witness.settle_all(person)

    def _asked_for(self, word: Word) -> None:
        """A word by which a person asks for somebody was acknowledged."""
        if self._asking.pop(word.text, None) is None:
            return
        person, now, silence = word.person, self._witness.now(), self._of[word.person]
        self._witness.settle_all(person)
        waits = self._awaiting[person]
        waits.asked += 1
        waits.staff_at, silence.asked_at = None, now
        sure = word.text in self._sure and now < word.said_at + 600.0 and not self._said_stop(person)
        self._sure.discard(word.text)
        if sure:
            self.begun(person, wished_at=word.said_at, owed_upto=-1, seconds=self.lasts)
            actor(self._still_waits(person, waits.asked, now))
        else:
            silence.most = max(silence.most, now + self.lasts + self._clock_error())

    def _said_stop(self, person: int) -> bool:
        wish = self._witness.wishes.get(person)
        return wish is not None and (wish.stop or wish.since is None)

    def _clock_error(self) -> float:
        return CLOCK_SECONDS if "clock jumps" in self._world.faults.kinds else 1.0

    # --- what Meta gets ---

    def check(self, event: Sent, person: int, job: str, words: Sequence[str]) -> None:
        """A request arrived at Meta for a person."""
        number = int(job.partition("-")[2])
        text = str((event.payload.get("text") or {}).get("body", ""))
        if text == self._reminder and event.wamid:
            self._check_reminder(person, job)
        if self._is_assistants(event, text, words) and job not in self._witness.retried_by_hand:
            self._check_silence(person, job, number, words)
        self._youngest_job = max(self._youngest_job, number)

    def _is_assistants(self, event: Sent, text: str, words: Sequence[str]) -> bool:
        if event.type == "template":
            return not words and event.payload["template"]["name"] == self._world.settings.first_contact.template
        return text == self._world.settings.assistant.fallback_text or any(word[0] == "w" for word in words)

    def _check_silence(self, person: int, job: str, number: int, words: Sequence[str]) -> None:
        witness, silence = self._witness, self._of[person]
        now = witness.now()
        if self._world.requests.moved(person):
            return
        if silence.since is not None and silence.since + LEAVING_SECONDS < now < silence.least:
            witness.found("takeover", f"{job} with {' '.join(words)} leaves while a person answers {person}", person)
        if now <= silence.known_at + LEAVING_SECONDS:
            return
        times = [witness.words[word].acknowledged_at for word in words if word in witness.words]
        thought_of = bool(times) and all(at is not None and at < silence.wished_at for at in times)
        if number <= silence.owed_upto or thought_of:
            witness.found("takeover", f"{job} with {' '.join(words)} was owed when a person stepped in", person)

    def _check_reminder(self, person: int, job: str) -> None:
        """Who waits is told so once, and not when a colleague has spoken."""
        waits, now = self._awaiting[person], self._witness.now()
        new = job not in waits.told
        waits.told.add(job)
        if not new or self._world.requests.moved(person) or job in self._witness.retried_by_hand:
            return
        if len(waits.told) > waits.asked:
            self._witness.found("told too often", f"{person} is told again that they wait ({job})", person)
        if waits.staff_at is not None and now > waits.staff_at + TENDED_SECONDS and self._is_calm(waits.staff_at):
            self._witness.found("told too late", f"{person} is told that they wait, and a colleague spoke", person)

    async def _still_waits(self, person: int, asked: int, since: float) -> None:
        """Who asked and got nobody is told after a while that they still wait."""
        if not self._told_after or self._told_after > self.lasts:
            return
        await asyncio.sleep(self._told_after + TENDED_SECONDS)
        waits = self._awaiting[person]
        settled = waits.staff_at is not None or waits.asked > asked or not self.is_silent(person)
        if settled or self._said_stop(person) or self._world.requests.moved(person):
            return
        if len(waits.told) == 0 and asked == 1 and self._is_calm(since):
            self._witness.found("not told", f"{person} asked for somebody, got nobody, and is not told so", person)

    def _is_calm(self, since: float) -> bool:
        return bool(self._world.faults.calm_after_all(since, self._witness.now()))
