"""What a webhook changes beyond the journal: the throughput's budget, the send lane, and the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from wabot.core.account import UPGRADED_RATE, AccountNews, Standing
from wabot.core.errors import Blocked, DeliveryError, Scope
from wabot.core.limits import Bucket
from wabot.core.messages import Webhook
from wabot.journal.accept import Taken
from wabot.log import get_logger
from wabot.work.lane import Lane

LOGGED = 20
"""Lines of the log that one webhook may make of each kind."""

log = get_logger()


class WebhookEffects:
    """Heeds what comes in; `lane` is that of the sends."""

    def __init__(
        self,
        lane: Lane,
        bucket: Bucket,
        clock: Callable[[], float],
        *,
        on_account: Callable[[AccountNews], None] = lambda _news: None,
        on_template: Callable[[], None] = lambda: None,
    ) -> None:
        self._lane, self._bucket, self._clock = lane, bucket, clock
        self._on_account, self._on_template = on_account, on_template

    def heed(self, incoming: Webhook, taken: Taken) -> None:
        """Of a webhook that is on disk, what was new in it. Meta counts what people write against our throughput."""
        self._bucket.spend(taken.stored, self._clock())
        for notice in incoming.notices[:LOGGED]:
            log.info("notice.kept", field=notice.field, reason=notice.reason)
        self._heed_failures(taken.failures)
        self._heed_account(taken.account)
        if incoming.templates:
            self._on_template()

    def _heed_failures(self, failures: Sequence[DeliveryError]) -> None:
        """What receipts say of messages that Meta had accepted; some of it concerns everybody."""
        for (reason, code), times in Counter((each.reason, each.code) for each in failures).most_common(LOGGED):
            log.warning("message.failed", error=reason, code=code, times=times)
        for failure in failures:
            if isinstance(failure, Blocked) and failure.scope is Scope.NUMBER:
                self._lane.pause(failure.reason, failure.code, by_receipt=True)

    def _heed_account(self, account: Sequence[AccountNews]) -> None:
        last: AccountNews | None = None
        for (standing, reason), times in Counter((news.standing, news.reason) for news in account).most_common(LOGGED):
            log.info("account.news", standing=str(standing), reason=reason, times=times)  # what is wrong is a problem
        for news in account:
            self._on_account(news)
            if news.standing is Standing.FASTER:
                self._bucket.allow(UPGRADED_RATE)
            elif news.standing in (Standing.BLOCKED, Standing.LIFTED):
                last = news  # of these only the latest holds
        if last is not None and last.standing is Standing.BLOCKED:
            self._lane.pause(last.reason)
        elif last is not None:
            self._lane.resume()
