"""What a webhook changes beyond the journal: the throughput limit, the send lane, the problems, and the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from wabot.core.account_news import UPGRADED_RATE, AccountNews, Standing
from wabot.core.exceptions import Blocked, DeliveryError, Scope
from wabot.core.handoff import Reason
from wabot.core.messages import Webhook
from wabot.core.rate_limits import Bucket
from wabot.journal.accept import Taken
from wabot.log import get_logger
from wabot.work.lane import Lane

LOGGED = 20
"""The most log lines of each kind for one webhook."""

_TEMPLATES = "template"
"""Is in the name of each field about templates: message_template_components_update, template_category_update, …"""

log = get_logger()


class WebhookEffects:
    """Applies the effects of webhooks. `lane`: the send lane; `on_account`: called for each report on the account.

    `on_template`: called when the status of a template changed; `on_list`: when anything of one did; `on_limit`: when
    Meta names the messaging limit (people; `inf`: none).
    """

    def __init__(
        self,
        lane: Lane,
        bucket: Bucket,
        clock: Callable[[], float],
        *,
        on_account: Callable[[AccountNews], None] = lambda _news: None,
        on_template: Callable[[], None] = lambda: None,
        on_list: Callable[[], None] = lambda: None,
        on_handoffs: Callable[[Reason, int], None] = lambda _reason, _times: None,
        on_limit: Callable[[float], None] = lambda _most: None,
    ) -> None:
        self._lane, self._bucket, self._clock = lane, bucket, clock
        self._on_account, self._on_template, self._on_list = on_account, on_template, on_list
        self._on_handoffs, self._on_limit = on_handoffs, on_limit

    def apply(self, incoming: Webhook, taken: Taken) -> None:
        """Apply what was new (`taken`) in a webhook that is on disk. Inbound messages count against our throughput."""
        if taken.stored:
            self._bucket.spend(taken.stored, self._clock())
        for notice in incoming.notices[:LOGGED]:
            log.info("notice.kept", field=notice.field, reason=notice.reason)
        if taken.handoffs:
            log.info("contact.handed_off", reason=str(Reason.ASKED), times=taken.handoffs)
            self._on_handoffs(Reason.ASKED, taken.handoffs)
        if taken.failures:
            self._apply_failures(taken.failures)
        if taken.account:
            self._apply_account(taken.account)
        if incoming.templates:
            self._on_template()
        if incoming.templates or any(_TEMPLATES in notice.field for notice in incoming.notices):
            self._on_list()

    def _apply_failures(self, failures: Sequence[DeliveryError]) -> None:
        """Failures by receipt. Those that block the whole number pause the lane."""
        for (reason, code), times in Counter((each.reason, each.code) for each in failures).most_common(LOGGED):
            log.warning("message.failed", error=reason, code=code, times=times)
        for failure in failures:
            if isinstance(failure, Blocked) and failure.scope is Scope.NUMBER:
                self._lane.pause(failure.reason, failure.code, by_receipt=True)

    def _apply_account(self, account: Sequence[AccountNews]) -> None:
        last: AccountNews | None = None
        for (standing, reason), times in Counter((news.standing, news.reason) for news in account).most_common(LOGGED):
            log.info("account.news", standing=str(standing), reason=reason, times=times)  # problems are logged as such
        for news in account:
            self._on_account(news)
            if news.most_people is not None:
                self._on_limit(news.most_people)
            if news.standing is Standing.FASTER:
                self._bucket.allow(UPGRADED_RATE)
            elif news.standing in (Standing.BLOCKED, Standing.LIFTED):
                last = news  # only the latest of these counts
        if last is not None and last.standing is Standing.BLOCKED:
            self._lane.pause(last.reason)
        elif last is not None:
            self._lane.resume()
