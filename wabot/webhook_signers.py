"""Finds out whose app secret signed a webhook.

With many secrets a body that nobody signed would be hashed as often as there are secrets. So the secret that the body
seems to need is tried first, which is right for all that Meta sends; the others are tried beside the loop, and what may
wait for that is bounded. What the body says decides only the order: no unsigned word decides more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from wabot.accounts import Identity
from wabot.core import signature as signatures
from wabot.core.exceptions import JournalDown
from wabot.core.json_limits import SMALL
from wabot.offload import Offload

NAMED_BYTES = 4096
"""How much of a body is searched for the id of a number or WABA: Meta writes them first."""
WAITING_BYTES = 16 << 20
"""The most bytes of bodies that wait until all secrets are tried."""

_ID = re.compile(rb'"(?:phone_number_id|id)"\s*:\s*"([0-9]{1,32})"')


class Crowded(JournalDown):
    """Too many webhooks wait for the check of their signature: answer 503, and Meta delivers again."""


def named_in(body: bytes) -> Iterator[str]:
    """The ids of numbers and WABAs that a body seems to be for; nobody has signed it yet."""
    for found in _ID.finditer(body, 0, NAMED_BYTES):
        yield found[1].decode()


class Signers:
    """The app secrets of all accounts, each with its numbers (phone number id → WABA, "" if that is not known)."""

    def __init__(self, identities: Sequence[Identity]) -> None:
        self.unsigned = {one.phone_number_id: one.business_account_id for one in identities if one.app_secret is None}
        self._of_secret = dict[bytes, dict[str, str]]()
        self._likely = dict[str, bytes]()
        self._of_number = dict[str, bytes]()
        for one in identities:
            if one.app_secret is not None:
                self._of_secret.setdefault(one.app_secret, {})[one.phone_number_id] = one.business_account_id
                self._of_number[one.phone_number_id] = one.app_secret
                self._likely.setdefault(one.business_account_id, one.app_secret)
        self._likely |= self._of_number
        self._offload, self._waiting = Offload(), 0

    def must_sign(self, phone_number_id: str | None) -> bool:
        """Whether an unsigned webhook concerns nobody; of those that came to one number's address: not this number."""
        return not self.unsigned or phone_number_id in self._of_number

    async def numbers(self, body: bytes, signature: str | None, phone_number_id: str | None) -> Mapping[str, str]:
        """The numbers whose app secret signed this, and those that need no signature. Raises Crowded.

        `phone_number_id`: whose address it came to, if it came to that of one number.
        """
        secret = await self._signer(body, signature, phone_number_id)
        signed = self._of_secret[secret] if secret is not None else {}
        return {**signed, **self.unsigned} if self.unsigned else signed

    async def _signer(self, body: bytes, signature: str | None, phone_number_id: str | None) -> bytes | None:
        if phone_number_id in self._of_number:
            return _which([self._of_number[phone_number_id]], body, signature)
        first = self._seems_signed_by(body) if len(self._of_secret) > 1 else next(iter(self._of_secret), None)
        if first is None or signatures.is_signed(body, signature, first):
            return first
        others = [secret for secret in self._of_secret if secret != first]
        if len(body) * len(others) <= SMALL:
            return _which(others, body, signature)
        if self._waiting + len(body) > WAITING_BYTES:
            raise Crowded("too many webhooks wait for the check of their signature")
        self._waiting += len(body)
        try:
            return await self._offload(_which, others, body, signature)
        finally:
            self._waiting -= len(body)

    def _seems_signed_by(self, body: bytes) -> bytes:
        """The secret of the first number or WABA of ours that the body names; the first one, if it names none."""
        named = (self._likely[name] for name in named_in(body) if name in self._likely)
        return next(named, next(iter(self._of_secret)))


def _which(secrets: Iterable[bytes], body: bytes, signature: str | None) -> bytes | None:
    """The secret that signed this; None if none did."""
    return next((secret for secret in secrets if signatures.is_signed(body, signature, secret)), None)
