"""Faults put into wabot on purpose, one at a time: the simulation must find each, or it proves nothing."""

from __future__ import annotations

from simulation.mutation import Mutant
from simulation.past_defects import PAST_DEFECTS

MUTANTS: dict[str, Mutant] = {
    # The journal's conditions
    "a late settle counts": Mutant(
        "wabot.journal.transitions", "AND (:token IS NULL OR token = :token)", "AND (1 OR :token = token)"),
    "promotion looks for no head": Mutant("wabot.journal.transitions", ' f" AND NOT {_HAS_HEAD}",', ' "",'),
    "the youngest is promoted": Mutant("wabot.journal.transitions", "ORDER BY id LIMIT 1)", "ORDER BY id DESC LIMIT 1)"),
    "a settled reply promotes no other": Mutant(
        "wabot.journal.jobs", "    promote_reply(db, job.contact.id, now)\n", "    pass\n"),
    "a settled send promotes no other": Mutant(
        "wabot.journal.jobs", "    refusal_effects.spread(db, job.id, job.contact.id, outcome, now)\n"
        "    promote(db, job.contact.id, now)", "    refusal_effects.spread(db, job.id, job.contact.id, outcome, now)"),
    "replies that ran are not recovered": Mutant(
        "wabot.journal.transitions", "WHERE kind = 'reply' AND {indexes.RUNNING}\",", "WHERE kind = 'reply' AND 0\",", "crashes"),
    "sends that ran are not recovered": Mutant(
        "wabot.journal.transitions", "f\" WHERE kind = 'send' AND {indexes.RUNNING}\",", "f\" WHERE kind = 'send' AND 0\",", "crashes"),
    "sends that ran are sent again at once": Mutant(
        "wabot.journal.transitions", "(move(State.RUNNING, Event.LOSE_TRACK),)", "(move(State.RUNNING, Event.RETRY),)", "crashes"),
    "the reply that waited is not absorbed": Mutant(
        "wabot.journal.jobs", "    if waiting is None:\n        return\n", "    if True:\n        return\n"),
    "a bubble opens a reply of its own": Mutant("wabot.journal.accept", "    if not joined:\n", "    if True:\n"),
    "a joined bubble is not waited for": Mutant(
        "wabot.journal.accept", "SET due_at = max(due_at, min(?, created_at + ?))", "SET due_at = max(0, min(?, 0 * ?))"),
    "what a reply says is lost": Mutant(
        "wabot.journal.jobs", "for outgoing in outcome.says:", "for outgoing in outcome.says[1:]:"),
    "what Meta delivers again is new": Mutant(
        "wabot.journal.accept", "WHERE wamid IS NOT NULL DO NOTHING", "WHERE wamid IS NOT NULL DO UPDATE SET version = version + 1", "crashes"),
    "STOP leaves what is queued, and nobody looks again": Mutant(
        "wabot.core.may_send", "if job.contact.stopped is Stop.ALL and", "if False and", "people stop",
        Mutant("wabot.core.may_send", "    if stopped is Stop.ALL:\n", "    if False:\n",
               also=Mutant("wabot.journal.accept", "        cancel_for_opt_out(db, one, now)\n", "        pass\n"))),
    "who said STOP is answered": Mutant(
        "wabot.journal.accept", "author.stopped is Stop.ALL or author.paused or wish is Wish.STOP:", "author.paused:", "people stop"),
    "STOP is not written down": Mutant(
        "wabot.journal.accept", "    opt_outs.record(db, contact_id, Stop.ALL, at, stop=True)\n", "    pass\n", "people stop"),
    "START is not written down": Mutant("wabot.journal.accept", "        opt_outs.start(db, author.id, at)\n", "        pass\n", "people stop"),
    "an Idempotency-Key is forgotten": Mutant(
        "wabot.journal.batches", "        (batch.id, batch.fingerprint, now, _DRAFT,", "        (batch.id, now, now, _DRAFT,", "crashes"),
    "doubts never end": Mutant("wabot.journal.timeouts", "(\"doubt_ends\", ", "(", "doubts"),
    "held sends are never released": Mutant("wabot.journal.timeouts", "\"released\", \"expires\"", "\"expires\"", "paused templates"),
    "what is released is not promoted": Mutant(
        "wabot.journal.timeouts",
        "    for contact_id in {row[\"contact_id\"] for row in rows}:  # when all are back, so that the oldest is the first\n"
        "        promote(db, contact_id, now)\n", "", "paused templates"),
    "the first to be due is not the first": Mutant(
        "wabot.journal.jobs", "SELECT min(at) FROM", "SELECT max(at) FROM", "a bad model"),
    "old jobs are never forgotten": Mutant(
        "wabot.journal.pruning", "SELECT id FROM jobs WHERE settled_at < ?", "SELECT id FROM jobs WHERE settled_at < ? - 1e9", "a long silence"),
    # Orders of effects, and wakes
    "a commit that is rolled back is acknowledged": Mutant(
        "wabot.journal.sqlite", "        db.execute(\"COMMIT\")\n",
        "        db.execute(\"COMMIT\" if db.total_changes % 50 else \"ROLLBACK\")\n", "crashes"),
    "a webhook wakes no lane": Mutant(
        "wabot.journal.journal", "self.notify(Kind.REPLY, now + self._rules.quiet_seconds)", "pass"),
    "an answer wakes no lane": Mutant(
        "wabot.journal.journal", "        if outcome.says:\n            self.notify(Kind.SEND, now)\n", ""),
    "a settle that the disk refuses is given up": Mutant(
        "wabot.work.lane", "                await self._sleep(JOURNAL_RETRY_SECONDS)\n                continue\n",
        "                return None\n", "a disk with faults"),
    "a lane that is woken sleeps on": Mutant(
        "wabot.work.lane", "        if due < self._alarm or clock_was_set_forward:\n", "        if due < self._alarm - 60.0:\n"),
    "a wake that comes while the lane looks is lost": Mutant(
        "wabot.work.lane", "self._alarm = min(self._alarm, next_turn)", "self._alarm = next_turn"),
    "the archive is marked before it has it": Mutant(
        "wabot.work.archiver", "            refused = await self._archive.record([document for _, _, document in rows])\n",
        "            await self._ledger.mark_archived([(row[0], row[1]) for row in rows])\n"
        "            refused = await self._archive.record([document for _, _, document in rows])\n", "the archive comes and goes"),
    # Missed resets, limits, judgements
    "a lost answer is no doubt": Mutant(
        "wabot.core.after_failure", "                Event.LOSE_TRACK, due_at=now + wait, ",
        "                Event.RETRY, due_at=now + 1.0, ", "doubts that are sent again"),
    "what is in doubt is sent again, though the owner wants no message twice": Mutant(
        "wabot.core.after_failure", "if not policy.resend_in_doubt:\n        return Outcome(Event.PARK, spent=False)",
        "if False:\n        return Outcome(Event.PARK, spent=False)", "doubts"),
    "a blocked number uses up sends": Mutant(
        "wabot.core.after_failure", "Event.RETRY, due_at=now, spent=False, error=error.reason, code=error.code, halt=Halt.BLOCKED)",
        "Event.GIVE_UP, error=error.reason, code=error.code)", "outages"),
    "a text leaves outside of the window": Mutant(
        "wabot.core.may_send", "if outgoing.template is None and not job.contact.window_is_open(now):", "if False:", "Meta is away for days"),
    "a reply is made however late": Mutant(
        "wabot.work.reply", "        if (late := self._too_late(job, now)) is not None:\n            return late\n",
        "", "the model is away for days"),
    "a model that fails is asked no more": Mutant(
        "wabot.work.reply", "        return again or self.gave_up(job, str(error), welcome)\n",
        "        return Outcome(Event.GIVE_UP, error='none', code='assistant')\n", "a bad model"),
    "the throughput limit is not kept": Mutant(
        "wabot.core.rate_limits", "            self._tokens = min(max(self._tokens - count, -self._allowed), self._depth)",
        "            self._tokens = self._depth", "a low limit"),
    "the pair limit is not kept": Mutant(
        "wabot.core.rate_limits", "        return now if in_burst or paid_at <= now else paid_at", "        return now"),
    "a probe that gets through ends no pause": Mutant(
        "wabot.work.lane", "            elif outcome.event is Event.SUCCEED and self._pausing.succeeded(seen, self._clock()):\n",
        "            elif False:\n", "outages"),
    # Meta's messaging limit
    "the messaging limit is not kept": Mutant(
        "wabot.core.messaging_limit", "if person in self._written or len(self._written) < self.most:", "if True:", "few people a day"),
    "people count for half a day": Mutant(
        "wabot.core.messaging_limit", "[1] <= now - DAY:", "[1] <= now - DAY / 2:", "few people a day"),
    "who got no message keeps a place": Mutant(
        "wabot.core.messaging_limit", "self._written.items() if at >= known_from]", "self._written.items()]", "few people a day"),
    "who waits for a place is not told of a higher limit": Mutant(
        "wabot.work.portfolios", "        while moved == AT_ONCE and room >= 1:\n", "        while False:\n", "few people a day"),
    "a restart forgets the messaging limit": Mutant(
        "wabot.work.portfolios", "            await self._journal.remember_messaging_limit(*said)\n", "            pass\n", "few people a day"),
    "a restart forgets to whom the business wrote": Mutant(
        "wabot.work.portfolios", "        await self._portfolio.recount(self._clock())\n", "", "few people a day"),
    "who writes is counted as if written to": Mutant(
        "wabot.work.send", "    return not job.contact.window_is_open(now)\n", "    return True\n", "few people a day"),
    # A person answers
    "a takeover withdraws no queued reply": Mutant(
        "wabot.journal.takeover", "    for job_id, state in db.execute(_SENDS, {\"contact\": contact_id}).fetchall():\n", "    for job_id, state in ():\n",
        "people step in", Mutant(
        "wabot.core.may_send", "    silent = job.contact.is_paused(now) or job.id <= job.contact.silent_upto\n", "    silent = False\n")),
    "a reply that is being made is said all the same": Mutant(
        "wabot.journal.takeover", "    for job_id, state in db.execute(_REPLIES, (contact_id,) * 2).fetchall():\n", "    for job_id, state in ():\n",
        "people step in"),
    "what is in doubt is sent again in a takeover": Mutant(
        "wabot.core.may_send", "    silent = job.contact.is_paused(now) or job.id <= job.contact.silent_upto\n", "    silent = False\n",
        "people step in"),
    "what was owed before a takeover is sent after it": Mutant(
        "wabot.core.may_send", " or job.id <= job.contact.silent_upto\n", "\n", "people step in", Mutant(
        "wabot.journal.takeover", "    for job_id, state in db.execute(_SENDS, {\"contact\": contact_id}).fetchall():\n", "    for job_id, state in ():\n")),
    "what a colleague writes in the phone app is nothing": Mutant(
        "wabot.journal.handoffs", "    if db.execute(ours, (contact_id, body)).fetchone() is None:\n", "    if False:\n", "people step in"),
    "a message with takeover takes nothing over": Mutant(
        "wabot.journal.single_messages", "    if single.takeover_seconds:\n", "    if False:\n", "people step in"),
    "who asks for a person is answered by the assistant": Mutant(
        "wabot.core.handoff", "        return word in self.words\n", "        return False\n", "people step in"),
    "what is said in a takeover is answered": Mutant(
        "wabot.journal.accept", "author.stopped is Stop.ALL or author.paused or wish is Wish.STOP", "author.stopped is Stop.ALL or wish is Wish.STOP",
        "people step in", Mutant(
        "wabot.core.may_send", "    silent = job.contact.is_paused(now) or job.id <= job.contact.silent_upto\n", "    silent = False\n")),
    "a takeover outlives that it is given back": Mutant(
        "wabot.journal.takeover", "\"UPDATE contacts SET paused_until = NULL, paused_reason = NULL WHERE id = ?\"", "\"UPDATE contacts SET paused_reason = NULL WHERE id = ?\"",
        "people step in"),
    "a takeover lasts for ever": Mutant(
        "wabot.core.messages", "        return self.paused_until is not None and now < self.paused_until\n", "        return self.paused_until is not None\n",
        "people step in", Mutant("wabot.journal.takeover", "WHERE paused_until <= ? ORDER BY", "WHERE paused_until <= 0 * ? ORDER BY")),
    "who waits is told so again and again": Mutant(
        "wabot.journal.handoffs", "SET reminded_at = :now, alert_due", "SET alert_due", "people step in"),
    "who waits is never told": Mutant(
        "wabot.journal.handoffs", "        if rules.unanswered_notice and may_be_told:\n", "        if False:\n", "people step in"),
    # Schedules
    "a scheduled batch leaves at once": Mutant(
        "wabot.journal.batches", "    if batch.send_at is not None:\n        db.execute(\"UPDATE batches SET send_at = ?", "    if False:\n        db.execute(\"UPDATE batches SET send_at = ?", "schedules"),
    "a scheduled batch never leaves": Mutant(
        "wabot.journal.batches", "(coalesce(send_at, 0) <= :now OR cancelled_at IS NOT NULL)", "(send_at IS NULL OR cancelled_at IS NOT NULL)", "schedules"),
    "a batch that was cancelled before its time leaves": Mutant(
        "wabot.journal.batches", "SET cancelled_at = coalesce(cancelled_at, ?), next_position = 0 WHERE id = ?", "SET cancelled_at = coalesce(NULL, ?), next_position = 0 WHERE id = ? AND send_at IS NULL", "schedules"),
    "quiet hours are none": Mutant("wabot.assembly.factories", "        bulk_waits=quiet.wait,\n", "", "schedules"),
    "quiet hours end at midnight": Mutant(
        "wabot.quiet_hours", "timedelta(days=self.end <= self.start)", "timedelta(days=0)", "schedules"),
    # What the owner's programs are told
    "an event that was refused is given up": Mutant(
        "wabot.core.owner_events", "    if now >= expires_at:\n        return Outcome(Event.GIVE_UP, error=error)\n    due",
        "    if True:\n        return Outcome(Event.GIVE_UP, error=error)\n    due", "the owner's programs come and go"),
    "an event never fails": Mutant(
        "wabot.core.owner_events", "    if now >= expires_at:\n        return Outcome(Event.GIVE_UP, error=error)\n    due",
        "    expires_at += 1e9\n    due", "the owner's programs are away for days"),
    "events that ran are not recovered": Mutant(
        "wabot.journal.event_queue", "WHERE state = 'running'\", (move(State.RUNNING, Event.RETRY),))",
        "WHERE 0\", (move(State.RUNNING, Event.RETRY),))", "the owner's programs come and go"),
    "a settled event promotes no other": Mutant(
        "wabot.journal.event_queue", "    for row in moved:\n", "    for row in ():\n", "the owner's programs come and go"),
    "the youngest event is promoted": Mutant(
        "wabot.journal.event_queue", "AND contact_id = :contact ORDER BY id LIMIT 1)", "AND contact_id = :contact ORDER BY id DESC LIMIT 1)",
        "the owner's programs come and go"),
    "an event has another id each time": Mutant(
        "wabot.work.event_posts", "id_=job.post.webhook_id,", "id_=f\"{job.post.webhook_id}{job.attempt}\",", "the owner's programs come and go"),
    "an event that is refused counts as told": Mutant(
        "wabot.work.event_posts", "        told = 200 <= status < 300\n", "        told = status > 0\n", "the owner's programs come and go"),
    "an event that cannot be told yet lets the next one pass": Mutant(
        "wabot.core.owner_events", "    return Outcome(Event.RETRY, due_at=min(due, expires_at), error=error)\n",
        "    return Outcome(Event.SUCCEED)\n", "the owner's programs come and go"),
    # Forgetting
    "old bytes stay between rows": Mutant(
        "wabot.journal.forgetting", "if pages * size <= REWRITTEN:", "if False:", "people are forgotten"),
    "what is delivered again brings back who is forgotten": Mutant(
        "wabot.journal.forgotten", "for wamid in wamids if wamid]", "for wamid in () if wamid]", "people are forgotten"),
    "the WAL keeps who is forgotten": Mutant(
        "wabot.journal.forgetting", "    busy, _, _ = db.execute(\"PRAGMA wal_checkpoint(TRUNCATE)\").fetchone()\n    return not busy\n", "    return True\n", "people are forgotten"),
    "results of batches keep who is forgotten": Mutant(
        "wabot.journal.batch_results", " for row in rows if row[\"number\"] in names],", " for row in ()],", "people are forgotten"),
    "the archive forgets nobody": Mutant(
        "wabot.work.archiver", "            documents = await self._archive.forget(person.names, person.keys)\n",
        "            documents = 0\n", "people are forgotten"),
    **PAST_DEFECTS,
}  # fmt: skip
"""By what is wrong then."""
