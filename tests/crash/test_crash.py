"""Promises under SIGKILL: wabot works under load and is killed at random moments, again and again.

What must hold is checked from outside: what people and apps got acknowledged, against what Meta accepted. `WABOT_KILLS`
says how often (30 unless set; `make crash` takes 1000), `WABOT_SEED` repeats a run as far as time itself can be
repeated. `test_the_suite_sees_...` shows that each of these checks can fail.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.crash.launch_mutant import MUTANTS
from tests.crash.load import WORD, BadDays, Load, by_word, job_of, repeats, words_of
from tests.process import ROOT, RUN, Process, World, eventually, served, world
from wabot.sandbox.ledger import Sent
from wabot.sandbox.meta import Meta
from wabot.sandbox.templates import Library

KILLS = int(os.environ.get("WABOT_KILLS", "30"))
SEED = int(os.environ.get("WABOT_SEED", "1"))
HOLD_SECONDS = 1.5
SLACK_SECONDS = 0.5
"""Between what happens in there and when it is seen from here: a hold that begins, a request already on its way."""
DRAIN_SECONDS = 30.0
MUTANT = ROOT / "tests" / "crash" / "launch_mutant.py"


@dataclass
class Run:
    """A finished run: what was acknowledged, what Meta accepted, and when wabot was started."""

    world: World
    load: Load
    parked: dict[str, list[str]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)

    @property
    def accepted(self) -> list[Sent]:
        return self.world.meta.sent

    def recovered_before(self, at: float) -> float:
        """When the process that ran at a time had looked at what the one before it left."""
        return max((recovered for recovered in self.recoveries if recovered <= at), default=0.0)

    def note(self, process: Process) -> None:
        """Keep what counts of a process's log, and forget the rest: there may be a thousand of them."""
        self.complaints += process.complaints
        for line in process.events("journal.opened"):
            self.recoveries.append(datetime.fromisoformat(line["time"]).timestamp())
        process.lines.clear()
        process.said.clear()

    async def look_at_parked(self) -> None:
        """`parked`: the sends that wait for a person, by outbox id, with the texts that they carry."""
        for send in (await self.world.get("/outbox", state="parked", limit=1000))["outbox"]:
            if send["outbox_id"] not in self.parked:
                whole = await self.world.get(f"/outbox/{send['outbox_id']}")
                self.parked[send["outbox_id"]] = WORD.findall(json.dumps(whole["content"]))


async def crash(
    place: Path,
    *,
    kills: int,
    seed: int,
    in_doubt: str = "resend",
    launcher: Sequence[str | Path] = (RUN,),
    until_broken: bool = False,
) -> list[str]:
    """Kill wabot so often under load, let it come to rest, and name every promise that was broken.

    `until_broken`: stop killing as soon as something was said twice.
    """
    noise = random.Random(seed)
    anything = Library(lenient=True)  # its batches mark their templates with a parameter
    meta = Meta(behaviour=BadDays(noise), templates=anything, receipts=False, webhook_url="http://127.0.0.1:9/webhook")
    async with (
        served(repeats(noise)) as model,
        world(place, meta=meta, tolerate_errors=True, **_settings(model, in_doubt)) as w,
    ):
        load = Load(w, noise)
        run = Run(w, load)
        async with load.running():
            for _ in range(kills):
                await _live_and_die(run, noise, launcher)
                if until_broken and [*load.broken, *twice(run, in_doubt)]:
                    break
            await w.start(launcher=launcher)
            await load.finish()
            broken = [*await _rest(run), *await forgotten(run), *await wrong_results(run)]
        if await w.wabot.stop() != 0:
            broken.append("it did not end well")
        run.note(w.wabot)
    broken += [*load.broken, *unanswered(run), *twice(run, in_doubt), *out_of_order(run), *run.complaints]
    if not broken:
        told = f"{kills} kills, {len(load.acknowledged)} messages, {len(load.batches)} batches"
        again = len(run.accepted) - len({job_of(sent) for sent in run.accepted})
        print(f"{told}, {len(run.accepted)} messages accepted, {again} of them said again after a hold")  # noqa: T201
    return broken


def _settings(model: str, in_doubt: str) -> dict[str, dict[str, Any]]:
    """Nothing takes long, nothing is given up."""
    return {
        "assistant": {
            "provider": "openai",
            "model": "tiny",
            "base_url": f"{model}/v1",
            "quiet_seconds": 0.05,
            "quiet_max_seconds": 0.3,
            "fallback_text": "",
        },
        "first_contact": {"answer": "ai"},
        "delivery": {
            "attempts": 100,
            "backoff_base_seconds": 0.05,
            "backoff_max_seconds": 0.2,
            "hold_seconds": HOLD_SECONDS,
            "in_doubt": in_doubt,
            "pair_interval_seconds": 0.01,
            "pair_burst": 1000,
            "messages_per_second": 0,
        },
    }


async def _live_and_die(run: Run, noise: random.Random, launcher: Sequence[str | Path]) -> None:
    """One life; one in six ends before it has begun to listen."""
    w = run.world
    if noise.random() < 1 / 6:
        await w.spawn(launcher=launcher)
        await asyncio.sleep(noise.uniform(0.2, 0.7))
    else:
        await w.start(launcher=launcher)
        await asyncio.sleep(noise.uniform(0.02, 0.6))
    await w.wabot.kill()
    run.note(w.wabot)


async def _rest(run: Run) -> list[str]:
    """Wait until wabot says that it owes nothing any more; what it still owes after a long time."""
    owed: dict[str, float] = {}

    async def idle() -> bool:
        async with run.world.client.get(f"{run.world.wabot.url}/metrics") as response:
            found = re.findall(r"^wabot_jobs_open\{(.*)\} (.*)$", await response.text(), re.MULTILINE)
        owed.update({labels: float(count) for labels, count in found})
        return bool(owed) and not any(owed.values())

    try:
        await eventually(idle, DRAIN_SECONDS)
    except TimeoutError:
        return [f"it did not come to rest: {owed}"]
    finally:
        await run.look_at_parked()
    return []


def unanswered(run: Run) -> list[str]:
    """Whatever was acknowledged, Meta accepted the answer to it; or a person was asked (`in_doubt = "park"`)."""
    answered = set(by_word(run.accepted)).union(*run.parked.values())
    owed = [*run.load.acknowledged, *(word for batch in run.load.batches for _, word in batch.words)]
    return [f"{word} was never answered" for word in owed if word not in answered]


def twice(run: Run, in_doubt: str) -> list[str]:
    """One answer to each: by one send only, and that is accepted again only after a hold without a receipt."""
    broken = [f"{words_of(sent)} answers something twice" for sent in run.accepted if _repeats(words_of(sent))]
    for word, sends in by_word(run.accepted).items():
        if len({job_of(sent) for sent in sends}) > 1:
            broken.append(f"{word} was answered by {len({job_of(sent) for sent in sends})} sends")
        for first, second in pairwise(sends):
            broken += [f"{word} was said again {why}" for why in _unexcused(run, first, second, in_doubt)]
    return broken


def _repeats(words: Sequence[object]) -> bool:
    return len(set(words)) < len(words)


def _unexcused(run: Run, first: Sent, second: Sent, in_doubt: str) -> list[str]:
    """Why the second of two accepted requests of one send breaks the promise, if it does."""
    if in_doubt == "park":
        return ["though sends in doubt are parked"]
    hold_began = max(first.at, run.recovered_before(second.at))
    taken = run.load.receipts_taken.get(first.wamid, float("inf"))
    why = []
    if second.at - hold_began < HOLD_SECONDS - SLACK_SECONDS:
        why.append(f"{second.at - hold_began:.2f} s into its hold")
    if taken < second.at - SLACK_SECONDS:
        why.append(f"{second.at - taken:.2f} s after its receipt")
    return why


def out_of_order(run: Run) -> list[str]:
    """To each person in the order in which they were owed, as far as they were accepted for the first time."""
    seen: dict[str, list[int]] = defaultdict(list)
    known = set()
    for sent in run.accepted:
        if job_of(sent) not in known:
            seen[sent.to] += [int(word.partition(".")[2]) for word in words_of(sent)]
        known.add(job_of(sent))
    return [f"{number} got {order}" for number, order in seen.items() if order != sorted(order)]


async def forgotten(run: Run) -> list[str]:
    """What was acknowledged is in `/get-bulk`, once."""
    numbers = sorted(set(run.load.acknowledged.values()))
    told: list[tuple[str, str]] = []
    for first in range(0, len(numbers), 200):
        status, answer = await run.world.post("/get-bulk", {"numbers": numbers[first : first + 200], "limit": 0})
        assert status == 200, answer
        for person in answer["results"]:
            told += [(m["body"], person["number"]) for m in person["messages"] if m["direction"] == "in"]
    missing = set(run.load.acknowledged.items()) - set(told)
    return [f"{word} is not in /get-bulk" for word, _ in missing] + (["stored twice"] if _repeats(told) else [])


async def wrong_results(run: Run) -> list[str]:
    """Every batch is complete, in the order asked, and each result names a message that Meta has, or is parked."""
    wamids = {sent.wamid: words_of(sent) for sent in run.accepted}
    broken = []
    for batch in run.load.batches:
        results = (await run.world.get(f"/batches/{batch.id}"))["results"]
        if [result["number"] for result in results] != [number for number, _ in batch.words]:
            broken.append(f"{batch.key} has other recipients than asked")
        for (_, word), result in zip(batch.words, results, strict=False):
            if result["success"]:
                wamid = result["response"]["messages"][0]["id"]
                if word not in wamids.get(wamid, []):
                    broken.append(f"{word}: Meta does not know {wamid}")
            elif result["outbox_id"] not in run.parked:
                broken.append(f"{word}: {result}")
    return broken


async def test_killed_at_any_moment_wabot_loses_nothing_and_answers_nothing_twice(tmp_path: Path) -> None:
    """Two at a time, one of which asks a person when in doubt."""
    async with asyncio.TaskGroup() as both:
        first = both.create_task(crash(tmp_path / "resend", kills=KILLS - KILLS // 2, seed=SEED))
        second = both.create_task(crash(tmp_path / "park", kills=KILLS // 2, seed=SEED + 1, in_doubt="park"))
    assert [first.result(), second.result()] == [[], []]


CAUGHT_AS = {
    "acknowledges_before_the_commit": "was never answered",
    "sends_again_at_once_what_was_running": "into its hold",
    "forgets_the_replies_that_were_running": "was never answered",
    "forgets_idempotency_keys": "became another batch",
    "answers_again_what_was_delivered_again": "twice|answered by 2 sends",
    "settles_in_two_commits": "was never answered",
}


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_the_suite_sees_a_wabot_that(mutant: str, tmp_path: Path) -> None:
    broken = await crash(tmp_path, kills=8, seed=SEED, launcher=(MUTANT, mutant), until_broken=True)
    assert any(re.search(CAUGHT_AS[mutant], promise) for promise in broken), broken
