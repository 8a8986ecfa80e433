"""What the world saw: what people said, what was acknowledged, and what Meta accepted. It holds promises as it goes.

It knows nothing of the service but what anybody outside can see: HTTP answers, and requests to Meta.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulation.model import WORD
from simulation.trace import Trace
from wabot.sandbox.ledger import Sent
from wabot.sandbox.parts import part, parts

TAG = re.compile(r"wabot:(\w+-\d+):(\d+)")
"""The tag of a request: the job, and the how-manieth request of it."""

ANSWER_SECONDS = 60.0
"""Within this long an answer that is possible comes."""


class Finding(Exception):
    """A promise is broken. `kind`: which, in few words; `about`: the person, for the trace."""

    def __init__(self, kind: str, text: str, about: str = "") -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text, self.about = kind, text, about


@dataclass
class Word:
    """Something that a person said, or that an operator sent. Times are seconds of the run."""

    text: str
    person: int
    said_at: float
    wamid: str = ""
    acknowledged_at: float | None = None
    jobs: dict[str, float] = field(default_factory=dict)
    must_be_answered: bool = True


@dataclass
class Copy:
    """A request that Meta accepted. `hidden`: wabot may not know that. `proved_at`: a receipt was acknowledged."""

    wamid: str
    attempt: int
    at: float
    hidden: bool
    proved_at: float | None = None
    failed: bool = False


class Witness:
    """Call its methods with what happens. Findings are kept in `finding`, the first one only."""

    def __init__(self, now: Callable[[], float], trace: Trace) -> None:
        self.now, self.trace = now, trace
        self.words: dict[str, Word] = {}
        self.by_wamid: dict[str, Word] = {}
        self.copies: dict[str, list[Copy]] = defaultdict(list)
        self.copy_of: dict[str, Copy] = {}
        self.retried_by_hand: set[str] = set()
        self.refusals = 0
        self.finding: Finding | None = None
        self.on_finding: Callable[[], None] = lambda: None
        self.on_said: Callable[[], None] = lambda: None
        self.owner_of: Callable[[str], int | None] = lambda _address: None
        self.may_hide: Callable[[float], bool] = lambda _at: False
        self.may_resend = True

    def found(self, kind: str, text: str, about: object = "") -> None:
        """A promise is broken."""
        self.trace("FINDING", kind=kind, text=text)
        if self.finding is None:
            self.finding = Finding(kind, text, str(about))
            self.on_finding()

    # --- people and webhooks ---

    def said(self, word: str, person: int, wamid: str, *, must_be_answered: bool = True) -> None:
        """A person said something."""
        self.words[word] = said = Word(word, person, self.now(), wamid, must_be_answered=must_be_answered)
        self.by_wamid[wamid] = said
        self.trace("said", person=person, word=word)
        self.on_said()

    def refused(self, status: int) -> None:
        """A webhook was not answered 200."""
        self.refusals += 1

    def acknowledged(self, body: Mapping[str, Any]) -> None:
        """A webhook was answered 200."""
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

    def _acknowledged_receipt(self, wamid: str, status: str) -> None:
        copy = self.copy_of.get(wamid)
        if copy is None:
            return
        if status == "failed":
            copy.failed = True
        elif copy.proved_at is None:
            copy.proved_at = self.now()
        self.trace("receipt", wamid=wamid[-8:], status=status)

    # --- the model and Meta ---

    def prompted(self, words: Sequence[str]) -> None:
        """The model was asked. Nobody's words reach somebody else's talk."""
        people = {self.words[word].person for word in words if word in self.words}
        if len(people) > 1:
            self.found("identity", f"the model was shown the words of {sorted(people)} at once", sorted(people)[0])

    def sent(self, event: object) -> None:
        """A request of wabot's arrived at Meta."""
        if not isinstance(event, Sent):
            return
        tag = TAG.fullmatch(event.tag or "")
        said = dict.fromkeys(WORD.findall(str(event.payload)))
        self.trace("send", to=event.to, code=event.code, status=event.status, accepted=bool(event.wamid), tag=event.tag,
                   words=" ".join(said))  # fmt: skip
        if tag is None:
            self.found("tag", f"a request without a valid tag: {event.tag}", event.to)
            return
        self._check_identity(event, said)
        if event.wamid:
            self._accepted(event, tag[1], int(tag[2]), said)

    def _check_identity(self, event: Sent, said: Mapping[str, None]) -> None:
        owner = self.owner_of(event.to)
        for word in said:
            known = self.words.get(word)
            if known is None or known.person != owner:
                whose = known.person if known else "nobody"
                self.found("identity", f"{word} of {whose} goes to {event.to}, who is {owner}", owner)

    def _accepted(self, event: Sent, job: str, attempt: int, said: Mapping[str, None]) -> None:
        earlier = self.copies[job]
        copy = Copy(event.wamid, attempt, self.now(), event.status != 200 or event.code is not None)
        if earlier:
            self._check_again(event, job, earlier)
        earlier.append(copy)
        self.copy_of[event.wamid] = copy
        for word in said:
            known = self.words.get(word)
            if known is None:
                continue
            known.jobs.setdefault(job, self.now())
            if len(known.jobs) > 1:
                self.found("answered twice", f"{word} in {list(known.jobs)}", known.person)

    def _check_again(self, event: Sent, job: str, earlier: Sequence[Copy]) -> None:
        """Meta accepts a send for another time: only where its answer was hidden, and no receipt proved it."""
        last = earlier[-1]
        if job in self.retried_by_hand or last.failed:
            return
        about = self.owner_of(event.to)
        if not self.may_resend:
            self.found("sent twice", f"{job}, though what is in doubt waits for a person", about)
        elif not (last.hidden or self.may_hide(last.at)):
            self.found("sent twice", f"{job}, though Meta's answer was seen", about)
        elif last.proved_at is not None and last.proved_at < self.now() - 5.0:
            self.found("sent twice", f"{job}, though a receipt had proved it", about)
