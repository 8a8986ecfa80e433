"""Faults put into wabot on purpose, one at a time: the simulation must find each, or it proves nothing.

A mutant is a piece of a module's source and what stands there instead; it is put in while the module is imported, so
each runs in a process of its own. `without`: parts of the world that only cost time for it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """In `module`, `mutant` stands where the source says `genuine`."""

    module: str
    genuine: str
    mutant: str


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
        "wabot.journal.transitions", "WHERE kind = 'reply' AND {indexes.RUNNING}\",", "WHERE kind = 'reply' AND 0\","),
    "sends that ran are not recovered": Mutant(
        "wabot.journal.transitions", "f\" WHERE kind = 'send' AND {indexes.RUNNING}\",", "f\" WHERE kind = 'send' AND 0\","),
    "sends that ran are sent again at once": Mutant(
        "wabot.journal.transitions", "(move(State.RUNNING, Event.LOSE_TRACK),)", "(move(State.RUNNING, Event.RETRY),)"),
    "the reply that waited is not absorbed": Mutant(
        "wabot.journal.jobs", "    if waiting is None:\n        return\n", "    if True:\n        return\n"),
    "a bubble opens a reply of its own": Mutant("wabot.journal.accept", "    if not joined:\n", "    if True:\n"),
    "a joined bubble is not waited for": Mutant(
        "wabot.journal.accept", "SET due_at = max(due_at, min(?, created_at + ?))", "SET due_at = max(0, min(?, 0 * ?))"),
    "what a reply says is lost": Mutant(
        "wabot.journal.jobs", "for outgoing in outcome.says:", "for outgoing in outcome.says[1:]:"),
    "what Meta delivers again is new": Mutant(
        "wabot.journal.accept", "WHERE wamid IS NOT NULL DO NOTHING", "WHERE wamid IS NOT NULL DO UPDATE SET version = version + 1"),
    "STOP leaves what is queued, and nobody looks again": Mutant(
        "wabot.core.may_send", "if job.contact.stopped is Stop.ALL and", "if False and"),
    "who said STOP is answered": Mutant(
        "wabot.journal.accept", "and author.stopped is not Stop.ALL and wish is not Wish.STOP", ""),
    "STOP is not written down": Mutant(
        "wabot.journal.accept", "    opt_outs.record(db, contact_id, Stop.ALL, at, stop=True)\n", "    pass\n"),
    "START is not written down": Mutant("wabot.journal.accept", "        opt_outs.start(db, author.id, at)\n", "        pass\n"),
    "an Idempotency-Key is forgotten": Mutant(
        "wabot.journal.batches", "    if known := find(db, batch):\n        return known\n    db.execute(\"UPDATE",
        "    db.execute(\"UPDATE"),
    "doubts never end": Mutant("wabot.journal.timeouts", "(found[\"doubt_ends\"], ", "("),
    "held sends are never released": Mutant("wabot.journal.timeouts", "found[\"released\"], ", ""),
    "what is released is not promoted": Mutant(
        "wabot.journal.timeouts",
        "    for contact_id in {row[\"contact_id\"] for row in rows}:  # when all are back, so that the oldest is the first\n"
        "        promote(db, contact_id, now)\n", ""),
    "the first to be due is not the first": Mutant(
        "wabot.journal.jobs", "SELECT min(at) FROM", "SELECT max(at) FROM"),
    "old jobs are never forgotten": Mutant(
        "wabot.journal.pruning", "SELECT id FROM jobs WHERE settled_at < ?", "SELECT id FROM jobs WHERE settled_at < ? - 1e9"),
    # Orders of effects, and wakes
    "a commit that is rolled back is acknowledged": Mutant(
        "wabot.journal.sqlite", "        db.execute(\"COMMIT\")\n",
        "        db.execute(\"COMMIT\" if db.total_changes % 50 else \"ROLLBACK\")\n"),
    "a webhook wakes no lane": Mutant(
        "wabot.journal.journal", "self.notify(Kind.REPLY, now + self._rules.quiet_seconds)", "pass"),
    "an answer wakes no lane": Mutant(
        "wabot.journal.journal", "        if outcome.says:\n            self.notify(Kind.SEND, now)\n", ""),
    "a settle that the disk refuses is given up": Mutant(
        "wabot.work.lane", "                await self._sleep(JOURNAL_RETRY_SECONDS)\n                continue\n",
        "                return None\n"),
    "a lane that is woken sleeps on": Mutant(
        "wabot.work.lane", "        if due < self._alarm or clock_was_set_forward:\n", "        if due < self._alarm - 60.0:\n"),
    "a wake that comes while the lane looks is lost": Mutant(
        "wabot.work.lane", "self._alarm = min(self._alarm, next_turn)", "self._alarm = next_turn"),
    "the archive is marked before it has it": Mutant(
        "wabot.work.archiver", "            refused = await self._archive.record([document for _, _, document in rows])\n",
        "            await self._ledger.mark_archived([(row[0], row[1]) for row in rows])\n"
        "            refused = await self._archive.record([document for _, _, document in rows])\n"),
    "an archive that was away is believed": Mutant("wabot.work.archiver", "                self.sure, shipped = False, 0\n",
                                                   "                shipped = 0\n"),
    # Missed resets, limits, judgements
    "a lost answer is no doubt": Mutant(
        "wabot.core.after_failure", "                Event.LOSE_TRACK, due_at=now + policy.hold_seconds, ",
        "                Event.RETRY, due_at=now + 1.0, "),
    "what is in doubt is sent again, though the owner wants no message twice": Mutant(
        "wabot.core.after_failure", "if not policy.resend_in_doubt:\n        return Outcome(Event.PARK, spent=False)",
        "if False:\n        return Outcome(Event.PARK, spent=False)"),
    "an outage uses up tries": Mutant("wabot.core.after_failure", "    if blame is Blame.META:\n", "    if False:\n"),
    "a blocked number uses up sends": Mutant(
        "wabot.core.after_failure", "Event.RETRY, due_at=now, spent=False, error=error.reason, code=error.code, halt=Halt.BLOCKED)",
        "Event.GIVE_UP, error=error.reason, code=error.code)"),
    "a text leaves outside of the window": Mutant(
        "wabot.core.may_send", "if outgoing.template is None and not job.contact.window_is_open(now):", "if False:"),
    "a reply is made however late": Mutant(
        "wabot.work.reply", "        if (job.expires_at is not None and now >= job.expires_at) or not job.contact.window_is_open(now):\n",
        "        if False:\n"),
    "a model that fails is asked no more": Mutant(
        "wabot.work.reply", "        if job.spent + 1 >= self._policy.attempts:\n            return self.gave_up(job, str(error), welcome)\n",
        "        return Outcome(Event.GIVE_UP, error='none', code='assistant')\n"),
    "the throughput limit is not kept": Mutant(
        "wabot.core.rate_limits", "            self._tokens = min(max(self._tokens - count, -self._allowed), self._depth)",
        "            self._tokens = self._depth"),
    "the pair limit is not kept": Mutant(
        "wabot.core.rate_limits", "        return now if in_burst or paid_at <= now else paid_at", "        return now"),
    "a probe that gets through ends no pause": Mutant(
        "wabot.work.lane", "            elif outcome.event is Event.SUCCEED and self._pausing.succeeded(seen, self._clock()):\n",
        "            elif False:\n"),
    # Past defects of the changelog
    "a reply whose talk cannot be read is a bug": Mutant(
        "wabot.work.lane", "        except JournalDown as error:\n            wait = min(JOURNAL_RETRY_SECONDS * job.attempt, IDLE_SECONDS)",
        "        except ZeroDivisionError as error:\n            wait = min(JOURNAL_RETRY_SECONDS * job.attempt, IDLE_SECONDS)"),
    "cancelling a send wakes nobody": Mutant("wabot.journal.retry_and_cancel", "    promote(db, send[\"contact_id\"], now)\n", ""),
    "merges that had to wait are never done": Mutant(
        "wabot.journal.merging", "        f\" AND NOT {_BOTH_BUSY} LIMIT 500\",", "        \" AND 0 LIMIT 500\","),
    "somebody's former number leads to them": Mutant(
        "wabot.journal.contacts", "return tuple(name for name in names if name not in passed)", "return tuple(names)"),
}  # fmt: skip
"""By what is wrong then."""


class _Patched(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    """Imports the module of a mutant from its changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self._mutant.module:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.util.spec_from_loader(name, self, origin=found.origin if found else None)

    def exec_module(self, module: ModuleType) -> None:
        origin = str(module.__spec__.origin if module.__spec__ else "")
        module.__file__ = origin
        with open(origin, encoding="utf-8") as file:
            source = file.read()
        exec(compile(changed(self._mutant, source), origin, "exec"), module.__dict__)


def changed(mutant: Mutant, source: str) -> str:
    """The source with the fault in it. Raises LookupError where it does not read so any more."""
    if source.count(mutant.genuine) != 1:
        raise LookupError(f"{mutant.module} has {source.count(mutant.genuine)} times: {mutant.genuine}")
    return source.replace(mutant.genuine, mutant.mutant)


def put_in(name: str) -> None:
    """From now on the module is imported with this fault. It must not have been imported yet."""
    assert MUTANTS[name].module not in sys.modules
    sys.meta_path.insert(0, _Patched(MUTANTS[name]))


@dataclass(frozen=True)
class Hunt:
    """What came of the hunt for a mutant: the days that were simulated, and the line of the run that found it."""

    name: str
    days: float
    found: str


def hunt(names: Iterable[str], *, days: float, piece: float, workers: int) -> list[Hunt]:
    """Run each mutant until it is found, for at most `days`, in runs of `piece` days with a seed each."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda name: _hunt(name, days, piece), names))


def _hunt(name: str, days: float, piece: float) -> Hunt:
    spent, seed = 0.0, 0
    while spent < days:
        seed += 1
        command = [sys.executable, "-m", "simulation", "--mutant", name, "--seed", str(seed), "--days", str(piece)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        line = (ended.stdout.strip().splitlines() or ended.stderr.strip().splitlines()[-1:] or ["?"])[-1]
        if ended.returncode:
            print(f"{name}: {line[:150]}", flush=True)
            return Hunt(name, spent, line.partition(", trace")[0])
        spent += piece
    print(f"{name}: NOT FOUND", flush=True)
    return Hunt(name, spent, "")


def table(hunts: Sequence[Hunt]) -> str:
    """For people."""
    lines = [f"{one.name:<72} {one.found[:110] if one.found else f'NOT FOUND in {one.days:g} days'}" for one in hunts]
    return "\n".join([*lines, f"{sum(bool(one.found) for one in hunts)} of {len(hunts)} found"])
