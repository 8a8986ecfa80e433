"""Opens the accounts of this process. One whose journal cannot be opened stops no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Protocol

from wabot import log
from wabot.accounts import Account, Accounts, Stopped
from wabot.assembly import factories
from wabot.journal import files
from wabot.journal.files import CannotOpen
from wabot.settings.accounts import FOLDER
from wabot.settings.loading import Settings
from wabot.shared_opt_outs import SharedOptOuts
from wabot.webhook_intake import WebhookIntake

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
    """All accounts, each with its journal open; `stack` closes them. Raises CannotOpen if none can be opened.

    `data_dir`: that of the service.
    """
    if len(each) > 1:
        for folder in (data_dir, data_dir / FOLDER):
            files.own(folder)
    running, stopped = list[Account](), list[Stopped]()
    for name, settings in each.items():
        with log.labelled({"account": name} if len(each) > 1 else {}):
            try:
                running.append(await stack.enter_async_context(assembling(name, settings)))
            except CannotOpen as error:
                if len(stopped) + 1 == len(each):
                    raise
                logger.error("account.stopped", reason=str(error))
                stopped.append(Stopped(factories.identity(name, settings), clock(), str(error)))
    return Accounts(running, stopped, default=next(iter(each)), shared_opt_outs=shared_opt_outs)


async def take_up(accounts: Accounts, settings: Settings, clock: Callable[[], float]) -> WebhookIntake:
    """Process what the accounts kept for each other; what takes in their webhooks from now on."""
    stops = None
    if settings.optout.shared and accounts.several:
        stops = SharedOptOuts(accounts, factories.rules(settings).consent, clock)
        await stops.catch_up()
    holders = [account for account in accounts if (await account.journal.foreign_kept(frozenset())).webhooks]
    for account in accounts:
        for holder in holders:
            if holder is not account and holder.identity.app_secret == account.identity.app_secret:
                await _reclaim(account, holder, clock)
    ignored = frozenset(next(iter(settings.of_accounts().values())).whatsapp.ignore_phone_number_ids)
    return WebhookIntake(accounts, ignored_numbers=ignored, shared_opt_outs=stops)


async def _reclaim(account: Account, holder: Account, clock: Callable[[], float]) -> None:
    """Accept the webhooks that another account kept until this one's number was configured."""
    number, webhooks, stored = account.identity.phone_number_id, 0, 0
    while (step := await account.journal.reclaim_from(holder.journal, number, clock())).webhooks:
        webhooks, stored = webhooks + step.webhooks, stored + step.stored
    if webhooks:
        logger.info("webhook.reclaimed", account=account.name, webhooks=webhooks, stored=stored)


def keys_of(accounts: Accounts) -> Mapping[str, Sequence[str]]:
    """The API keys that open one account only, by its name."""
    return {one.name: one.api_keys for one in accounts.identities if one.api_keys} if accounts.several else {}
