"""Takes in the webhooks of all accounts: checks the signature, parses, and gives each part to the account it is for."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from wabot import log
from wabot.accounts import Accounts, Identity
from wabot.core import signature as signatures
from wabot.core import webhook
from wabot.core.exceptions import InvalidInput
from wabot.core.json_limits import SMALL
from wabot.core.messages import Webhook
from wabot.offload import Offload
from wabot.shared_opt_outs import SharedOptOuts

_BAD_SIGNATURE = "the signature is missing or wrong: check whatsapp.app_secret"


class BadSignature(InvalidInput):
    """The webhook is not signed with the app secret of any account that it may be for."""


@dataclass(frozen=True, slots=True)
class Received:
    """The messages of a webhook: how many, how many of them were new, and their texts."""

    count: int
    stored: int
    bodies: list[str]


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
        self._numbers = frozenset(one.phone_number_id for one in accounts.identities)
        self._unsigned = dict[str, str]()
        self._by_secret = dict[bytes, dict[str, str]]()
        for one in accounts.identities:
            numbers = self._unsigned if one.app_secret is None else self._by_secret.setdefault(one.app_secret, {})
            numbers[one.phone_number_id] = one.business_account_id
        self._offload_checks, self._offload = Offload(), Offload()

    def verifies(self, token: str, phone_number_id: str | None = None) -> bool:
        """Whether `token` is the verify token of an account; of this number's, if one is given."""
        wanted = [one for one in self._accounts.identities if phone_number_id in (None, one.phone_number_id)]
        given = token.encode(errors="replace")
        # Compare all tokens, so that the time reveals nothing.
        matches = [bool(one.verify_token) & hmac.compare_digest(given, one.verify_token.encode()) for one in wanted]
        return any(matches)

    def refuse_unsigned(self, signature: str | None, phone_number_id: str | None = None) -> None:
        """Raises BadSignature if the signature is malformed, so that the body need not be read."""
        if not self._unsigned and not signatures.looks_signed(signature):
            raise self._refused(b"", phone_number_id)

    async def receive(self, body: bytes, signature: str | None, phone_number_id: str | None = None) -> Received:
        """Process a webhook; when this returns, all of it is on disk. Raises BadSignature, JournalDown.

        `phone_number_id`: whose address it came to, if that is one number's.
        """
        numbers = await self._signed(body, signature)
        if not numbers or (phone_number_id in self._numbers and phone_number_id not in numbers):
            raise self._refused(body, phone_number_id)
        refused = self._numbers - numbers.keys() if len(numbers) < len(self._numbers) else frozenset()
        parse = partial(webhook.parse, accounts=numbers, refused=refused, ignored=self._ignored)
        parts = parse(body) if len(body) <= SMALL else await self._offload(parse, body)
        if len(parts) == 1:
            ((number, incoming),) = parts.items()
            return await self._accept(number, incoming)
        some = [self._accept(number, incoming) for number, incoming in parts.items() if incoming != Webhook()]
        done = await asyncio.gather(*some, return_exceptions=True)  # one account's trouble stops no other's part
        for one in done:
            if isinstance(one, BaseException):
                raise one
        taken = [one for one in done if isinstance(one, Received)]
        bodies = [body for one in taken for body in one.bodies]
        return Received(sum(one.count for one in taken), sum(one.stored for one in taken), bodies)

    async def _accept(self, number: str, incoming: Webhook) -> Received:
        account = self._accounts.of_number(number)
        if self._shared_opt_outs is not None:
            await self._shared_opt_outs.spread(incoming, account)
        with log.labelled(self._accounts.label(account)):
            stored = await account.service.accept(incoming)
        return Received(incoming.count, stored, [message.body for message in incoming.messages])

    async def _signed(self, body: bytes, signature: str | None) -> Mapping[str, str]:
        """The numbers (each with its WABA) whose app secret signed this, and those that need no signature."""
        if len(self._by_secret) == 1 or len(body) <= SMALL:
            numbers = self._signer(body, signature)
        else:
            numbers = await self._offload_checks(self._signer, body, signature)
        return numbers if not self._unsigned else {**numbers, **self._unsigned}

    def _signer(self, body: bytes, signature: str | None) -> Mapping[str, str]:
        """The numbers of the one secret that signed this; none if no secret did."""
        for secret, numbers in self._by_secret.items():
            if signatures.is_signed(body, signature, secret):
                return numbers
        return {}

    def _refused(self, body: bytes, phone_number_id: str | None) -> BadSignature:
        """Report a refused webhook to the account that it seems to be for: to the first, if it names none."""
        named = [one for one in self._accounts.identities if self._seems_for(one, body, phone_number_id)]
        for one in named or self._accounts.identities[:1]:
            if one.name in self._accounts.running:
                self._accounts.running[one.name].watch.webhook_refused()
        return BadSignature(_BAD_SIGNATURE)

    def _seems_for(self, one: Identity, body: bytes, phone_number_id: str | None) -> bool:
        if phone_number_id is not None:
            return one.phone_number_id == phone_number_id
        return 0 < len(body) <= SMALL and one.phone_number_id.encode() in body
