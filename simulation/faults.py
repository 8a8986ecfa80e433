"""Bad days: each kind of fault comes at random, lasts for a while, and ends. `KINDS` are all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from simulation.timeline import actor
from simulation.worlds import Weights

DAY = 86400.0


@dataclass
class Trouble:
    """A fault that lasted from `begin` to `end` (seconds of the run; infinite while it lasts)."""

    kind: str
    begin: float
    end: float = float("inf")


Fault = Callable[[Any, Random], Any]
"""(world, dice) → what lasts while one is in it."""


class Layers:
    """What faults change. Where several change the same, the latest that still lasts holds, and in the end what was
    before them all.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[int, str], list[list[Any]]] = {}

    @contextmanager
    def hold(self, target: object, states: Mapping[str, Any]) -> Iterator[None]:
        """These attributes of `target` are so until this ends."""
        mine = {name: [state] for name, state in states.items()}  # in lists of one: equal states of two faults differ
        for name, state in mine.items():
            self._of.setdefault((id(target), name), [[getattr(target, name)]]).append(state)
            setattr(target, name, state[0])
        yield
        for name, state in mine.items():
            layers = self._of[id(target), name]
            layers[:] = [layer for layer in layers if layer is not state]
            setattr(target, name, layers[-1][0])


def weather(**shares: float) -> Fault:
    """Meta is like that, more or less."""
    return _more_or_less(lambda world: world.weather, shares)


def mood(**shares: float) -> Fault:
    """The model is like that, more or less."""
    return _more_or_less(lambda world: world.model.mood, shares)


def _more_or_less(of: Callable[[Any], object], shares: Mapping[str, float]) -> Fault:
    @asynccontextmanager
    async def fault(world: Any, dice: Random) -> AsyncIterator[None]:
        states = {name: share * dice.choice((0.3, 1.0)) for name, share in shares.items()}
        with world.faults.layers.hold(of(world), states):
            yield

    return fault


def manners(**shares: float) -> Fault:
    """The owner's programs are like that, more or less."""
    return _more_or_less(lambda world: world.programs.manners, shares)


def disk(**states: Any) -> Fault:
    """The disk is like that."""

    @asynccontextmanager
    async def fault(world: Any, dice: Random) -> AsyncIterator[None]:
        with world.faults.layers.hold(world.disk, states):
            yield

    return fault


@asynccontextmanager
async def crash(world: Any, dice: Random) -> AsyncIterator[None]:
    """The process dies between two awaits, soon after somebody wrote."""
    await world.something_is_said()
    await asyncio.sleep(dice.choice((0.0, 0.1, 2.0, 5.0)) * dice.random())
    world.supervisor.crash_in(dice.randint(1, 80))
    await asyncio.sleep(30.0)
    yield


@asynccontextmanager
async def crash_in_commit(world: Any, dice: Random) -> AsyncIterator[None]:
    """The process dies in a commit: before it is durable, or after."""
    await world.something_is_said()
    world.disk.after = dice.random() < 0.5
    world.disk.crash_in = dice.randint(0, 25)
    await asyncio.sleep(60.0)
    world.disk.crash_in = None
    yield


@asynccontextmanager
async def crashes_in_a_row(world: Any, dice: Random) -> AsyncIterator[None]:
    """The process dies again and again, also while it starts."""
    for _ in range(dice.randint(2, 5)):
        world.supervisor.crash_in(dice.randint(1, 200))
        await asyncio.sleep(20.0 * dice.random())
    yield


@asynccontextmanager
async def dead_token(world: Any, dice: Random) -> AsyncIterator[None]:
    """Meta does not know our token any more, until it does again."""
    with world.faults.layers.hold(world.meta, {"access_token": "another token"}):
        yield


@asynccontextmanager
async def clock_jump(world: Any, dice: Random) -> AsyncIterator[None]:
    """The machine's clock is wrong for a while."""
    skew = dice.choice((-3000.0, -400.0, -30.0, 30.0, 400.0, 3000.0))
    with world.faults.layers.hold(world.supervisor, {"skew": skew}):
        yield


@asynccontextmanager
async def clock_hiccup(world: Any, dice: Random) -> AsyncIterator[None]:
    """The machine's clock is very wrong, for a moment."""
    with world.faults.layers.hold(world.supervisor, {"skew": dice.choice((-DAY, -5000.0, 5000.0, DAY))}):
        await asyncio.sleep(40.0 * dice.random())
    yield


@asynccontextmanager
async def paused_template(world: Any, dice: Random) -> AsyncIterator[None]:
    """Meta pauses a template, and approves it again."""
    name = dice.choice(("hello_world", "invitation"))
    await world.meta.set_template(name, "en_US", status="PAUSED", reason="LOW_QUALITY")
    yield
    actor(world.meta.set_template(name, "en_US", status="APPROVED"))


@asynccontextmanager
async def archive_away(world: Any, dice: Random) -> AsyncIterator[None]:
    """The archive does not answer; when it does, it may have lost everything."""
    if world.archive is not None:
        world.archive.down = True
    yield
    if world.archive is not None:
        world.archive.down = False
        if dice.random() < 0.3:
            world.archive.lose_everything()


@asynccontextmanager
async def archive_slow(world: Any, dice: Random) -> AsyncIterator[None]:
    """The archive takes its time."""
    if world.archive is not None:
        world.archive.slow = 4.0
    yield
    if world.archive is not None:
        world.archive.slow = 0.0


@asynccontextmanager
async def program_gone(world: Any, dice: Random) -> AsyncIterator[None]:
    """The owner's programs want nothing more, until somebody mends them and restarts wabot."""
    with world.faults.layers.hold(world.programs.manners, {"gone": 1.0}):
        yield
    world.supervisor.crash()


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how many a day, and how many seconds it lasts on average.

    With 0 a day it is for weighted worlds only.
    `after`: for so many seconds more an answer may be late; None: it delays no answer.
    """

    a_day: float
    seconds: float
    fault: Fault
    after: float | None = 600.0


CRASHES = ("crash", "crash in commit", "crashes in a row")

KINDS: Mapping[str, Kind] = {
    "crash": Kind(4.0, 0.0, crash, 240.0),
    "crash in commit": Kind(4.0, 0.0, crash_in_commit, 240.0),
    "crashes in a row": Kind(0.3, 0.0, crashes_in_a_row, 240.0),
    "meta slow": Kind(0.5, 900.0, weather(slow=20.0)),
    "meta unreachable": Kind(0.3, 1200.0, weather(unreachable=1.0)),
    "meta away for days": Kind(0.05, 1.2 * DAY, weather(unreachable=1.0)),
    "meta cuts": Kind(1.0, 1800.0, weather(cut_before=0.3, cut_after=0.3)),
    "meta throttles": Kind(0.3, 900.0, weather(throttled=0.5)),
    "meta pair limit": Kind(0.3, 900.0, weather(pair=0.5)),
    "meta outage": Kind(0.3, 1800.0, weather(outage=1.0)),
    "meta gateway": Kind(0.3, 900.0, weather(gateway=0.6)),
    "meta hangs": Kind(0.2, 900.0, weather(hanging=0.5)),
    "meta bounces": Kind(0.3, 1800.0, weather(bounced=0.5)),
    "meta undeliverable": Kind(0.3, 1800.0, weather(undeliverable=0.3)),
    "receipts lost": Kind(1.0, 7200.0, weather(receipts_lost=0.6), None),
    "receipts odd": Kind(1.0, 7200.0, weather(receipts_odd=0.8), None),
    "webhooks repeated": Kind(1.0, 7200.0, weather(repeated=0.6), None),
    "webhooks late": Kind(0.5, 3600.0, weather(late=0.5), None),
    "token dead": Kind(0.2, 1800.0, dead_token),
    "template paused": Kind(0.3, 3600.0, paused_template),
    "model slow": Kind(0.3, 1800.0, mood(slow=60.0)),
    "model hangs": Kind(0.3, 1800.0, mood(hangs=0.6)),
    "model fails": Kind(0.5, 1800.0, mood(fails=0.7)),
    "model garbage": Kind(0.3, 1800.0, mood(garbage=0.7)),
    "model down": Kind(0.2, 3600.0, mood(down=1.0)),
    "disk slow": Kind(0.3, 900.0, disk(slow=3.0)),
    "disk full": Kind(0.4, 900.0, disk(full=True)),
    "disk fails": Kind(0.4, 600.0, disk(failing=0.2)),
    "archive away": Kind(0.4, 7200.0, archive_away, None),
    "archive slow": Kind(0.4, 1800.0, archive_slow, None),
    "program away": Kind(0.5, 7200.0, manners(away=1.0), None),
    "program away for days": Kind(0.0, 4 * DAY, manners(away=1.0), None),
    "program slow": Kind(0.3, 3600.0, manners(slow=30.0), None),
    "program fails": Kind(0.5, 3600.0, manners(fails=0.7), None),
    "program cuts": Kind(0.5, 3600.0, manners(cuts=0.6), None),
    "program gone": Kind(0.1, 3600.0, program_gone, 240.0),
    "clock jumps": Kind(0.2, 1800.0, clock_jump),
    "clock hiccup": Kind(0.0, 20.0, clock_hiccup),
}


def kinds_in(weights: Weights) -> dict[str, Kind]:
    """The faults of a world."""
    kinds = {} if weights.only else {name: kind for name, kind in KINDS.items() if kind.a_day}
    for name, (a_day, seconds) in weights.faults.items():
        kinds[name] = replace(KINDS[name], a_day=a_day, seconds=seconds)
    return kinds


class Faults:
    """Lets all `kinds` happen, except those that are left out, until `end`. `troubles`: what happened so far."""

    def __init__(self, world: Any, without: Iterable[str], weights: Weights) -> None:
        self._world = world
        self.kinds = {name: kind for name, kind in kinds_in(weights).items() if name not in without}
        self.troubles: list[Trouble] = []
        self.layers = Layers()
        self.ending = asyncio.Event()

    def note_crash(self) -> None:
        """The process died just now: perhaps long after the fault that wanted it, in a quiet hour."""
        now = asyncio.get_running_loop().time()
        self.troubles.append(Trouble("crash", now, now))

    def start(self) -> None:
        """Begin."""
        for name, kind in self.kinds.items():
            actor(self._again_and_again(name, kind, self._world.dice(f"fault {name}")))

    async def _again_and_again(self, name: str, kind: Kind, dice: Random) -> None:
        while not await self._ended_within(dice.expovariate(kind.a_day / DAY)):
            trouble = Trouble(name, asyncio.get_running_loop().time())
            self.troubles.append(trouble)
            self._world.trace("fault", kind=repr(name))
            async with kind.fault(self._world, dice):
                await self._ended_within(dice.expovariate(1.0) * kind.seconds)
            trouble.end = asyncio.get_running_loop().time()
            self._world.trace("fault.over", kind=repr(name))

    async def _ended_within(self, seconds: float) -> bool:
        """Whether faults are at an end."""
        try:
            async with asyncio.timeout(seconds):
                return await self.ending.wait()
        except TimeoutError:
            return False

    def calm_after_all(self, begin: float, end: float) -> bool:
        """Whether nothing delayed an answer between `begin` and `end`, nor just before."""
        return not any(
            trouble.begin <= end and trouble.end + after >= begin
            for trouble in self.troubles[-200:]
            if (after := KINDS[trouble.kind].after) is not None
        )

    def calm(self, begin: float, end: float, *, margin: float = 0.0, kinds: Iterable[str] | None = None) -> bool:
        """Whether there was no trouble (of these kinds) from `margin` seconds before `begin` until `end`."""
        return not any(
            trouble.begin <= end and trouble.end >= begin - margin and (kinds is None or trouble.kind in kinds)
            for trouble in self.troubles[-200:]
        )
