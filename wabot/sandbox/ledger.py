"""Records of what happened at the stand-in, for subscribers, and for tests that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from wabot.core.messages import Receipt
from wabot.sandbox.people import Customer


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to send, as it came. `wamid` is "" unless it was accepted.

    `to`: digits or BSUID ("" if neither). `status`: the HTTP status answered, None for a cut; `code`: Meta's error.
    """

    wamid: str
    to: str
    type: str
    payload: Mapping[str, Any]
    tag: str | None
    at: float
    status: int | None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The business marked an inbound message as read, perhaps with a typing indicator."""

    wamid: str
    typing: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A customer said something. `took`: the business answered the webhook with 200."""

    wamid: str
    customer: Customer
    said: Mapping[str, Any]
    took: bool


Event = Sent | Seen | Said | Receipt


class Ledger:
    """`attempts`: every request to send; `sent`: the accepted ones; `seen`: read marks; `told`: receipts that were
    answered 200.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.attempts: list[Sent] = []
        self.seen: list[Seen] = []
        self.told: list[Receipt] = []
        self._subscribers: list[Callable[[Event], None]] = []
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def record(self, event: Event) -> None:
        """Record an event, call the subscribers, and wake those waiters whose predicate holds."""
        match event:
            case Sent():
                self.attempts.append(event)
                if event.wamid:
                    self.sent.append(event)
            case Seen():
                self.seen.append(event)
            case Receipt():
                self.told.append(event)
        for callback in tuple(self._subscribers):
            callback(event)
        for predicate, future in self._waiting:
            if not future.done() and predicate():
                future.set_result(None)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event from now on; the result is a function that unsubscribes."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    async def until(self, predicate: Callable[[Self], bool], timeout: float = 5.0) -> None:
        """Wait until `predicate` holds; it is checked after every event. Raises TimeoutError."""
        if predicate(self):
            return
        entry = (lambda: predicate(self), asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            await asyncio.wait_for(entry[1], timeout)
        except TimeoutError:
            counts = f"{len(self.attempts)} attempts, {len(self.sent)} sent, {len(self.told)} receipts delivered"
            raise TimeoutError(f"not within {timeout} s: there were {counts}") from None
        finally:
            self._waiting.remove(entry)

    def clear(self) -> None:
        """Remove all records."""
        for records in (self.sent, self.attempts, self.seen, self.told):
            records.clear()
