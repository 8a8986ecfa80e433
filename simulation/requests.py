"""Checks every request that arrives at Meta: to whom, with whose words, how often, in which order, and when."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulation.faults import CRASHES
from simulation.model import WORD
from simulation.witness import UNDERWAY_SECONDS, Copy, Witness
from wabot.core.messages import SERVICE_WINDOW_SECONDS
from wabot.sandbox.ledger import Sent

if TYPE_CHECKING:
    from simulation.world import World

TAG = re.compile(r"wabot:(\w+)-(\d+):(\d+)")
"""The tag of a request: the journal, the job, and the how-manieth request of it."""

HIDING = (*CRASHES, "disk full", "disk fails", "disk slow")
"""Faults by which an answer of Meta's may be lost on the way into the journal."""
MOVED_SECONDS = 2 * 86400.0


class Requests:
    """What Meta got. `world` has the people, the settings, the faults and the weather."""

    def __init__(self, world: World) -> None:
        self._world, self._witness = world, world.witness
        self._copies: dict[str, list[Copy]] = defaultdict(list)
        self._first: dict[str, float] = {}
        self._latest: dict[int, int] = defaultdict(int)
        settings = world.settings
        self._may_resend = settings.delivery.in_doubt == "resend"
        self._allowed = {settings.optout.confirmation, settings.optout.welcome_back}

    def __call__(self, event: object) -> None:
        """Something happened at Meta."""
        if not isinstance(event, Sent):
            return
        witness: Witness = self._witness
        words = list(dict.fromkeys(WORD.findall(str(event.payload))))
        witness.trace("send", to=event.to, code=event.code, status=event.status, accepted=bool(event.wamid),
                      tag=event.tag, words=" ".join(words))  # fmt: skip
        tag = TAG.fullmatch(event.tag or "")
        if tag is not None:
            weather = self._world.weather
            witness.tried(f"{tag[1]}-{tag[2]}", hopeless=event.code == 190 or weather.outage == 1.0)
        if event.code == 190:
            self._world.schedules.leaves(words)
            return
        if tag is None:
            witness.found("tag", f"a request without a valid tag: {event.tag}", event.to)
            return
        job, attempt = f"{tag[1]}-{tag[2]}", int(tag[3])
        owners = self._world.customers.owners_of(event.to)
        person = self._whose(words, owners, event)
        self._check_wishes(event, person, job)
        self._check_limits(event, person)
        self._world.takeovers.check(event, person, job, words)
        if job not in witness.retried_by_hand:
            self._world.schedules.check(event, person, words)
            self._world.forgettings.check(person, job, words)
        if job not in self._first:
            self._first[job] = witness.now()
            self._check_order(event, person, job)
        if event.wamid:
            witness.events.append(witness.now())
            self._accepted(event, person, job, attempt, words)

    def may_not_arrive(self, body: bytes, *, hopeless: bool) -> None:
        """A request to Meta, which cannot be reached, or not always."""
        self._world.schedules.leaves(WORD.findall(body.decode()))
        if (tag := TAG.search(body.decode())) is not None:
            self._witness.tried(f"{tag[1]}-{tag[2]}", hopeless=hopeless)

    def _whose(self, words: Sequence[str], owners: set[int], event: Sent) -> int:
        """The person that it is for; nobody's words reach somebody else."""
        for word in words:
            known = self._witness.words.get(word)
            whose = known.person if known else None
            if whose not in owners:
                self._witness.found("identity", f"{word} of {whose} goes to {event.to}, of {sorted(owners)}", whose)
            elif whose is not None:
                return whose
        return self._world.customers.owner_of(event.to)

    def _check_wishes(self, event: Sent, person: int, job: str) -> None:
        """Nothing reaches who said STOP, and no text comes outside of the 24 hours. What was cancelled stays here."""
        witness, now = self._witness, self._witness.now()
        wish = witness.wishes.get(person)
        text = str((event.payload.get("text") or {}).get("body", ""))
        if wish and wish.stop and wish.since is not None and now > wish.since + UNDERWAY_SECONDS:
            if text not in self._allowed and not self.moved(person):
                witness.found("stop", f"{job} goes to {person}, who said STOP", person)
        cancelled = witness.cancelled_at.get(job)
        if cancelled is not None and now > cancelled + 5.0 and job not in witness.retried_by_hand:
            witness.found("cancelled", f"{job} was cancelled, and leaves", person)
        if event.type != "template":
            customer = self._world.meta.people.of(event.to)
            skew = 0.0 if self._world.faults.calm(now, now, margin=3700.0, kinds=["clock jumps"]) else 3000.0
            wrote_at = customer.wrote_at
            late = wrote_at is None or self._world.now() > wrote_at + SERVICE_WINDOW_SECONDS + UNDERWAY_SECONDS + skew
            if late and not self.moved(person):
                witness.found("window", f"{job}: a text to {person}, whose window is closed", person)

    def moved(self, person: int, *, ever: bool = False) -> bool:
        """Whether a person changed their address lately (or ever): Meta and wabot may see two people for a while."""
        people = self._world.customers.people
        if not 0 <= person < len(people):
            return True
        one = people[person]
        return (
            one.changing
            or self._witness.now() - one.moved_at < (float("inf") if ever else MOVED_SECONDS)
            or one.inherited
        )

    def _check_limits(self, event: Sent, person: int) -> None:
        """Meta complains of too many messages only where it has no reason to."""
        world, now = self._world, self._witness.now()
        if event.code == 130429 and not world.weather.throttled:
            if world.faults.calm(now, now, margin=120.0, kinds=[*HIDING, "webhooks late", "clock jumps"]):
                self._witness.found("throughput", "more messages a second than Meta allows", person)
        if event.code == 131056 and not world.weather.pair and not self.moved(person):
            if world.faults.calm(now, now, margin=900.0, kinds=[*HIDING, "clock jumps"]):
                self._witness.found("pair limit", f"too many messages to {person}", person)

    def _check_order(self, event: Sent, person: int, job: str) -> None:
        """Texts to one person leave in the order in which they were queued."""
        if event.type == "template" or self.moved(person) or job in self._witness.retried_by_hand:
            return
        number = int(job.partition("-")[2])
        if number < self._latest[person]:
            self._witness.found("order", f"job {number} to {person} leaves after job {self._latest[person]}", person)
        self._latest[person] = max(self._latest[person], number)

    def _accepted(self, event: Sent, person: int, job: str, attempt: int, words: Sequence[str]) -> None:
        witness = self._witness
        earlier = self._copies[job]
        copy = Copy(event.wamid, attempt, witness.now())
        if earlier:
            self._check_again(person, job, earlier)
        earlier.append(copy)
        witness.copy_of[event.wamid] = copy
        if not words:
            witness.settle_all(person)
        self._check_bubbles(words, person)
        for word in words:
            known = witness.words.get(word)
            if known is None:
                continue
            known.jobs.setdefault(job, witness.now())
            alive = [one for one in known.jobs if not self._is_undone(one, known.person)]
            if len(alive) > 1:
                witness.found("answered twice", f"{word} in {alive}", known.person)

    def _check_bubbles(self, words: Sequence[str], person: int) -> None:
        """What came within the quiet window is answered together."""
        assistant, witness = self._world.settings.assistant, self._witness
        known = [witness.words[word] for word in words if word in witness.words and word[0] == "w"]
        times = [word.acknowledged_at for word in known if word.acknowledged_at is not None]
        if not times or max(times) - min(times) > assistant.quiet_max_seconds - 5.0 or self.moved(person):
            return
        for other in witness.of_person(person):
            at = other.acknowledged_at
            if at is None or other.text in words or other.settled or other.jobs:
                continue
            together = any(0.0 <= at - time < assistant.quiet_seconds - 0.3 for time in times)
            if together and self._world.faults.calm_after_all(min(times), witness.now()):
                witness.found("bubbles", f"{other.text} came within the quiet window of {' '.join(words)}", person)

    def copies_of(self, job: str) -> Sequence[Copy]:
        """What Meta accepted of a send."""
        return self._copies[job]

    def failed_for_good(self, jobs: Iterable[str]) -> bool:
        """Whether nothing of these sends is alive: receipts said that each of their copies failed."""
        return all(copy.failed and copy.proved_at is None for job in jobs for copy in self._copies[job])

    def _is_undone(self, job: str, person: int) -> bool:
        """Whether its message failed, so that the model answers again, or a person had it sent again.

        What was in doubt when a colleague stepped in is withdrawn: wabot does not know that it was said.
        """
        return job in self._witness.retried_by_hand or all(
            copy.failed
            or (copy.hidden and copy.proved_at is None and self._world.takeovers.began_since(person, copy.at))
            for copy in self._copies[job]
        )

    def _check_again(self, person: int, job: str, earlier: Sequence[Copy]) -> None:
        """Meta accepts a send for another time: only where its answer was hidden, and no receipt proved it."""
        witness, last = self._witness, earlier[-1]
        if job in witness.retried_by_hand or last.failed:
            return
        if not self._may_resend:
            witness.found("sent twice", f"{job}, though what is in doubt waits for a person", person)
        elif not (last.hidden or not self._world.faults.calm(last.at, last.at + 90.0, kinds=HIDING)):
            witness.found("sent twice", f"{job}, though Meta's answer was seen", person)
        elif witness.now() < last.at + self._world.settings.delivery.hold_seconds and self._clock_is_right():
            witness.found("sent twice", f"{job}, before a receipt could come", person)
        elif last.proved_at is not None and last.proved_at < witness.now() - UNDERWAY_SECONDS:
            witness.found("sent twice", f"{job}, though a receipt had proved it", person)

    def _clock_is_right(self) -> bool:
        now = self._witness.now()
        return bool(self._world.faults.calm(now, now, margin=3700.0, kinds=("clock jumps", "clock hiccup")))


def bodies_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """All texts of messages, for looking for words."""
    return "\n".join(f"{message.get('body')} {message.get('raw')}" for message in messages)
