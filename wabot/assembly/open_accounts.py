"""Opens the accounts of this process. One whose journal cannot be opened stops no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path
from typing import Protocol

from wabot import log
from wabot.accounts import Account, Accounts, Stopped
from wabot.assembly import factories
from wabot.core.exceptions import JournalDown
from wabot.journal import files
from wabot.journal.files import CannotOpen
from wabot.settings.accounts import FOLDER
from wabot.settings.loading import Settings
from wabot.shared_opt_outs import SharedOptOuts
from wabot.webhook_intake import WebhookIntake

OPENED_AT_ONCE = 16
CANNOT_OPEN = (CannotOpen, JournalDown, OSError)
"""The errors by which one account is stopped, and no other."""

logger = log.get_logger()


class Assembling(Protocol):
    """Assembles the account of a name."""

    def __call__(self, name: str, settings: Settings) -> AbstractAsyncContextManager[Account]: ...


async def open_accounts(
    each: Mapping[str, Settings],
    assembling: Assembling,
    stack: AsyncExitStack,
    clock: Callable[[], float],
    *,
    data_dir: Path,
    shared_opt_outs: bool,
) -> Accounts:
    """All accounts, each with its journal open; `stack` closes them. If none opens, raises why the first does not.

    `data_dir`: that of the service.
    """
    if len(each) > 1:
        for folder in (data_dir, data_dir / FOLDER):
            files.own(folder)
    opening = Opening(assembling, several=len(each) > 1)
    stack.push_async_callback(opening.close)
    found = await asyncio.gather(*map(opening.open, each, each.values()), return_exceptions=True)
    running, stopped = list[Account](), list[Stopped]()
    for (name, settings), one in zip(each.items(), found, strict=True):
        if isinstance(one, Account):
            running.append(one)
        elif isinstance(one, CANNOT_OPEN):
            stopped.append(Stopped(factories.identity(name, settings), clock(), str(one)))
        else:
            raise one
    if not running and isinstance(found[0], BaseException):
        raise found[0]
    return Accounts(running, stopped, default=next(iter(each)), shared_opt_outs=shared_opt_outs)


class Opening:
    """Opens accounts, some at a time, and closes them all at once. `several`: log lines name the account."""

    def __init__(self, assembling: Assembling, *, several: bool) -> None:
        self._assembling, self._several = assembling, several
        self._stacks: list[AsyncExitStack] = []
        self._turn = asyncio.Semaphore(OPENED_AT_ONCE)

    async def open(self, name: str, settings: Settings) -> Account:
        """The account of this name. Raises CANNOT_OPEN."""
        with log.labelled({"account": name} if self._several else {}):
            async with self._turn:
                self._stacks.append(own := AsyncExitStack())
                try:
                    return await own.enter_async_context(self._assembling(name, settings))
                except CANNOT_OPEN as error:
                    if self._several:
                        logger.error("account.stopped", reason=str(error))
                    raise

    async def close(self) -> None:
        """Close all that were opened."""
        for one in await asyncio.gather(*(stack.aclose() for stack in self._stacks), return_exceptions=True):
            if isinstance(one, BaseException):
                raise one


async def share_opt_outs(accounts: Accounts, settings: Settings, clock: Callable[[], float]) -> SharedOptOuts | None:
    """What carries opt-outs from one account to the others, with all brought to the same state; None: each its own."""
    if not (settings.optout.shared and accounts.several):
        return None
    shared = SharedOptOuts(accounts, factories.rules(settings).consent, clock)
    await shared.catch_up()
    return shared


def intake(accounts: Accounts, settings: Settings, shared_opt_outs: SharedOptOuts | None) -> WebhookIntake:
    """What takes in the webhooks of all accounts."""
    ignored = frozenset(next(iter(settings.of_accounts().values())).whatsapp.ignore_phone_number_ids)
    return WebhookIntake(accounts, ignored_numbers=ignored, shared_opt_outs=shared_opt_outs)


async def reclaim_kept(accounts: Accounts, clock: Callable[[], float]) -> None:
    """Process the webhooks that some accounts kept until the numbers of others were configured."""
    holders = [account for account in accounts if await _keeps_webhooks(account)]
    for account in accounts:
        for holder in holders:
            if holder is not account and holder.identity.app_secret == account.identity.app_secret:
                await _reclaim(account, holder, clock)


async def _keeps_webhooks(account: Account) -> bool:
    """Whether its journal keeps any for other numbers; no, if it cannot be read."""
    with suppress(JournalDown):
        return (await account.journal.foreign_kept(frozenset())).webhooks > 0
    return False


async def _reclaim(account: Account, holder: Account, clock: Callable[[], float]) -> None:
    """Accept the webhooks that another account kept until this one's number was configured.

    What one of the two journals refuses stays where it is until the next start.
    """
    number, webhooks, stored, now = account.identity.phone_number_id, 0, 0, clock()
    with suppress(JournalDown):  # it is logged as `journal.refused`
        while (step := await account.journal.reclaim_from(holder.journal, number, now)).webhooks:
            webhooks, stored = webhooks + step.webhooks, stored + step.stored
    if webhooks:
        logger.info("webhook.reclaimed", account=account.name, webhooks=webhooks, stored=stored)


def keys_of(accounts: Accounts) -> Mapping[str, Sequence[str]]:
    """The API keys that open one account only, by its name."""
    return {one.name: one.api_keys for one in accounts.identities if one.api_keys}
