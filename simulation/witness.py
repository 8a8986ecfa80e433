"""What the world saw: what people said, what was acknowledged, and what Meta got. It holds promises as it goes.

It knows nothing of the service but what anybody outside can see: HTTP answers, and requests to Meta. `requests` checks
each request to Meta; `audit` asks the service now and then, and at the end.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulation.trace import Trace
from wabot.core.complaint import part, parts

WAMID = re.compile(rb'"id": ?"(wamid[^"]+)"')
ANSWER_SECONDS = 45.0
"""Within this long an answer that is possible comes."""
UNDERWAY_SECONDS = 60.0
"""For so long what had been claimed before may still arrive."""


class Finding(Exception):
    """A promise is broken. `kind`: which, in few words; `about`: the person, for the trace."""

    def __init__(self, kind: str, text: str, about: str = "") -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text, self.about = kind, text, about


@dataclass
class Word:
    """Something that a person said, or that an operator sent. Times are seconds of the run.

    `jobs`: those whose request with it Meta accepted, each with the time. `settled`: it needs no answer of its own.
    `forgotten`: with who said it.
    """

    text: str
    person: int
    said_at: float
    wamid: str = ""
    acknowledged_at: float | None = None
    jobs: dict[str, float] = field(default_factory=dict)
    settled: bool = False
    late: bool = False
    forgotten: bool = False


@dataclass
class Wishes:
    """Of a person: whether the last wish is to get nothing, and since when wabot knows it (None: not yet)."""

    stop: bool = False
    wamid: str = ""
    since: float | None = None


@dataclass
class Copy:
    """A request that Meta accepted.

    `hidden`: its answer has not reached wabot. `proved_at`: when a receipt of it was acknowledged. `statuses`: of its
    receipts that were acknowledged.
    """

    wamid: str
    attempt: int
    at: float
    hidden: bool = True
    proved_at: float | None = None
    failed: bool = False
    statuses: set[str] = field(default_factory=set)


class Witness:
    """Call its methods with what happens. The first finding is kept in `finding`."""

    def __init__(self, now: Callable[[], float], trace: Trace) -> None:
        self.now, self.trace = now, trace
        self.words: dict[str, Word] = {}
        self.by_wamid: dict[str, Word] = {}
        self._said: dict[int, list[Word]] = defaultdict(list)
        self.wishes: dict[int, Wishes] = {}
        self.copy_of: dict[str, Copy] = {}
        self.tries: dict[str, list[bool]] = defaultdict(list)
        self.retried_by_hand: set[str] = set()
        self.cancelled_at: dict[str, float] = {}
        self.latest_cancel: dict[int, float] = {}
        self.batches: dict[str, list[str]] = {}
        self.events: list[float] = []
        self.refusals = 0
        self.finding: Finding | None = None
        self.on_finding: Callable[[], None] = lambda: None
        self.disk_is_well: Callable[[], bool] = lambda: False
        self.on_said: Callable[[], None] = lambda: None
        self.on_acknowledged: list[Callable[[Word], object]] = []
        self.may_be_silent: Callable[[int], bool] = lambda _person: False
        self.last_speaker = 0

    def found(self, kind: str, text: str, about: object = "") -> None:
        """A promise is broken."""
        self.trace("FINDING", kind=repr(kind), text=text)
        if self.finding is None:
            self.finding = Finding(kind, text, str(about))
            self.on_finding()

    # --- people ---

    def said(self, word: str, person: int, wamid: str, *, must_be_answered: bool = True) -> None:
        """A person says something."""
        wish = self.wishes.get(person)
        settled = not must_be_answered or (wish is not None and wish.since is None)  # does wabot know they came back?
        settled = settled or self.may_be_silent(person)
        self.last_speaker = person
        said = Word(word, person, self.now(), wamid, settled=settled)
        self.words[word] = self.by_wamid[wamid] = said
        self._said[person].append(said)
        self.trace("said", person=person, word=word)
        self.on_said()

    def wished(self, person: int, wamid: str, *, stop: bool) -> None:
        """A person says STOP or START."""
        self.wishes[person] = Wishes(stop, wamid)
        self.trace("wished", person=person, stop=stop)
        self.settle_all(person)
        self.on_said()

    def settle_all(self, person: int) -> None:
        """What a person said so far needs no answer, or no other."""
        for word in self.of_person(person):
            word.settled = True

    def of_person(self, person: int) -> list[Word]:
        """What a person said lately."""
        return self._said[person][-30:]

    def ordered(self, word: str, person: int) -> None:
        """An operator wants to send it."""
        self.words[word] = Word(word, person, self.now(), settled=True)

    def batched(self, batch_id: str, number: int, words: Sequence[str]) -> None:
        """A batch was acknowledged."""
        self.batches[batch_id] = list(words)
        for word in words:
            self.words[word].acknowledged_at = self.now()
        self.trace("batched", batch=batch_id, number=number)

    def cancelled(self, job: str, person: int) -> None:
        """wabot said that it cancelled a send to a person."""
        self.cancelled_at[job] = self.latest_cancel[person] = self.now()

    def heard(self, body: bytes) -> None:
        """An answer reached wabot."""
        for wamid in WAMID.findall(body):
            if (copy := self.copy_of.get(wamid.decode())) is not None:
                copy.hidden = False

    def tried(self, job: str, *, hopeless: bool) -> None:
        """A send was tried; `hopeless`: Meta would take no message of this number at present."""
        self.tries[job].append(hopeless)

    # --- webhooks ---

    def refused(self, status: int) -> None:
        """A webhook was not answered 200: that is for a disk that fails, and for a process that is not there."""
        self.refusals += 1
        if status not in (0, 503) or (status == 503 and self.disk_is_well()):
            self.found("refused", f"a webhook was answered {status}")

    def acknowledged(self, body: Mapping[str, Any]) -> None:
        """A webhook was answered 200."""
        self.events.append(self.now())
        for entry in parts(body, "entry"):
            for change in parts(entry, "changes"):
                value = part(change, "value")
                for message in parts(value, "messages"):
                    self._acknowledged_message(str(message.get("id")))
                for status in parts(value, "statuses"):
                    self._acknowledged_receipt(str(status.get("id")), str(status.get("status")))

    def _acknowledged_message(self, wamid: str) -> None:
        said = self.by_wamid.get(wamid)
        if said is not None and said.acknowledged_at is None:
            said.acknowledged_at = self.now()
            self.trace("acknowledged", word=said.text)
            for follows in self.on_acknowledged:
                follows(said)
        for person, wish in self.wishes.items():
            if wish.wamid == wamid and wish.since is None:
                wish.since = self.now()
                self.trace("wish.acknowledged", person=person, stop=wish.stop)

    def _acknowledged_receipt(self, wamid: str, status: str) -> None:
        copy = self.copy_of.get(wamid)
        if copy is None:
            return
        copy.statuses.add(status)
        if status == "failed":
            copy.failed = True
        elif copy.proved_at is None:
            copy.proved_at = self.now()
        self.trace("receipt", wamid=wamid[-12:], status=status)

    def prompted(self, words: Sequence[str]) -> None:
        """The model was asked. Nobody's words are in somebody else's talk."""
        people = sorted({self.words[word].person for word in words if word in self.words})
        if len(people) > 1:
            self.found("identity", f"the model was shown the words of {people} at once", people[0])
