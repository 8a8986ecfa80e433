"""With `optout.shared`, who opts out of one account does so of all."""

from __future__ import annotations

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
        """Store the wishes of one account's webhook in the others. Raises JournalDown.

        Called before the webhook itself is stored: after a crash Meta repeats it, and the wishes are stored again.
        """
        if found := wishes(incoming, self._consent, self._clock()):
            for account in self._accounts:
                if account is not said_to:
                    await account.journal.apply_wishes(found, self._clock())

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
