"""Runs the service: opens everything in order and closes it in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from wabot import api_keys, log, running_address
from wabot.accounts import Account, Accounts
from wabot.assembly.account import Clock, Noise, assemble
from wabot.assembly.adapters import Adapters, Clients
from wabot.assembly.clock import SteadyClock
from wabot.assembly.open_accounts import intake, keys_of, open_accounts, reclaim_kept, share_opt_outs
from wabot.journal.connections import Connect, Threads
from wabot.journal.opening import Purpose
from wabot.journal.shared_threads import SharedThreads
from wabot.log import get_logger
from wabot.settings.loading import Settings
from wabot.web.app import make_app
from wabot.web.auth import Gate
from wabot.web.server import Runner, listen
from wabot.webhook_intake import WebhookIntake
from wabot.work.archive_circuit import Circuit
from wabot.work.portfolios import Portfolios

ANSWER_SECONDS, DRAIN_SECONDS = 1.0, 7.0
"""At the stop: time for open requests (aiohttp may use it twice), then for jobs in flight; at most 10 s in all."""
EXAMINED_APART_SECONDS = 0.5
"""Between the first runs of doctor for two accounts: each asks Meta some seven questions."""
BROKEN_SECONDS = 5.0
"""Pause before a background loop is restarted after a bug."""

logger = get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A running wabot: its URL, and its parts (for the sandbox and tests)."""

    url: str
    accounts: Accounts
    intake: WebhookIntake
    api_keys: Sequence[str]

    @property
    def account(self) -> Account:
        """The default account."""
        return self.accounts.named(self.accounts.default)


@asynccontextmanager
async def run(
    settings: Settings,
    *,
    sandbox: bool = False,
    fresh: bool = False,
    examine: bool = True,
    wall: Callable[[], float] = time.time,
) -> AsyncIterator[Running]:
    """Run the whole service, from the journal to the socket.

    Raises journal.files.CannotOpen, api_keys.UnusableKey, web.server.CannotListen. `sandbox`: requests from
    this machine need no key. `fresh`: start with an empty journal. `examine`: run doctor now and every hour, and turn
    its findings into problems. `wall`: the machine's time, in Unix seconds.
    """
    async with AsyncExitStack() as stack:
        each = settings.of_accounts()
        working = at_work(
            settings,
            clock=SteadyClock(wall),
            noise=random.Random().random,  # noqa: S311  not Python's own, which others may seed: ids would repeat
            connect=SharedThreads(len(each)) if len(each) > 1 else Threads(),
            adapters=await Clients.open(each, stack),
            sandbox=sandbox,
            fresh=fresh,
        )
        accounts, taking = await stack.enter_async_context(working)
        accepted = () if sandbox else api_keys.of_service(settings.server)
        gate = Gate(accepted, of_accounts=keys_of(accounts) if settings.accounts else {}, open_to_this_machine=sandbox)
        url = await stack.enter_async_context(_serving(settings, accounts, taking, gate))
        for nth, account in enumerate(accounts) if examine else ():
            with log.labelled(accounts.label(account)):
                looking = partial(account.watch.run, account.doctor, after=nth * EXAMINED_APART_SECONDS)
                await stack.enter_async_context(_background(looking))
        urls = {"wabot": url, "graph": settings.whatsapp.graph_api_base}
        stack.enter_context(running_address.kept(settings.server.data_dir, **urls))
        yield Running(url, accounts, taking, (*accepted, *(key for one in accounts for key in one.identity.api_keys)))


@asynccontextmanager
async def at_work(
    settings: Settings,
    *,
    clock: Clock,
    noise: Noise,
    connect: Connect,
    adapters: Adapters,
    sandbox: bool = False,
    fresh: bool = False,
) -> AsyncIterator[tuple[Accounts, WebhookIntake]]:
    """All accounts at work, without sockets. `clock`: Unix seconds. `noise`: random numbers from 0 to 1."""
    async with AsyncExitStack() as stack:
        assembling = partial(
            assemble,
            clock=clock,
            noise=noise,
            connect=connect,
            adapters=adapters,
            circuit=(circuit := Circuit()),
            portfolios=Portfolios(),
            purpose=Purpose.SANDBOX if sandbox else Purpose.LIVE,
            fresh=fresh,
        )
        accounts = await open_accounts(
            settings.of_accounts(), assembling, stack, clock, data_dir=settings.server.data_dir,
            shared_opt_outs=settings.optout.shared,
        )  # fmt: skip
        circuit.on_change = partial(_tell_all, accounts)
        await reclaim_kept(accounts, clock)  # before opt-outs are shared: they may be among these
        taking = intake(accounts, settings, await share_opt_outs(accounts, settings, clock))
        for account in accounts:
            with log.labelled(accounts.label(account)):
                await stack.enter_async_context(_background(*account.loops))
        await stack.enter_async_context(_working(accounts))
        yield accounts, taking


def _tell_all(accounts: Accounts, works: bool, reason: str) -> None:
    """MongoDB stopped answering, or answers again: that concerns every account."""
    for account in accounts:
        with log.labelled(accounts.label(account)):
            account.watch.archive_changed(works, reason)


@asynccontextmanager
async def _background(*loops: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_again_and_again(loop)) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again_and_again(loop: Callable[[], Awaitable[None]]) -> None:
    """Run a background loop, and restart it after a bug: without it holds would not end, and nothing be archived."""
    while True:
        try:
            await loop()
        except Exception:
            logger.exception("background.broken")
            await asyncio.sleep(BROKEN_SECONDS)


@asynccontextmanager
async def _working(accounts: Accounts) -> AsyncIterator[None]:
    """Run the lanes. At the end jobs in flight get DRAIN_SECONDS; the rest stays queued."""
    tasks, lanes = list[asyncio.Task[None]](), [lane for account in accounts for lane in account.lanes.values()]
    for account in accounts:
        with log.labelled(accounts.label(account)):
            for lane in account.lanes.values():
                tasks.append(asyncio.create_task(lane.run(), name=f"lane {lane.kind}"))
    try:
        yield
    finally:
        late = await asyncio.gather(*(lane.drain(DRAIN_SECONDS) for lane in lanes))
        logger.info("lanes.drained", unfinished=sum(late))
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def _serving(settings: Settings, accounts: Accounts, intake: WebhookIntake, gate: Gate) -> AsyncIterator[str]:
    app = make_app(accounts, intake, gate=gate, wait_seconds=settings.api.wait_seconds)
    runner = Runner(app, shutdown_timeout=ANSWER_SECONDS)
    await runner.setup()
    try:
        yield await listen(runner, settings.server.host, settings.server.port)
    finally:
        await runner.cleanup()
