"""What the stand-in does with a send: as scripted, else by the number's last digits (`BY_ENDING`), else it accepts.

Tests use `script` for the next sends to a number (or to ANY), and `always` for all later ones. `mend` ends the refusals
that are permanent. Two of Meta's limits can be switched on; sends above them are counted.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wabot.sandbox.errors import wording
from wabot.sandbox.people import rewritten

ANY = "*"
SPOKEN_IN_ORDER = ("sent", "delivered", "read")
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Receipts:
    """The receipts of an accepted message: `statuses` (none: no receipt is sent), in this order or in `reverse`.

    `code`: the error of a `failed` receipt. `details`: the error's details, None for Meta's usual ones. `times`: how
    often each receipt is delivered. `early`: receipts are delivered before the answer to the send.
    """

    statuses: tuple[str, ...] = SPOKEN_IN_ORDER
    code: int | None = None
    times: int = 1
    reverse: bool = False
    early: bool = False
    details: str | None = None


LOST = Receipts(())


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one send. Made by the functions below; the fields are independent of each other.

    `accepts`: Meta accepts the message, and receipts follow. `cut`: the connection is closed instead of an
    answer. `delay`: seconds until the answer (or cut). `code`: refused with this error. `body`: answered instead of
    Graph's JSON. `receipts` None: the behaviour's own. `wa_id`: the number as Meta writes it, if not as given.
    `message_status`: Meta's word about a template that is paced ("held_for_quality_assessment", "paused").
    `regain_minutes`: until a throttled app may send again, as `X-Business-Use-Case-Usage` says.
    """

    accepts: bool = True
    cut: bool = False
    delay: float = 0.0
    http: int = 200
    code: int | None = None
    details: str | None = None
    retry_after: float | None = None
    body: bytes | None = None
    content_type: str = "application/json"
    receipts: Receipts | None = None
    wa_id: str | None = None
    message_status: str | None = None
    regain_minutes: int | None = None

    @property
    def status(self) -> int | None:
        """The HTTP status of the answer; None if there is no answer."""
        return None if self.cut else self.http


def accept(
    *, delay: float = 0.0, receipts: Receipts | Iterable[str] | None = None, wa_id: str | None = None,
    message_status: str | None = None,
) -> Answer:  # fmt: skip
    """Accepted. `receipts`: the statuses that follow, () for none."""
    if receipts is not None and not isinstance(receipts, Receipts):
        receipts = Receipts(tuple(receipts))
    return Answer(delay=delay, receipts=receipts, wa_id=wa_id, message_status=message_status)


def undelivered(code: int) -> Answer:
    """Accepted, and then a `failed` receipt with `code`."""
    return Answer(receipts=Receipts(("failed",), code=code))


def error(
    code: int, *, http: int | None = None, details: str | None = None, retry_after: float | None = None,
    regain_minutes: int | None = None,
) -> Answer:  # fmt: skip
    """Refused with Meta's `code`, in Meta's words and with HTTP status unless given; `retry_after` in seconds."""
    return Answer(
        accepts=False, http=http or wording(code).http, code=code, details=details, retry_after=retry_after,
        regain_minutes=regain_minutes,
    )  # fmt: skip


def cut_before() -> Answer:
    """The connection is closed; nothing was accepted."""
    return Answer(accepts=False, cut=True)


def cut_after() -> Answer:
    """Accepted, and the connection is closed before the answer."""
    return Answer(cut=True)


def hang(seconds: float, *, accepts: bool = False) -> Answer:
    """No answer for `seconds`, then the connection is closed."""
    return Answer(accepts=accepts, cut=True, delay=seconds)


def raw(status: int, body: bytes = b"", content_type: str = "text/html", *, accepts: bool = False) -> Answer:
    """An answer that is not Graph's JSON: a gateway's page, an empty or an endless body."""
    return Answer(accepts=accepts, http=status, body=body, content_type=content_type)


BY_ENDING: Mapping[str, tuple[Answer, ...]] = {
    "0001": (undelivered(131026),),
    "0002": (error(131056), accept()),
    "0003": (error(130429), accept()),
    "0004": (error(131047),),
    "0005": (accept(delay=3.0),),
    "0006": (cut_after(),),
    "0007": (cut_before(),),
    "0008": (raw(502, HTML),),
    "0009": (undelivered(131049),),
    "0010": (error(190),),
    "0011": (accept(receipts=LOST),),
    "0012": (accept(receipts=Receipts(reverse=True, times=2)),),
    "0013": (accept(receipts=Receipts(early=True)),),
    "0014": (error(131000), error(131016), accept()),
}
"""By the last four digits: what happens to the first send, the second, …; the last one stays."""


class Meter:
    """At most one event per `interval` seconds in the long run, and at most `burst` at once (a leaky bucket)."""

    def __init__(self, interval: float, burst: float) -> None:
        self._interval = interval
        self._slack = interval * (burst - 1)
        self._due = 0.0

    def passes(self, now: float) -> bool:
        """Whether an event at `now` stays within the limit; if so, count it."""
        due = max(self._due, now)
        if due - now > self._slack + 1e-9:
            return False
        self._due = due + self._interval
        return True

    def count(self, now: float) -> None:
        """Count an event that cannot be refused."""
        self._due = max(self._due, now) + self._interval


class Limit(StrEnum):
    """Which of Meta's limits a send exceeded."""

    THROUGHPUT = "throughput"
    PAIR = "pair"


class Behaviour:
    """Decides the result of each send; see the module's docstring for the order.

    `throughput`: messages per second in both directions, a second's worth at once; above it 130429. `pair_limit`: one
    message per 6 s to one person with bursts of 45; above it 131056. `breaches` counts both. `rewrite`: Brazilian and
    Mexican numbers come back as WhatsApp writes them. `receipts`: the receipts of accepted messages, where
    the answer does not name its own.
    """

    def __init__(
        self,
        *,
        default: Answer | None = None,
        receipts: Receipts | None = None,
        by_number: bool = True,
        throughput: float | None = None,
        pair_limit: bool = False,
        rewrite: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.default = default or accept()
        self.receipts = receipts or Receipts()
        self.by_number = by_number
        self.pair_limit = pair_limit
        self.rewrite = rewrite
        self.breaches: Counter[Limit] = Counter()
        self._clock = clock
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._always: dict[str, Answer] = {}
        self._tries: Counter[str] = Counter()
        self._mended = False
        self._pairs: dict[str, Meter] = {}
        self.throughput = throughput

    @property
    def throughput(self) -> float | None:
        """Messages per second; None or 0: no limit."""
        return self._throughput

    @throughput.setter
    def throughput(self, rate: float | None) -> None:
        self._throughput = rate
        self._number = Meter(1 / rate, max(rate, 1.0)) if rate else None

    def script(self, number: str, answers: Iterable[Answer]) -> None:
        """The next sends to `number` (digits, a BSUID, or ANY) get these answers, one each."""
        self._scripts[number].extend(answers)

    def always(self, number: str, answer: Answer) -> None:
        """From now on every send to `number` (or ANY) gets `answer`, after what is scripted."""
        self._always[number] = answer

    def clear(self) -> None:
        """Reset scripts, counters, and the effect of `mend`."""
        self._mended = False
        self._scripts.clear()
        self._always.clear()
        self._tries.clear()
        self._pairs.clear()
        self.breaches.clear()
        self.throughput = self._throughput

    def mend(self) -> None:
        """Remove scripts, and accept all numbers whatever their last digits, until `clear`."""
        self._scripts.clear()
        self._always.clear()
        self._mended = True

    def refuses(self, number: str) -> bool:
        """Whether a number's last digits mean that every send to it is refused."""
        answers = BY_ENDING.get(number[-4:]) if self.by_number and not self._mended else None
        return answers is not None and not answers[-1].accepts

    def hear(self) -> None:
        """An inbound message: it counts against the throughput too.

        https://developers.facebook.com/documentation/business-messaging/whatsapp/throughput
        """
        if self._number:
            self._number.count(self._clock())

    def answer(self, number: str) -> Answer:
        """The result of a send to `number` (digits or BSUID), now."""
        breach = self._breach(number)
        if breach is not None:
            self.breaches[breach] += 1
            return error(130429 if breach is Limit.THROUGHPUT else 131056)
        for key in (number, ANY):
            if self._scripts and self._scripts.get(key):
                return self._scripts[key].popleft()
        return self._always.get(number) or self._always.get(ANY) or self._by_ending(number) or self.default

    def _breach(self, number: str) -> Limit | None:
        now = self._clock()
        if self._number and not self._number.passes(now):
            return Limit.THROUGHPUT
        if self.pair_limit and not self._pairs.setdefault(number, Meter(6.0, 45)).passes(now):
            return Limit.PAIR
        return None

    def _by_ending(self, number: str) -> Answer | None:
        answers = BY_ENDING.get(number[-4:]) if self.by_number else None
        if answers is None:
            return None
        tried = self._tries[number]
        self._tries[number] += 1
        answer = answers[min(tried, len(answers) - 1)]
        return None if self._mended and not answer.accepts else answer

    def wa_id(self, number: str, answer: Answer) -> str:
        """The number as Meta writes it in its answer and receipts."""
        return answer.wa_id or (rewritten(number) if self.rewrite else number)
