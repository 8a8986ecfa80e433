"""The `doctor` command. It makes its own client, model and archive, so wabot need not run."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from wabot.core.doctor_verdicts import Check, State
from wabot.doctor.doctor import Doctor, Surroundings
from wabot.journal.inspection import inspect
from wabot.settings.loading import Settings

_MARKS = {State.OK: "ok     ", State.WARNING: "warning", State.BROKEN: "BROKEN ", State.SKIPPED: "skipped"}


async def run(
    settings: Settings,
    args: argparse.Namespace,
    *,
    assistant: Callable[[Settings, aiohttp.ClientSession, AsyncExitStack], Awaitable[Any]],
    archive: Callable[[Settings, AsyncExitStack], Awaitable[Any]],
) -> int:
    """Examine and print. Returns 1 if anything is broken, else 0. `assistant` and `archive` are factories."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        around = Surroundings(
            session=session,
            journal=lambda: asyncio.to_thread(inspect, settings.server.data_dir),
            archive=await archive(settings, stack),
            assistant=await assistant(settings, session, stack),
        )
        doctor = Doctor(settings, around, clock=time.time, url=args.url)
        checks = await doctor.examine(fix=args.fix)
    healthy = all(check.state is not State.BROKEN for check in checks)
    if args.json:
        _print(json.dumps({"ok": healthy, "checks": [check.document() for check in checks]}, ensure_ascii=False))
    else:
        _print_all(checks)
    return 0 if healthy else 1


def _print_all(checks: Sequence[Check]) -> None:
    for check in checks:
        _print(f"{_MARKS[check.state]}  {check.name:<12}  {check.detail}")
        if check.remedy and check.state is not State.OK:
            _print(f"{'':>9}{'':<12}  → {check.remedy}")


def _print(line: str) -> None:
    print(line)  # noqa: T201
