"""Takes in the webhooks of all accounts: checks the signature, parses, and gives each part to the account it is for."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from wabot import log, webhook_signers
from wabot.accounts import Accounts
from wabot.core import signature as signatures
from wabot.core import webhook
from wabot.core.json_limits import SMALL
from wabot.core.messages import Webhook
from wabot.core.signature import BadSignature
from wabot.offload import Offload
from wabot.shared_opt_outs import SharedOptOuts
from wabot.webhook_signers import Signers


@dataclass(frozen=True, slots=True)
class Received:
    """The messages of a webhook: how many, how many of them were new, and their texts; of several accounts, whose."""

    count: int
    stored: int
    bodies: list[str]
    accounts: tuple[str, ...] = ()


class WebhookIntake:
    """The webhooks of all accounts. A part is taken only for an account whose app secret signed it."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        ignored_numbers: frozenset[str] = frozenset(),
        shared_opt_outs: SharedOptOuts | None = None,
    ) -> None:
        self._accounts, self._ignored, self._shared_opt_outs = accounts, ignored_numbers, shared_opt_outs
        self._offload = Offload()
        self._numbers = frozenset(one.phone_number_id for one in accounts.identities)
        self._signers = Signers(accounts.identities)

    def verifies(self, token: str, phone_number_id: str | None = None) -> bool:
        """Whether `token` is the verify token of an account; of this number's, if one is given."""
        wanted = [one for one in self._accounts.identities if phone_number_id in (None, one.phone_number_id)]
        given = token.encode(errors="replace")
        # Compare all tokens, so that the time reveals nothing.
        matches = [bool(one.verify_token) & hmac.compare_digest(given, one.verify_token.encode()) for one in wanted]
        return any(matches)

    def refuse_unsigned(self, signature: str | None, phone_number_id: str | None = None) -> None:
        """Raises BadSignature if the signature is malformed, so that the body need not be read."""
        if self._signers.must_sign(phone_number_id) and not signatures.looks_signed(signature):
            raise self._refused(b"", phone_number_id)

    async def receive(self, body: bytes, signature: str | None, phone_number_id: str | None = None) -> Received:
        """Process a webhook; when this returns, all of it is on disk. Raises BadSignature, JournalDown.

        `phone_number_id`: whose address it came to, if that is one number's.
        """
        numbers = await self._signers.numbers(body, signature, phone_number_id)
        if not numbers or (phone_number_id in self._numbers and phone_number_id not in numbers):
            raise self._refused(body, phone_number_id)
        refused = self._numbers - numbers.keys() if len(numbers) < len(self._numbers) else frozenset()
        parse = partial(webhook.parse, accounts=numbers, refused=refused, ignored=self._ignored)
        parts = parse(body) if len(body) <= SMALL else await self._offload(parse, body)
        if unsigned := [number for number in parts if number in refused]:
            self._report(unsigned)
            parts = {number: incoming for number, incoming in parts.items() if number not in refused}
            if all(incoming == Webhook() for incoming in parts.values()):
                raise BadSignature()
        if len(parts) > 1:  # the first account's is there even if nothing is for it
            parts = {number: incoming for number, incoming in parts.items() if incoming != Webhook()}
        some = [self._accept(number, incoming) for number, incoming in parts.items()]
        if len(some) == 1:
            return await some[0]  # nearly always so; `gather` would make it a task
        done = await asyncio.gather(*some, return_exceptions=True)  # one account's trouble stops no other's part
        for one in done:
            if isinstance(one, BaseException):
                raise one
        taken = [one for one in done if isinstance(one, Received)]
        bodies = [body for one in taken for body in one.bodies]
        names = tuple(name for one in taken for name in one.accounts)
        return Received(sum(one.count for one in taken), sum(one.stored for one in taken), bodies, names)

    async def _accept(self, number: str, incoming: Webhook) -> Received:
        """Store the part for one number, and what its people want of other accounts: only both are a 200."""
        account = self._accounts.of_number(number)
        with log.labelled(self._accounts.label(account)):
            stored = await account.service.accept(incoming)
            if self._shared_opt_outs is not None:
                await self._shared_opt_outs.spread(incoming, account)
        bodies = [message.body for message in incoming.messages]
        return Received(incoming.count, stored, bodies, (account.name,) if self._accounts.several else ())

    def _refused(self, body: bytes, phone_number_id: str | None) -> BadSignature:
        """Report a refused webhook to the account that it seems to be for: to the first, if it names none."""
        seems = list(webhook_signers.named_in(body)) if phone_number_id is None else [phone_number_id]
        each = [(one, {one.phone_number_id, one.business_account_id}) for one in self._accounts.identities]
        named = [one.phone_number_id for one, ids in each if ids.intersection(seems)]
        self._report(named or [one.phone_number_id for one, _ in each[:1]])
        return BadSignature()

    def _report(self, numbers: Collection[str]) -> None:
        """A webhook for these numbers is not signed with the app secret of theirs."""
        for one in self._accounts.identities:
            if one.phone_number_id in numbers and one.name in self._accounts.running:
                account = self._accounts.running[one.name]
                with log.labelled(self._accounts.label(account)):
                    account.watch.webhook_refused()
