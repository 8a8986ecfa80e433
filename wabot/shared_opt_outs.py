"""With `optout.shared`, who opts out of one account does so of all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from wabot.accounts import Account
from wabot.core.messages import Person, Webhook
from wabot.core.optout import Consent
from wabot.journal.accept import wishes

STEP = 200
"""Wishes that are stored in one commit."""


class SharedOptOuts:
    """Carries STOP and START from one account to the others."""

    def __init__(self, accounts: Iterable[Account], consent: Consent, clock: Callable[[], float]) -> None:
        self._accounts, self._consent, self._clock = list(accounts), consent, clock

    async def spread(self, incoming: Webhook, said_to: Account) -> None:
        """Store the wishes of one account's webhook in the others. Raises JournalDown if one of them cannot.

        Only then is the webhook acknowledged: after a crash, or if a disk is full, Meta repeats it, and the wishes are
        stored again.
        """
        if found := wishes(incoming, self._consent, self._clock()):
            now = self._clock()
            each = [one.journal.apply_wishes(found, now) for one in self._accounts if one is not said_to]
            for failure in await asyncio.gather(*each, return_exceptions=True):
                if isinstance(failure, BaseException):
                    raise failure

    async def catch_up(self) -> None:
        """Bring all accounts to the same state: one may be new, or may have been stopped."""
        latest = dict[Person, tuple[float, bool]]()
        known = [await account.journal.wishes() for account in self._accounts]
        for one in known:
            for person, wish in one.items():
                latest[person] = max(wish, latest.get(person, wish))
        for account, has in zip(self._accounts, known, strict=True):
            lacking = [(person, at, stop) for person, (at, stop) in latest.items() if has.get(person) != (at, stop)]
            for start in range(0, len(lacking), STEP):
                await account.journal.apply_wishes(lacking[start : start + STEP], self._clock())
