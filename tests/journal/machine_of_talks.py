"""The model of machine.py, and beside it what changes the course of a talk: people who step in, schedules, forgetting.

What must be so then: a person who answers is not talked over (promise 8), a schedule is kept, the owner is told as
often as it was promised, and of who is forgotten nothing stays (promise 10).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.journal.machine import PEOPLE, WEEK, Entry, JournalMachine, everybody, limits, wamid_of
from tests.journal.scene import ANA, BEN, DAY, POLICY, RULES, said, template, text
from wabot.core.handoff import HandoffRules
from wabot.core.jobs import OPEN, TRANSITIONS, Event, Job, Kind, Outcome, State
from wabot.core.may_send import check
from wabot.core.messages import Direction, Status, Webhook
from wabot.core.outgoing import OF_ASSISTANT, Origin
from wabot.journal.authors import WINDOW_PRECISION
from wabot.journal.batches import NewBatch, Recipient
from wabot.journal.owner_alerts import ALERT_SECONDS, SUMMARY_SECONDS
from wabot.journal.single_messages import NewSingle, NotQueued, Reason

OWNER = "4915100000000"
"""Who is told that a person is needed."""
HANDOFF = HandoffRules(
    words=frozenset({"human"}), notice="A person will answer.", resume_seconds=12 * 3600.0, unanswered_seconds=1800.0,
    unanswered_notice="You are not forgotten.", alert_number=OWNER, alert_template="person_needed",
)  # fmt: skip
UNSENT = (State.WAITING, State.QUEUED, State.HELD)
LONG = st.sampled_from([600.0, 5000.0, 2 * WEEK])


@dataclass
class Need:
    """Somebody needs a person since a time; whether they were told that they are not forgotten."""

    since: float
    reminded: bool = False


class TalksMachine(JournalMachine):
    """The journal and the model, with all that people do to a talk."""

    our_rules = replace(RULES, handoff=HANDOFF)

    @initialize()
    def open(self) -> None:
        super().open()
        self.silent_upto = dict[str, int]()
        self.batches = set[str]()
        self.planned = dict[str, tuple[float, list[str]]]()
        self.needs = dict[str, Need]()
        self.alert_due = dict[str, float]()
        self.alerted = dict[str, float]()
        self.owner_told: float | None = None
        self.named = dict[int, set[str]]()
        self.alerts = list[set[str]]()
        self.orphans = list[Job]()

    # Who answers

    @precondition(lambda self: self.seldom("pause"))
    @rule(who=everybody, seconds=LONG)
    def pause(self, who: str, seconds: float) -> None:
        self.done["pause"] = self.done.get("pause", 0) + 1
        self.run(self.journal.pause(who, self.now + seconds, None, self.now))
        self.take_over(who, self.now + seconds)

    @precondition(lambda self: self.paused)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        self.give_back(data.draw(st.sampled_from(sorted(self.paused))))

    def give_back(self, who: str) -> None:
        assert self.run(self.journal.resume(who))
        del self.paused[who]
        self.needs_nobody(who)

    @rule(who=everybody)
    def staff_writes_in_the_app(self, who: str) -> None:
        wamid = self.name("echo")
        echo = said(wamid, PEOPLE[who], at=self.now, body="It is me", direction=Direction.OUT, answerable=False)
        self.run(self.journal.accept(Webhook(messages=(echo,)), self.now))
        self.take_over_for(who, HANDOFF.resume_seconds)
        self.needs_nobody(who)

    @rule(who=everybody, seconds=st.sampled_from([0.0, 600.0, 5000.0]))
    def staff_writes_by_the_api(self, who: str, seconds: float) -> None:
        age = self.now - self.last_heard.get(who, 0.0)
        if DAY - WINDOW_PRECISION < age < DAY:
            return  # both are right
        batch = self.name("s")
        single = NewSingle(batch, None, "", who, text(origin=Origin.STAFF), takeover_seconds=seconds)
        queued = self.run(self.journal.queue_single(single, self.now))
        if who in self.stopped or age >= DAY:
            reason = Reason.OPTED_OUT if who in self.stopped else Reason.WINDOW_CLOSED
            assert isinstance(queued, NotQueued)
            assert queued.reason is reason
            return
        self.enqueue(who, Origin.STAFF, batch=batch)
        if seconds:
            self.run_ahead()
            self.take_over_for(who, seconds)
            self.needs_nobody(who)

    @rule(who=everybody)
    def ask_for_a_person(self, who: str) -> None:
        wamid = self.name("in")
        asked = said(wamid, PEOPLE[who], at=self.now, body="Human!")
        taken = self.run(self.journal.accept(Webhook(messages=(asked,)), self.now))
        self.told[wamid] = who, self.now
        self.last_heard[who] = self.now
        if who in self.stopped or self.is_paused(who):
            assert (taken.handoffs, taken.replies, taken.sends) == (0, 0, 0)
            return
        assert taken.handoffs == 1
        self.take_over_for(who, HANDOFF.resume_seconds)
        self.needs[who] = Need(self.now)
        self.alert_due.setdefault(who, max(self.now, self.alerted.get(who, 0.0) + ALERT_SECONDS))
        self.enqueue(who, Origin.SERVICE, expires=self.now + self.our_rules.reply_expires_seconds)

    @rule(who=everybody, says=st.integers(1, 2), leaves=st.booleans(), back=st.booleans())
    def step_in_on_what_was_said(self, who: str, says: int, leaves: bool, back: bool) -> None:
        """The assistant has an answer; it waits or is on its way, and comes back, when a person steps in."""
        self.hear(who, 1, answerable=True)
        self.compare()
        for job in self.claimed(Kind.REPLY, 4) if Kind.REPLY in self.queued() else []:
            self.settled(job, Event.SUCCEED, says)
            self.compare()
        claimed = self.claimed(Kind.SEND, 4) if leaves and Kind.SEND in self.queued() else []
        self.pause(who, 600.0)
        self.compare()
        if back:
            self.give_back(who)
        for job in claimed:
            self.settled(job, Event.RETRY, 0)
            self.compare()

    @precondition(lambda self: Kind.REPLY in self.queued())
    @rule(limit=limits, says=st.integers(0, 1), back=st.booleans())
    def step_in_while_the_assistant_thinks(self, limit: int, says: int, back: bool) -> None:
        for job in self.claimed(Kind.REPLY, limit):
            who = self.jobs[job.id].who
            self.pause(who, 600.0)
            self.compare()
            if back:
                self.give_back(who)
            self.settled(job, Event.SUCCEED, says)
            self.compare()

    def claimed(self, kind: Kind, limit: int) -> list[Job]:
        """As before; and what the lane would refuse to send is what was the assistant's before a person stepped in."""
        jobs = super().claimed(kind, limit)
        for job in jobs if kind is Kind.SEND else []:
            entry = self.jobs[job.id]
            silent = self.is_paused(entry.who) or job.id <= self.silent_upto.get(entry.who, 0)
            verdict = check(job, self.now, attempts=POLICY.attempts)
            if silent and entry.origin in OF_ASSISTANT:
                assert verdict is not None, "a person is talked over"
            else:
                assert verdict is None or verdict.code != "taken_over", "it was withdrawn without a reason"
        return jobs

    def take_over_for(self, who: str, seconds: float) -> None:
        """A longer pause stays as it is."""
        if self.paused.get(who, 0.0) < self.now + seconds:
            self.take_over(who, self.now + seconds)

    def take_over(self, who: str, until: float) -> None:
        self.paused[who] = until
        self.silent_upto[who] = max(self.jobs, default=self.silent_upto.get(who, 0))
        for job_id, entry in list(self.jobs.items()):
            if entry.who != who:
                continue
            if entry.kind is Kind.REPLY and entry.state in OPEN:
                self.move(job_id, Event.TAKE_OVER if entry.state is State.RUNNING else Event.CANCEL)
            elif entry.origin in OF_ASSISTANT and entry.state in UNSENT:
                self.cancelled(job_id, entry)
        for message in self.heard.values():
            message.silenced |= message.who == who
        self.promote(who)

    def cancelled(self, job_id: int, entry: Entry) -> None:
        self.move(job_id, Event.CANCEL)
        entry.status = Status.FAILED

    def needs_nobody(self, who: str) -> None:
        if self.needs.pop(who, None):
            self.alert_due.pop(who, None)

    # Schedules

    @rule(numbers=st.sets(st.sampled_from([ANA, BEN]), min_size=1), seconds=st.sampled_from([3.0, 95.0, 4000.0]))
    def plan(self, numbers: set[str], seconds: float) -> None:
        asked = [Recipient(number, number, template()) for number in sorted(numbers)]
        batch = NewBatch(self.name("p"), None, "", asked, send_at=self.now + seconds)
        self.run(self.journal.queue_batch(batch, self.now))
        self.planned[batch.id] = self.now + seconds, sorted(numbers)
        self.batches.add(batch.id)

    @precondition(lambda self: self.planned)
    @rule(data=st.data())
    def cancel_what_is_planned(self, data: st.DataObject) -> None:
        batch_id = data.draw(st.sampled_from(sorted(self.planned)))
        assert self.run(self.journal.cancel_batch(batch_id, self.now))
        del self.planned[batch_id]

    @precondition(lambda self: self.running_batches())
    @rule(data=st.data())
    def cancel_a_batch(self, data: st.DataObject) -> None:
        batch_id = data.draw(st.sampled_from(self.running_batches()))
        assert self.run(self.journal.cancel_batch(batch_id, self.now))
        for job_id, entry in [(i, e) for i, e in self.of(Kind.SEND) if e.batch == batch_id]:
            if Event.CANCEL in TRANSITIONS[entry.state]:
                self.put_aside(entry)
                self.cancelled(job_id, entry)
                self.promote(entry.who)
            elif entry.state in (State.RUNNING, State.IN_DOUBT, State.DONE):
                assert self.one("SELECT expires_at FROM jobs WHERE id = ?", job_id) == self.now, "it comes back"

    def running_batches(self) -> list[str]:
        return sorted({e.batch for _, e in self.of(Kind.SEND) if e.batch and e.state in {*OPEN, State.PARKED}})

    def due_batches(self) -> list[str]:
        """In the journal's order: that of two batches of the same time is its business."""
        queued = self.rows("SELECT id FROM batches WHERE next_position IS NOT NULL")
        return [row["id"] for row in queued if self.planned[row["id"]][0] <= self.now]

    # What time brings

    def tend(self) -> None:
        due = self.due_batches()
        super().tend()
        self.remind_who_waits()
        self.tell_owner()
        for batch_id in due:
            for who in self.planned.pop(batch_id)[1]:
                if who not in self.stopped:
                    self.enqueue(who, Origin.BULK, batch=batch_id)

    def remind_who_waits(self) -> None:
        late = [who for who, need in self.needs.items() if not need.reminded]
        late = [who for who in late if self.needs[who].since <= self.now - HANDOFF.unanswered_seconds]
        for who in sorted(late, key=lambda who: (self.needs[who].since, self.contact_id(who))):
            self.needs[who].reminded = True
            self.alert_due[who] = self.now
            if self.is_paused(who) and self.now < self.last_heard[who] + DAY and who not in self.stopped:
                self.enqueue(who, Origin.SERVICE)

    def tell_owner(self) -> None:
        told_lately = self.owner_told is not None and self.now < self.owner_told + SUMMARY_SECONDS
        due = {who for who, at in self.alert_due.items() if at <= self.now}
        if told_lately or not due:
            return
        self.owner_told = self.now
        for who in due:
            del self.alert_due[who]
            self.alerted[who] = self.now
        self.enqueue(OWNER, Origin.SERVICE)
        self.alerts.append(due)

    @invariant()
    def compare(self) -> None:
        """As before; alerts get their ids."""
        if not hasattr(self, "orphans"):
            return
        known = set(self.jobs)
        super().compare()
        for job_id in sorted(self.jobs.keys() - known):
            if self.jobs[job_id].who == OWNER:
                self.named[job_id] = self.alerts.pop(0)

    # Who is forgotten

    @precondition(lambda self: self.seldom("forget"))
    @rule(who=everybody)
    def forget(self, who: str) -> None:
        self.done["forget"] = self.done.get("forget", 0) + 1
        known = bool(self.rows("SELECT 1 FROM identities WHERE value = ?", who))
        erased = self.run(self.journal.forget(who, self.now, archive=False))
        gone = {job_id for job_id, entry in self.jobs.items() if entry.who == who}
        assert (erased.known, erased.jobs) == (known, len(gone))
        self.orphans += [job for job in (*self.claims, *self.stale) if job.id in gone]
        self.claims = [job for job in self.claims if job.id not in gone]
        self.stale = [job for job in self.stale if job.id not in gone]
        self.jobs = {job_id: entry for job_id, entry in self.jobs.items() if job_id not in gone}
        self.heard = {wamid: message for wamid, message in self.heard.items() if message.who != who}
        for known_of in (self.paused, self.silent_upto, self.needs, self.alert_due, self.alerted, self.last_heard):
            known_of.pop(who, None)  # type: ignore[attr-defined]
        for _, numbers in self.planned.values():
            numbers[:] = [number for number in numbers if number != who]
        self.leave_alerts(who)
        self.nothing_stays_of(who)

    def leave_alerts(self, who: str) -> None:
        for job_id, names in self.named.items():
            if who in names:
                names.discard(who)
                entry = self.jobs.get(job_id)
                if entry is not None and not names and entry.state in UNSENT:
                    self.cancelled(job_id, entry)
                    self.promote(OWNER)

    def nothing_stays_of(self, who: str) -> None:
        for file in Path(self.folder.name, "data").iterdir():
            assert who.encode() not in file.read_bytes(), f"{who} is still in {file.name}"

    @precondition(lambda self: self.orphans)
    @rule(data=st.data(), event=st.sampled_from([Event.SUCCEED, Event.RETRY, Event.GIVE_UP]))
    def settle_what_was_forgotten(self, data: st.DataObject, event: Event) -> None:
        job = data.draw(st.sampled_from(self.orphans))
        before = self.everything()
        outcome = Outcome(event, due_at=self.now, wamid=wamid_of(job.id, job.attempt), says=(text(),))
        assert self.run(self.journal.settle(job, outcome, self.now)) is None
        assert self.everything() == before

    # Odds and ends

    def contact_id(self, who: str) -> int:
        return int(self.one("SELECT contact_id FROM identities WHERE value = ?", who))

    def run_ahead(self) -> None:
        """Let the model know the ids of what was just queued, so that the next step may move it."""
        ids = [row["id"] for row in self.rows("SELECT id FROM jobs ORDER BY id") if row["id"] > self.last_id]
        for job_id in ids:
            self.jobs[job_id] = self.born.pop(0)
            self.last_id = job_id
