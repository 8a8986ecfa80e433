"""The journal beside a small model of it, driven at random.

The model is plain Python over plain objects: what a job's state must be after each step, whom a claim must hand out,
which messages are answered. It takes over from the journal only what is not its business: times and counters.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.journal.scene import ANA, BEN, DAY, NOW, POLICY, RULES, receipt, said, template, text
from wabot.core.after_failure import after_bounce, after_failure, after_hold
from wabot.core.jobs import OF_CONTACTS, OPEN, TRANSITIONS, Event, Job, Kind, Outcome, State, move
from wabot.core.messages import Person, Status, Webhook, is_news
from wabot.core.meta_errors import meaning
from wabot.core.outgoing import Origin
from wabot.journal.archiving import Held
from wabot.journal.batches import NewBatch, Recipient
from wabot.journal.bulk_retry import RETRIED, Retry
from wabot.journal.connections import OnLoop
from wabot.journal.journal import FILE_NAME, Journal, open_journal
from wabot.journal.retry_and_cancel import CannotMove

T = TypeVar("T")
EVA = "IN.7"
"""Somebody of whom we know no number."""

PEOPLE = {ANA: Person(wa_id=ANA), BEN: Person(wa_id=BEN), EVA: Person(bsuid=EVA)}
ALIVE = (Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED)
"""What became of a copy that Meta accepted and that did not fail, the farther the later."""

HEADS = (State.QUEUED, State.RUNNING, State.IN_DOUBT)
JOINABLE = (State.QUEUED, State.WAITING)
TRANSIENT, FINAL = 131000, 131047
IN_MEMORY = Path("/dev/shm")
WEEK = 7 * DAY

SPEAKING = (Event.SUCCEED, Event.GIVE_UP)

Ends = Mapping[Kind, Event]
everybody = st.sampled_from(sorted(PEOPLE))
limits = st.integers(1, 4)
ends = st.fixed_dictionaries(
    {
        Kind.SEND: st.sampled_from([Event.SUCCEED] * 3 + [Event.RETRY, Event.HOLD, Event.LOSE_TRACK, Event.GIVE_UP]),
        Kind.REPLY: st.sampled_from([Event.SUCCEED] * 3 + [Event.RETRY, Event.GIVE_UP, Event.EXPIRE]),
    }
)


@dataclass
class Entry:
    """A job as the model sees it. `origin`, `wamid` and `status` are its message's; `upto` is a running reply's.

    `rejoined`: it left its contact's queue and came back, so it may stand behind younger ones. `copies`: what became
    of those that the message does not show, by wamid, each with the code of its failure. `lost`: the attempts whose
    answer was lost.
    """

    kind: Kind
    who: str
    state: State
    due: float
    origin: Origin | None = None
    batch: str | None = None
    expires: float | None = None
    since: int = 0
    upto: int = 0
    token: int = 0
    attempt: int = 0
    spent: int = 0
    settled: float | None = None
    wamid: str | None = None
    status: Status = Status.QUEUED
    rejoined: bool = False
    copies: dict[str, tuple[Status, int | None]] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)

    @property
    def priority(self) -> int:
        return 1 if self.origin is Origin.BULK else 0

    @property
    def is_head(self) -> bool:
        return self.kind is Kind.SEND and self.state in HEADS

    def doubts(self, job_id: int) -> list[int]:
        """The attempts whose answer was lost and of which nothing was heard since."""
        return [attempt for attempt in sorted(self.lost) if wamid_of(job_id, attempt) not in {self.wamid, *self.copies}]


@dataclass
class Heard:
    """An answerable message of somebody who had not opted out."""

    who: str
    id: int
    answered: bool = False
    silenced: bool = False


class JournalMachine(RuleBasedStateMachine):
    """Both, step by step."""

    our_rules = RULES

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
        self.now = NOW
        self.jobs: dict[int, Entry] = {}
        self.born: list[Entry] = []
        self.heard: dict[str, Heard] = {}
        self.told: dict[str, tuple[str, float]] = {}
        self.stopped = set[str]()
        self.paused = dict[str, float]()
        self.last_heard = dict[str, float]()
        self.kept = dict[tuple[str, Status], tuple[float, int | None]]()
        self.claims: list[Job] = []
        self.stale: list[Job] = []
        self.last_id = self.count = self.steps = 0
        self.done = dict[str, int]()
        self.journal = self.run(self.opened())
        path = Path(self.folder.name, "data", FILE_NAME)
        self.db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        self.db.row_factory = sqlite3.Row

    def teardown(self) -> None:
        try:
            if self.jobs.keys() == {row["id"] for row in self.rows("SELECT id FROM jobs")}:  # else it failed already
                self.drain()
        finally:
            self.db.close()
            self.run(self.journal.close())
            self.loop.close()
            self.folder.cleanup()

    # What happens

    @rule(who=everybody, count=st.integers(1, 3), answerable=st.booleans() | st.just(True))
    def hear(self, who: str, count: int, answerable: bool) -> None:
        wamids = [self.name("in") for _ in range(count)]
        messages = [said(wamid, PEOPLE[who], at=self.now, answerable=answerable) for wamid in wamids]
        taken = self.run(self.journal.accept(Webhook(messages=tuple(messages)), self.now))
        assert taken.stored == count
        self.told |= dict.fromkeys(wamids, (who, self.now))
        self.last_heard[who] = self.now
        if answerable and who not in self.stopped and not self.is_paused(who):
            ids = [self.one("SELECT id FROM messages WHERE wamid = ?", wamid) for wamid in wamids]
            self.heard |= {wamid: Heard(who, row) for wamid, row in zip(wamids, ids, strict=True)}
            self.owe_reply(who, ids[0])

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def hear_again(self, data: st.DataObject) -> None:
        wamid = data.draw(st.sampled_from(sorted(self.told)))
        who, at = self.told[wamid]
        before = self.everything()
        again = said(wamid, PEOPLE[who], at=at)
        taken = self.run(self.journal.accept(Webhook(messages=(again,)), self.now))
        assert (taken.stored, taken.replies, taken.sends) == (0, 0, 0)
        assert self.everything() == before

    @rule(numbers=st.sets(st.sampled_from([ANA, BEN]), min_size=1))
    def bulk(self, numbers: set[str]) -> None:
        asked = sorted(numbers)
        batch = NewBatch(self.name("b"), None, "", [Recipient(number, number, template()) for number in asked])
        self.run(self.journal.queue_batch(batch, self.now))
        for number in asked:
            if number not in self.stopped:
                self.enqueue(number, Origin.BULK, batch=batch.id)

    @precondition(lambda self: self.queued())
    @rule(data=st.data(), limit=limits)
    def claim(self, data: st.DataObject, limit: int) -> None:
        self.claims += self.claimed(data.draw(st.sampled_from(self.queued())), limit)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), ends=ends, says=st.integers(0, 2))
    def settle(self, data: st.DataObject, ends: Ends, says: int) -> None:
        job = data.draw(st.sampled_from(self.claims))
        self.claims.remove(job)
        self.settled(job, ends[job.kind], says)

    @precondition(lambda self: Kind.REPLY in self.queued())
    @rule(limit=limits, ends=ends, says=st.integers(0, 2), bubble=st.booleans())
    def reply(self, limit: int, ends: Ends, says: int, bubble: bool) -> None:
        """A lane's turn, during which people may go on talking."""
        for job in self.claimed(Kind.REPLY, limit):
            if bubble:
                self.hear(self.jobs[job.id].who, 1, answerable=True)
                self.compare()
            self.settled(job, ends[Kind.REPLY], says)

    @precondition(lambda self: Kind.SEND in self.queued())
    @rule(limit=limits, ends=ends)
    def send(self, limit: int, ends: Ends) -> None:
        """A lane's turn, undisturbed."""
        for job in self.claimed(Kind.SEND, limit):
            self.settled(job, ends[Kind.SEND], 0)

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), event=st.sampled_from([Event.SUCCEED, Event.RETRY, Event.GIVE_UP]))
    def settle_too_late(self, data: st.DataObject, event: Event) -> None:
        again = [job for job in self.stale if self.jobs[job.id].state is State.RUNNING]
        job = data.draw(st.sampled_from(again or self.stale))
        before = self.everything()
        outcome = Outcome(event, due_at=self.now, wamid=wamid_of(job.id, job.attempt), says=(text(),))
        assert self.run(self.journal.settle(job, outcome, self.now)) is None
        if job.kind is Kind.SEND and event is Event.SUCCEED:
            self.answered_late(job)
        else:
            assert self.everything() == before

    @precondition(lambda self: any(job.kind is Kind.REPLY for job in self.claims))
    @rule(data=st.data(), event=st.sampled_from([Event.SUCCEED, Event.RETRY, Event.GIVE_UP]))
    def settle_too_late_what_is_claimed_again(self, data: st.DataObject, event: Event) -> None:
        self.restart()
        self.compare()
        if Kind.REPLY in self.queued():
            self.claims += self.claimed(Kind.REPLY, 4)
            self.compare()
        self.settle_too_late(data, event)

    @precondition(lambda self: any(e.kind is Kind.SEND and e.attempt for e in self.jobs.values()))
    @rule(
        data=st.data(), tagged=st.booleans() | st.just(True), code=st.sampled_from([TRANSIENT, FINAL]),
        status=st.sampled_from([Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED, Status.FAILED]),
    )  # fmt: skip
    def tell(self, data: st.DataObject, tagged: bool, code: int, status: Status) -> None:
        job_id = data.draw(st.sampled_from([i for i, e in self.of(Kind.SEND) if e.attempt]))
        latest = self.jobs[job_id].attempt
        attempt = data.draw(st.sampled_from([latest, latest, 1]))
        self.told_of(job_id, attempt, status, code, tagged=tagged)

    @precondition(lambda self: Kind.SEND in self.queued())
    @rule(limit=limits, code=st.sampled_from([TRANSIENT, FINAL]))
    def tell_of_a_failure_before_its_answer_is_cut(self, limit: int, code: int) -> None:
        for job in self.claimed(Kind.SEND, limit):
            self.told_of(job.id, job.attempt, Status.FAILED, code, tagged=True)
            self.compare()
            self.settled(job, Event.LOSE_TRACK, 0)

    @precondition(lambda self: self.in_doubt() or Kind.SEND in self.queued())
    @rule(late=st.sampled_from([Status.SENT, Status.DELIVERED]), code=st.sampled_from([TRANSIENT, FINAL]))
    def tell_of_the_first_copy_when_the_second_is_out(self, late: Status, code: int) -> None:
        for job in [] if self.in_doubt() else self.claimed(Kind.SEND, 1):
            self.settled(job, Event.LOSE_TRACK, 0)
            self.compare()
        doubts = self.in_doubt()
        self.time_passes(max([0.0, *(entry.due - self.now for entry in doubts.values())]))
        self.compare()
        for job in self.claimed(Kind.SEND, 4) if Kind.SEND in self.queued() else []:
            self.settled(job, Event.SUCCEED, 0)
            self.compare()  # which takes over how many tries are spent
            if job.id in doubts:
                self.told_of(job.id, job.attempt - 1, late, None, tagged=True)
                self.told_of(job.id, job.attempt, Status.FAILED, code, tagged=True)
                self.compare()

    def in_doubt(self) -> dict[int, Entry]:
        return {job_id: entry for job_id, entry in self.of(Kind.SEND) if entry.state is State.IN_DOUBT}

    @precondition(lambda self: self.overtaken())
    @rule(data=st.data(), status=st.sampled_from([Status.SENT, Status.DELIVERED]))
    def tell_what_was_overtaken(self, data: st.DataObject, status: Status) -> None:
        job_id, attempt = data.draw(st.sampled_from(self.overtaken()))
        self.told_of(job_id, attempt, status, None, tagged=True)

    def overtaken(self) -> list[tuple[int, int]]:
        """The attempts whose failure we were told before anything else."""
        kept = [wamid for wamid, status in self.kept if status is Status.FAILED]
        copies = [w for _, e in self.of(Kind.SEND) for w, (status, _) in e.copies.items() if status is Status.FAILED]
        attempts = [wamid.split(".")[1:] for wamid in (*kept, *copies)]
        return [(int(job), int(attempt)) for job, attempt in attempts if int(job) in self.jobs]

    def told_of(self, job_id: int, attempt: int, status: Status, code: int | None, *, tagged: bool) -> None:
        tag = f"wabot:{self.journal.name}-{job_id}:{attempt}" if tagged else None
        code = code if status is Status.FAILED else None
        self.now += 0.001
        told = receipt(wamid_of(job_id, attempt), status, tag=tag, at=self.now, code=code)
        self.run(self.journal.accept(Webhook(receipts=(told,)), self.now))
        self.apply(told.wamid, status, (job_id, attempt) if tagged else None, code)

    @rule(seconds=st.sampled_from([0.5, 5.0, 95.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.tend()

    @precondition(lambda self: any(entry.state is State.HELD for entry in self.jobs.values()) or self.seldom("hour"))
    @rule(seconds=st.sampled_from([700.0, 700.0, 4000.0]))
    def an_hour_passes(self, seconds: float) -> None:
        self.done["hour"] = self.done.get("hour", 0) + 1
        self.time_passes(seconds)

    @precondition(lambda self: self.claims or self.seldom("restart"))
    @rule()
    def restart(self) -> None:
        self.done["restart"] = self.done.get("restart", 0) + 1
        self.run(self.journal.close())
        self.journal = self.run(self.opened())
        self.run(self.journal.recover(self.now))
        once = self.everything()
        self.run(self.journal.recover(self.now))
        assert self.everything() == once, "twice is once"
        self.stale, self.claims = [*self.stale, *self.claims], []
        for job_id, entry in list(self.jobs.items()):
            if entry.state is not State.RUNNING:
                continue
            if entry.kind is Kind.REPLY:
                self.absorb(entry.who)
            else:
                entry.lost.add(entry.attempt)
            self.move(job_id, Event.RETRY if entry.kind is Kind.REPLY else Event.LOSE_TRACK)
            self.end_known_failure(job_id, entry)

    @precondition(lambda self: any(e.kind is Kind.SEND for e in self.jobs.values()))
    @rule(data=st.data(), event=st.sampled_from([Event.CANCEL, Event.REOPEN]))
    def by_hand(self, data: st.DataObject, event: Event) -> None:
        job_id = data.draw(st.sampled_from([i for i, _ in self.of(Kind.SEND)]))
        entry = self.jobs[job_id]
        verb = self.journal.cancel if event is Event.CANCEL else self.journal.retry
        try:
            self.run(verb(job_id, self.now))
        except CannotMove:
            assert event not in TRANSITIONS[entry.state]
            return
        self.move(job_id, event)
        self.put_aside(entry)
        entry.due = self.now
        entry.status = Status.FAILED if event is Event.CANCEL else Status.QUEUED
        self.promote(entry.who)

    @precondition(lambda self: any(e.state in RETRIED for e in self.jobs.values()))
    @rule(may_repeat=st.booleans())
    def retry_in_bulk(self, may_repeat: bool) -> None:
        sends = [(i, entry) for i, entry in self.of(Kind.SEND) if entry.state in RETRIED]
        risky = {i for i, e in sends if e.state in (State.IN_DOUBT, State.PARKED) or e.doubts(i)}
        left = set() if may_repeat else risky
        retried = self.run(self.journal.retry_all(Retry(may_repeat=may_repeat), self.now))
        assert retried == (len(sends) - len(left), len(left))
        for job_id, entry in sends:
            if job_id not in left:
                self.move(job_id, Event.RETRY if entry.state is State.IN_DOUBT else Event.REOPEN)
                self.put_aside(entry)
                entry.due, entry.status = self.now, Status.QUEUED
                self.promote(entry.who)

    @precondition(lambda self: self.seldom("wish"))
    @rule(who=everybody, word=st.sampled_from(["stop", "start"]))
    def wish(self, who: str, word: str) -> None:
        stops = word == "stop"
        self.done["wish"] = self.done.get("wish", 0) + 1
        ordinary = not stops and who not in self.stopped
        if ordinary or (stops and who in self.stopped):
            return  # `hear` is about those
        wamid = self.name("in")
        taken = self.run(
            self.journal.accept(Webhook(messages=(said(wamid, PEOPLE[who], at=self.now, body=word),)), self.now)
        )
        assert (taken.stored, taken.sends, taken.replies) == (1, 1, 0)
        self.told[wamid] = who, self.now
        self.last_heard[who] = self.now
        if stops:
            self.stopped.add(who)
            self.silence(who, (State.WAITING, State.QUEUED, State.HELD), Event.CANCEL)
        else:
            self.stopped.discard(who)
        self.enqueue(who, Origin.CONFIRMATION, expires=self.now + RULES.reply_expires_seconds)

    @precondition(lambda self: self.seldom("week"))
    @rule()
    def a_week_passes(self) -> None:
        self.done["week"] = self.done.get("week", 0) + 1
        self.now += WEEK + 1
        self.tend()

    @rule(archived=st.booleans())
    def prune(self, archived: bool) -> None:
        if archived:
            rows = self.run(self.journal.ahead_of_archive(-1, 10_000))
            self.run(self.journal.mark_archived((row[0], row[1]) for row in rows))
        before = {
            row["id"]: row for row in self.rows("SELECT id, archived >= version AS safe, timestamp FROM messages")
        }
        horizon = self.now - WEEK
        while self.run(self.journal.prune(before=self.now, now=self.now)):
            pass
        self.forget_messages()
        left = {row["id"] for row in self.rows("SELECT id FROM messages")}
        for gone in before.keys() - left:
            assert before[gone]["safe"], "the archive lacks it"
            assert before[gone]["timestamp"] < horizon
        self.heard = {wamid: message for wamid, message in self.heard.items() if message.id in left}
        alive = {row["id"] for row in self.rows("SELECT id FROM jobs")}
        for gone in self.jobs.keys() - alive:
            entry = self.jobs.pop(gone)
            assert entry.state not in OPEN
            assert entry.settled is not None
            assert entry.settled < horizon
        self.stale = [job for job in self.stale if job.id in alive]
        self.claims = [job for job in self.claims if job.id in alive]
        self.told = {wamid: told for wamid, told in self.told.items() if told[1] > horizon}
        self.kept = {key: value for key, value in self.kept.items() if value[0] >= horizon}

    def forget_messages(self) -> None:
        """What the archiver does, which may have been overtaken by a change when it knows what the archive has."""
        after: int | None = 0
        while after is not None:
            held, after = self.run(self.journal.outdated(after, before=self.now, now=self.now, limit=3))
            ahead = [row["id"] for row in self.rows("SELECT id FROM messages WHERE archived < version")]
            assert not {one.id for one in held} & set(ahead), "the archive lacks it"
            self.run(self.journal.forget_messages([*held, *(Held(message_id, "", 1) for message_id in ahead)]))

    # What a lane does

    def queued(self) -> list[Kind]:
        """The kinds of which something may be claimed, now or soon."""
        return [kind for kind in OF_CONTACTS if any(entry.state is State.QUEUED for _, entry in self.of(kind))]

    def claimed(self, kind: Kind, limit: int) -> list[Job]:
        """A lane waits until something is due, and takes up to so many jobs."""
        self.now = max(self.now, min(entry.due for _, entry in self.of(kind) if entry.state is State.QUEUED))
        ready = [(e.priority, e.due, i) for i, e in self.of(kind) if e.state is State.QUEUED and e.due <= self.now]
        expected = [job_id for *_, job_id in sorted(ready)[:limit]]
        claimed = self.run(self.journal.claim(kind, limit=limit, now=self.now))
        assert [job.id for job in claimed] == expected
        for job in claimed:
            entry = self.jobs[job.id]
            mine = [(i, e) for i, e in self.of(kind) if e.who == entry.who and e.state in OPEN - {State.HELD}]
            line = [i for i, e in mine if not e.rejoined]
            assert entry.rejoined or job.id == min(line), "order per contact"
            assert (job.attempt, job.since) == (entry.attempt + 1, entry.since)
            entry.token, entry.upto, entry.attempt = job.token, job.upto, job.attempt
            self.move(job.id, Event.CLAIM)
        return claimed

    def settled(self, job: Job, event: Event, says: int) -> None:
        """The journal settles a claim; from then on it is one that comes too late."""
        self.stale.append(job)
        wait = {Event.RETRY: 3.0, Event.HOLD: 700.0, Event.LOSE_TRACK: POLICY.hold_seconds}.get(event, 0.0)
        outgoing = tuple(text() for _ in range(says)) if job.kind is Kind.REPLY and event in SPEAKING else ()
        outcome = Outcome(event, due_at=self.now + wait, wamid=wamid_of(job.id, job.attempt), says=outgoing)
        state = self.run(self.journal.settle(job, outcome, self.now))
        entry = self.jobs[job.id]
        if entry.state is not State.RUNNING or entry.token != job.token:
            assert state is None
            if job.kind is Kind.SEND and event is Event.SUCCEED:
                self.answered_late(job)
            return
        entry.due = self.now + wait
        if job.kind is Kind.SEND:
            self.send_settled(job, entry, event)
        else:
            self.reply_settled(job, entry, event, len(outgoing))
        assert state is (entry.state if event is Event.LOSE_TRACK else move(State.RUNNING, event))

    def send_settled(self, job: Job, entry: Entry, event: Event) -> None:
        self.move(job.id, event)
        if event is Event.SUCCEED:
            entry.wamid, entry.status = wamid_of(job.id, job.attempt), Status.SENT
            self.promote(entry.who)
            known = entry.copies.pop(entry.wamid, None)
            if known is not None:
                self.advance(job.id, entry, known[0], job.attempt, known[1])
            self.attach(wamid_of(job.id, job.attempt))
        if event is Event.LOSE_TRACK:
            entry.lost.add(job.attempt)
            self.end_known_failure(job.id, entry)
        self.promote(entry.who)

    def answered_late(self, job: Job) -> None:
        """Meta has that attempt, whatever became of the job since."""
        self.apply(wamid_of(job.id, job.attempt), Status.SENT, (job.id, job.attempt), None)

    def reply_settled(self, job: Job, entry: Entry, event: Event, says: int) -> None:
        if event is Event.RETRY:
            self.absorb(entry.who)
        else:
            self.answer(entry)
        self.move(job.id, event)
        for _ in range(says):
            self.enqueue(entry.who, Origin.AI, expires=job.expires_at)
        self.promote_reply(entry.who)

    # What must be so

    @invariant()
    def compare(self) -> None:
        """The journal's jobs are the model's; what the model leaves to the journal is taken over."""
        if not hasattr(self, "db"):
            return
        self.steps += 1
        rows = {row["id"]: row for row in self.rows("SELECT * FROM jobs")}
        for job_id in sorted(rows.keys() - self.jobs.keys()):
            assert job_id > self.last_id, "an id came back"
            assert self.born, f"a job that nobody asked for: {dict(rows[job_id])}"
            self.jobs[job_id] = self.born.pop(0)
            self.last_id = job_id
        assert self.born == [], "a job was not made"
        assert rows.keys() == self.jobs.keys(), "a job is gone"
        for job_id, entry in self.jobs.items():
            row = rows[job_id]
            assert (job_id, row["kind"], row["state"]) == (job_id, entry.kind, entry.state)
            assert row["token"] == entry.token or entry.state is not State.RUNNING
            entry.due, entry.expires, entry.settled = row["due_at"], row["expires_at"], row["settled_at"]
            entry.spent, entry.attempt, entry.since = row["spent"], row["attempt"], row["since"] or 0
            assert (entry.settled is None) == (entry.state in OPEN)
            assert json.loads(row["doubts"]) == entry.doubts(job_id)

    @invariant()
    def every_message_is_answered_or_will_be(self) -> None:
        for wamid, message in self.heard.items() if hasattr(self, "db") else ():
            covered = [
                entry
                for _, entry in self.of(Kind.REPLY)
                if entry.who == message.who
                and entry.state in OPEN
                and entry.since <= message.id
                and (entry.state is not State.RUNNING or message.id <= entry.upto)
            ]
            assert message.answered or message.silenced or covered, f"{wamid} is forgotten"

    @invariant()
    def messages_are_told_apart_and_stand_where_the_model_has_them(self) -> None:
        if not hasattr(self, "db"):
            return
        assert self.rows("SELECT wamid FROM messages WHERE wamid IS NOT NULL GROUP BY wamid HAVING count(*) > 1") == []
        carried = self.rows("SELECT job_id, wamid, status FROM messages WHERE wamid IS NOT NULL AND job_id IS NOT NULL")
        expected = {(i, e.wamid, e.status) for i, e in self.of(Kind.SEND) if e.wamid is not None}
        assert {tuple(row) for row in carried if row["job_id"] in self.jobs} == expected
        aside = {(i, wamid, status) for i, e in self.of(Kind.SEND) for wamid, (status, _) in e.copies.items()}
        assert {tuple(row) for row in self.rows("SELECT job_id, wamid, status FROM copies")} == aside

    @invariant()
    def what_has_a_live_copy_is_done_and_shows_the_best(self) -> None:
        for _, entry in self.of(Kind.SEND) if hasattr(self, "db") else ():
            copies = [status for status, _ in entry.copies.values()]
            alive = [ALIVE.index(status) for status in [*copies, entry.status] if status in ALIVE]
            assert not alive or (entry.state is State.DONE and ALIVE.index(entry.status) == max(alive))

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        for _, entry in self.of(Kind.SEND) if hasattr(self, "db") else ():
            if entry.state is State.WAITING:
                assert any(other.is_head and other.who == entry.who for other in self.jobs.values())

    def drain(self) -> None:
        """Left alone, everything comes to an end."""
        for _ in range(200):
            if not any(entry.state in OPEN for entry in self.jobs.values()):
                return
            self.now += 1000
            self.tend()
            self.compare()
            self.claims += [job for kind in OF_CONTACTS for job in self.drained(kind)]
            for job in self.claims:
                done = Outcome(Event.SUCCEED, wamid=self.name("end"))
                self.run(self.journal.settle(job, done, self.now))
            self.claims = []
            for row in self.rows("SELECT id, state FROM jobs"):
                self.jobs[row["id"]].state = State(row["state"])
        raise AssertionError("it never ends")

    def drained(self, kind: Kind) -> list[Job]:
        return self.run(self.journal.claim(kind, limit=1000, now=self.now))

    # The model

    def owe_reply(self, who: str, since: int) -> None:
        mine = [entry for _, entry in self.of(Kind.REPLY) if entry.who == who]
        if not any(entry.state in JOINABLE for entry in mine):
            running = any(entry.state is State.RUNNING for entry in mine)
            state = State.WAITING if running else State.QUEUED
            self.born.append(Entry(Kind.REPLY, who, state, self.now, since=since))

    def enqueue(self, who: str, origin: Origin, *, batch: str | None = None, expires: float | None = None) -> None:
        headed = any(entry.is_head and entry.who == who for entry in [*self.jobs.values(), *self.born])
        state = State.WAITING if headed else State.QUEUED
        self.born.append(Entry(Kind.SEND, who, state, self.now, origin, batch, expires))

    def promote(self, who: str) -> None:
        mine = [(job_id, entry) for job_id, entry in self.of(Kind.SEND) if entry.who == who]
        waiting = [job_id for job_id, entry in mine if entry.state is State.WAITING]
        if waiting and not any(entry.is_head for _, entry in mine):
            self.move(min(waiting), Event.PROMOTE)

    def promote_reply(self, who: str) -> None:
        for job_id, entry in self.of(Kind.REPLY):
            if entry.who == who and entry.state is State.WAITING:
                self.move(job_id, Event.PROMOTE)

    def absorb(self, who: str) -> None:
        for job_id, entry in self.of(Kind.REPLY):
            if entry.who == who and entry.state is State.WAITING:
                self.move(job_id, Event.CANCEL)

    def answer(self, entry: Entry) -> None:
        for message in self.heard.values():
            if message.who == entry.who and entry.since <= message.id <= entry.upto:
                assert not message.answered, "answered twice"
                message.answered = True

    def silence(self, who: str, states: Iterable[State], event: Event, *, by: float = float("inf")) -> None:
        """What waits of somebody ends by rule: all of it, or what expires `by` a time."""
        for job_id, entry in list(self.jobs.items()):
            due = by == float("inf") or (entry.expires is not None and entry.expires <= by)
            if by != float("inf") and entry.kind is Kind.REPLY:  # it expires when it is its turn
                due = due and entry.state is State.QUEUED and entry.due <= by
            if entry.who != who or entry.state not in states or not due:
                continue
            self.move(job_id, event)
            for message in self.heard.values():
                if entry.kind is Kind.REPLY and message.who == who and message.id >= entry.since:
                    message.silenced = True

    def tend(self) -> None:
        self.run(self.journal.tend(self.now))
        for job_id, entry in self.of(Kind.SEND):
            if entry.state is State.IN_DOUBT and entry.due <= self.now:
                self.move(job_id, after_hold(spent=entry.spent, policy=POLICY, now=self.now).event)
                self.promote(entry.who)
        for job_id, entry in self.of(Kind.SEND):
            if entry.state is State.HELD and entry.due <= self.now:
                self.move(job_id, Event.RELEASE)
        known = {entry.who for entry in self.jobs.values()}
        for who in known:
            self.promote(who)
        for who in known:
            self.silence(who, (State.WAITING, State.QUEUED, State.HELD), Event.EXPIRE, by=self.now)
            self.promote(who)

    def apply(self, wamid: str, status: Status, tag: tuple[int, int] | None, code: int | None) -> None:
        shown = next((item for item in self.of(Kind.SEND) if item[1].wamid == wamid), None)
        aside = next((job_id for job_id, entry in self.of(Kind.SEND) if wamid in entry.copies), None)
        if shown is not None:
            self.advance(*shown, status, tag[1] if tag else None, code)
        elif tag is not None or aside is not None:
            self.apply_to_copy(tag[0] if tag else aside or 0, wamid, status, tag[1] if tag else None, code)
        else:
            self.kept.setdefault((wamid, status), (self.now, code))

    def advance(self, job_id: int, entry: Entry, status: Status, attempt: int | None, code: int | None) -> None:
        """News of the copy that the message shows."""
        if not is_news(entry.status, status):
            return
        before, entry.status = entry.status, status
        alive = [(ALIVE.index(told), wamid) for wamid, (told, _) in entry.copies.items() if told in ALIVE]
        if status is not Status.FAILED:
            if before is Status.FAILED:
                self.prove(job_id, entry)
        elif alive:
            best = max(alive)[0]
            self.show(entry, min(wamid for rank, wamid in alive if rank == best), code)
        else:
            undecided = entry.attempt > 1 and attempt != entry.attempt
            outcome = after_bounce(
                meaning({"code": code}), spent=max(entry.spent, 1), policy=POLICY, now=self.now, noise=0.5,
                undecided=undecided,
            )  # fmt: skip
            self.move(job_id, outcome.event)
            if outcome.event is not Event.GIVE_UP:
                self.put_aside(entry, code)
                entry.status = Status.QUEUED

    def apply_to_copy(self, job_id: int, wamid: str, status: Status, attempt: int | None, code: int | None) -> None:
        """News of another copy, or of one that we did not know."""
        entry = self.jobs[job_id]
        if not is_news(entry.copies.get(wamid, (Status.QUEUED, None))[0], status):
            return
        entry.copies[wamid] = status, code
        if status is Status.FAILED:
            if entry.state is State.IN_DOUBT and attempt == entry.attempt:
                self.end_doubt(job_id, entry, code, spent=entry.spent - 1)
        elif entry.status not in ALIVE or ALIVE.index(status) > ALIVE.index(entry.status):
            self.show(entry, wamid, None)
            self.prove(job_id, entry)
        self.attach(wamid)

    def show(self, entry: Entry, wamid: str, code: int | None) -> None:
        status = entry.copies.pop(wamid)[0]
        self.put_aside(entry, code)
        entry.wamid, entry.status = wamid, status

    def put_aside(self, entry: Entry, code: int | None = None) -> None:
        if entry.wamid is not None:
            entry.copies[entry.wamid] = entry.status, code
            entry.wamid = None

    def prove(self, job_id: int, entry: Entry) -> None:
        if Event.PROVE in TRANSITIONS[entry.state]:
            self.move(job_id, Event.PROVE)
            self.promote(entry.who)

    def end_known_failure(self, job_id: int, entry: Entry) -> None:
        """A doubt about an attempt of which we were told before that it failed is none; this one was just counted."""
        status, code = entry.copies.get(wamid_of(job_id, entry.attempt), (None, None))
        if entry.state is State.IN_DOUBT and status is Status.FAILED:
            self.end_doubt(job_id, entry, code, spent=entry.spent)

    def end_doubt(self, job_id: int, entry: Entry, code: int | None, *, spent: int) -> None:
        outcome = after_failure(meaning({"code": code}), spent=spent, policy=POLICY, now=self.now, noise=0.5)
        self.move(job_id, outcome.event)
        if outcome.event is Event.GIVE_UP:
            entry.status = Status.FAILED
        self.promote(entry.who)

    def attach(self, wamid: str) -> None:
        early = sorted((at, status, code) for (of, status), (at, code) in self.kept.items() if of == wamid)
        for _, status, _ in early:
            del self.kept[wamid, status]
        for _, status, code in early:
            self.apply(wamid, status, None, code)

    # Odds and ends

    def is_paused(self, who: str) -> bool:
        return self.now < self.paused.get(who, 0.0)

    def seldom(self, what: str) -> bool:
        """Whether something that ends much at once is not too frequent: once for every dozen steps."""
        return self.steps >= 12 * (1 + self.done.get(what, 0))

    def of(self, kind: Kind) -> list[tuple[int, Entry]]:
        return [(job_id, entry) for job_id, entry in self.jobs.items() if entry.kind is kind]

    def move(self, job_id: int, event: Event) -> None:
        entry = self.jobs[job_id]
        entry.state = move(entry.state, event)
        entry.rejoined |= event in (Event.RELEASE, Event.REOPEN)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def opened(self) -> Journal:
        """On no thread: one thing happens after the other here, and the way to a thread and back takes longer."""
        place = Path(self.folder.name, "data")
        return await open_journal(place, rules=self.our_rules, policy=POLICY, connect=OnLoop())

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self.db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Any:
        (row,) = self.rows(sql, *values)
        return row[0]

    def everything(self) -> list[tuple[Any, ...]]:
        tables = ("jobs", "messages", "contacts", "identities", "receipts", "copies")
        return [tuple(row) for table in tables for row in self.rows(f"SELECT * FROM {table}")]

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}.{self.count}"


def wamid_of(job_id: int, attempt: int) -> str:
    """What Meta calls the message of an attempt."""
    return f"out.{job_id}.{attempt}"
