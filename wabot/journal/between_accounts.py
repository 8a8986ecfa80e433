"""What concerns several accounts: opt-outs that all share, and webhooks that are kept for other numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from wabot.core.messages import Person
from wabot.journal import accept, foreign_webhooks, opt_outs
from wabot.journal.batch_waiters import Watchers
from wabot.journal.receipts import ReceiptRules
from wabot.journal.sqlite import Reader, Writer


class BetweenAccounts:
    """The journal's operations that concern other accounts and other numbers."""

    writer: Writer
    _read: Reader
    _read_long: Reader
    _rules: accept.Rules
    _receipt_rules: Callable[[], ReceiptRules]
    _watchers: Watchers
    _business: str

    @property
    def business(self) -> str:
        """Our own number; the phone number id until Meta's first webhook names it."""
        return self._business

    async def foreign_kept(self, ignored: Set[str]) -> foreign_webhooks.Kept:
        """What is kept of webhooks for other numbers than ours and the `ignored`."""
        return await self._read(foreign_webhooks.kept, ignored)

    async def reclaim(self, phone_number_id: str, now: float) -> foreign_webhooks.Reclaimed:
        """Accept some of the webhooks that were kept until this number is ours; 0 of them: nothing is left."""
        return await self.writer(foreign_webhooks.reclaim, phone_number_id, now, self._rules, self._receipt_rules())

    async def reclaim_from(self, holder: BetweenAccounts, number: str, now: float) -> foreign_webhooks.Reclaimed:
        """Accept some of the webhooks that another account's journal kept until this number is ours.

        Accepted before they are deleted there: what a crash repeats has wamids that we know.
        """
        step = await holder._read(foreign_webhooks.some, number)
        rules = self._rules, self._receipt_rules()
        stored = await self.writer(foreign_webhooks.accept_kept, step, number, now, rules)
        return foreign_webhooks.Reclaimed(await holder.writer(foreign_webhooks.forget, step), stored)

    async def apply_wishes(self, wishes: Sequence[tuple[Person, float, bool]], now: float) -> None:
        """Apply what people said to another account: (person, when, whether to stop)."""
        await self.writer(accept.apply_wishes, wishes, now)
        await self._watchers.tell()

    async def wishes(self) -> dict[Person, tuple[float, bool]]:
        """Who wants no messages, or wants them again: since when, and whether to stop."""
        return await self._read_long(opt_outs.all_wishes)
