"""Defects that wabot once had (see CHANGELOG.md), put into today's code again."""

from __future__ import annotations

from simulation.mutation import Mutant

_SMALL_SLICES = Mutant("wabot.journal.batches", "SLICE, SLICE_SIZE = 500,", "SLICE, SLICE_SIZE = 2,")
"""Batches of the simulation are small; with it they are queued in slices, as large ones are."""

PAST_DEFECTS: dict[str, Mutant] = {
    "a reply whose talk cannot be read is a bug": Mutant(
        "wabot.work.lane", "        except JournalDown as error:\n            wait = min(JOURNAL_RETRY_SECONDS * job.attempt, IDLE_SECONDS)",
        "        except ZeroDivisionError as error:\n            wait = min(JOURNAL_RETRY_SECONDS * job.attempt, IDLE_SECONDS)",
        "a disk with faults"),
    "cancelling a send wakes nobody": Mutant(
        "wabot.journal.retry_and_cancel", "    promote(db, send[\"contact_id\"], now)\n", "", "operators at work"),
    "merges that had to wait are never done": Mutant(
        "wabot.journal.merging", "        f\" AND NOT {_BOTH_BUSY} LIMIT 500\",", "        \" AND 0 LIMIT 500\",", "people move"),
    "somebody's former number leads to them": Mutant(
        "wabot.journal.contacts", "return tuple(name for name in names if name not in passed)", "return tuple(names)",
        "people move"),
    "an outage that answers uses up tries": Mutant(
        "wabot.core.after_failure", "    return blame is Blame.MESSAGE and not hits_others", "    return not hits_others", "outages",
        Mutant("wabot.core.after_failure", "    if blame is Blame.META:\n", "    if False:\n")),
    "an archive that lost what it had is believed": Mutant(
        "wabot.work.archiver", "        if lacking:\n            first", "        if False:\n            first", "the archive comes and goes"),
    "an archive that a question found away is asked again much later": Mutant(
        "wabot.work.archive_circuit", "            self._lost.set()\n", "", "the archive comes and goes"),
    "the wish that arrives last counts": Mutant(
        "wabot.journal.opt_outs", " WHERE excluded.at >= wishes.at\"", "\"", "people stop"),
    "old news give a number back to its former owner": Mutant(
        "wabot.journal.contacts", "    return later or db.execute(passed, (person.wa_id, at)).fetchone() is not None",
        "    return False", "people move"),
    "who moves to a number inherits its talk": Mutant(
        "wabot.journal.contacts", "    if owner[\"bsuid\"] not in (None, new.bsuid):\n        return True\n",
        "    if True:\n        return False\n", "people move"),
    "two talks that become one forget what was answered": Mutant(
        "wabot.journal.merging", "    _say_who_answers(db, keep, gone)\n", "", "people move"),
    "the younger of two waiting contacts keeps its old names": Mutant(
        "wabot.journal.merging", "    for waiting in opt_outs.everyone(db, keep)[1:]:", "    for waiting in [] and opt_outs.everyone(db, keep)[1:]:",
        "people move"),
    "a clock that jumps for a moment is followed": Mutant(
        "wabot.assembly.clock", "        elif abs(ahead - self._jump) > DRIFT_SECONDS:\n            self._jump, self._jumped_at = ahead, steady\n",
        "        elif ahead > self._ahead:\n            self._ahead = self._jump = ahead\n", "a wrong clock"),
    "what a wrong clock queued waits for its time": Mutant(
        "wabot.journal.queue", "    latest = now + min(longest, policy.backoff_max_seconds)\n", "    return 0\n", "starts with a wrong clock"),
    "what Meta accepted and failed stays done": Mutant(
        "wabot.journal.receipts", "    elif State(send[\"state\"]) is State.DONE:\n", "    elif False:\n", "failed by receipt"),
    "a restart sends again before receipts could arrive": Mutant(
        "wabot.journal.jobs", "    db.execute(f\"UPDATE jobs SET due_at = ? WHERE {indexes.DOUBTFUL}\", (now + policy.hold_seconds,))\n", "", "crashes"),
    "a batch that a crash cut off is never queued to its end": Mutant(
        "wabot.journal.batch_queueing", "                await self.finish(batch_id, now)\n", "                continue\n", "large batches",
        _SMALL_SLICES),
    "a large batch that is cancelled goes on": Mutant(
        "wabot.journal.batches", "    cancelled = batch[\"cancelled_at\"] is not None\n", "    cancelled = False\n", "large batches",
        _SMALL_SLICES),
    "an Idempotency-Key is forgotten by large batches": Mutant(
        "wabot.journal.batch_queueing", "        if known:\n            return known\n", "", "large batches",
        Mutant("wabot.journal.batches", "    if known := find(db, batch.key, batch.fingerprint):\n        return known\n    db.execute(\"UPDATE batches SET key = ?, next_position = 0 WHERE id = ?\", (batch.key, batch.id))",
               "    db.execute(\"UPDATE batches SET key = ?, next_position = 0 WHERE id = ?\", (None, batch.id))", also=_SMALL_SLICES)),
}  # fmt: skip
"""By what is wrong then."""
