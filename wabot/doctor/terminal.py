"""The `doctor` command. It makes its own client, model and archive, so wabot need not run."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp

from wabot.core import health_checks
from wabot.core.health_checks import Check, State
from wabot.core.remedies import of_account
from wabot.doctor.doctor import Doctor, Surroundings
from wabot.journal.inspection import inspect
from wabot.settings.accounts import MAIN
from wabot.settings.errors import SettingsError
from wabot.settings.loading import Settings

_MARKS = {State.OK: "ok     ", State.WARNING: "warning", State.BROKEN: "BROKEN ", State.SKIPPED: "skipped"}


async def run(
    settings: Settings,
    args: argparse.Namespace,
    *,
    models: Callable[[Settings, aiohttp.ClientSession, AsyncExitStack], Any],
    archive: Callable[[Settings, AsyncExitStack], Awaitable[Any]],
) -> int:
    """Examine and print, one account after the other. Returns 1 if anything is broken, else 0.

    `models` and `archive` are factories. Raises SettingsError if there is no such account.
    """
    accounts = settings.of_accounts()
    asked = {settings.account_named(args.account)} if args.account else set(accounts)
    examined = dict[str, list[Check]]()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        archived = await archive(settings, stack)
        for name, one in accounts.items():
            if name in asked:
                around = Surroundings(
                    session=session,
                    journal=partial(asyncio.to_thread, inspect, one.server.data_dir),
                    archive=archived,
                    models=models(one, session, stack),
                )
                checks = await Doctor(one, around, clock=time.time, url=args.url).examine(fix=args.fix)
                examined[name] = [_in_words_of(name, check) for check in checks]
    return _told(examined, named=len(accounts) > 1, as_json=args.json)


def without_settings(error: SettingsError, *, as_json: bool) -> int:
    """Print what is wrong with settings that cannot be read, without which nothing else can be examined. Returns 1."""
    first, *others = health_checks.NAMES
    remedy = "Correct it in config.toml, .env or the environment, where it is set."
    checks = [health_checks.broken(first, "; ".join(error.problems), remedy)]
    checks += [health_checks.skipped(name, "the settings cannot be read") for name in others]
    return _told({MAIN: checks}, named=False, as_json=as_json)


def _told(examined: Mapping[str, Sequence[Check]], *, named: bool, as_json: bool) -> int:
    """Print the checks by account; `named`: with its name. Returns 1 if anything is broken, else 0."""
    healthy = all(check.state is not State.BROKEN for checks in examined.values() for check in checks)
    if as_json:
        found = [
            {**({"account": name} if named else {}), **check.document()}
            for name, checks in examined.items()
            for check in checks
        ]
        _print(json.dumps({"ok": healthy, "checks": found}, ensure_ascii=False))
        return 0 if healthy else 1
    for name, checks in examined.items():
        if named:
            _print(f"{name}:")
        _print_all(checks)
    return 0 if healthy else 1


def _in_words_of(account: str, check: Check) -> Check:
    """The check with the settings of its account instead of those of [whatsapp]."""
    named = "" if account == MAIN else account
    return replace(check, detail=of_account(check.detail, named), remedy=of_account(check.remedy, named))


def _print_all(checks: Sequence[Check]) -> None:
    for check in checks:
        _print(f"{_MARKS[check.state]}  {check.name:<12}  {check.detail}")
        if check.remedy and check.state is not State.OK:
            _print(f"{'':>9}{'':<12}  → {check.remedy}")


def _print(line: str) -> None:
    print(line)  # noqa: T201
