"""With `optout.shared`, who opts out of one account does so of all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from wabot.accounts import Account
from wabot.core.exceptions import JournalDown
from wabot.core.messages import Person, Webhook
from wabot.core.optout import Consent
from wabot.journal.accept import wishes
from wabot.log import get_logger

STEP = 200
"""Wishes that are stored in one commit."""

Wished: TypeAlias = tuple[float, bool]
"""When somebody wished something, and whether it was to stop."""

log = get_logger()


class SharedOptOuts:
    """Carries STOP and START from one account to the others."""

    def __init__(self, accounts: Iterable[Account], consent: Consent, clock: Callable[[], float]) -> None:
        self._accounts, self._consent, self._clock = list(accounts), consent, clock

    async def spread(self, incoming: Webhook, said_to: Account) -> None:
        """Store the wishes of one account's webhook in the others. Raises JournalDown if one of them cannot.

        Only then is the webhook acknowledged: after a crash, or if a disk is full, Meta repeats it, and the wishes are
        stored again.
        """
        found = [(_elsewhere(person), at, stop) for person, at, stop in wishes(incoming, self._consent, self._clock())]
        for start in range(0, len(found), STEP):
            some, now = found[start : start + STEP], self._clock()
            each = [one.journal.apply_wishes(some, now) for one in self._accounts if one is not said_to]
            for failure in await asyncio.gather(*each, return_exceptions=True):
                if isinstance(failure, BaseException):
                    raise failure

    async def catch_up(self) -> None:
        """Bring all accounts to the same state: one may be new, or may have been stopped.

        One whose journal cannot be used just now lacks the others' wishes until the next start.
        """
        known = list[tuple[Account, Mapping[Person, Wished]]]()
        for account in self._accounts:
            with _tolerated(account):
                known.append((account, _latest((await account.journal.wishes()).items())))
        latest = _latest(item for _, has in known for item in has.items())
        for account, has in known:
            lacking = [(person, at, stop) for person, (at, stop) in latest.items() if has.get(person) != (at, stop)]
            with _tolerated(account):
                for start in range(0, len(lacking), STEP):
                    await account.journal.apply_wishes(lacking[start : start + STEP], self._clock())


def _elsewhere(person: Person) -> Person:
    """The person as another account knows them: by number, if they have one. Each business has its own BSUID of them.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
    """
    return Person(wa_id=person.wa_id) if person.wa_id else Person(bsuid=person.bsuid)


def _latest(wished: Iterable[tuple[Person, Wished]]) -> dict[Person, Wished]:
    """The latest wish of each person, as other accounts know them."""
    latest = dict[Person, Wished]()
    for person, wish in wished:
        known = _elsewhere(person)
        latest[known] = max(wish, latest.get(known, wish))
    return latest


@contextmanager
def _tolerated(account: Account) -> Iterator[None]:
    """One account's trouble does not keep the others from starting."""
    try:
        yield
    except JournalDown as error:
        log.warning("opt_outs.incomplete", account=account.name, reason=str(error))
