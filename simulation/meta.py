"""Meta: the sandbox's own code, with the simulation's time, chance and network, and with bad days."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit

from multidict import CIMultiDict

from simulation.timeline import actor
from simulation.trace import Trace
from simulation.wires import Cut, Front, Request, Response, Unreachable
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import LOST, Answer, Behaviour, Receipts, accept, cut_before, error, hang, raw
from wabot.sandbox.graph import decoded
from wabot.sandbox.webhook_caller import NO_ANSWER, OWN, Caller

DAY = 86400.0
PATIENCE_SECONDS = 10.0
"""How long Meta waits for the answer to a webhook."""
AGAIN = (1.0, 5.0, 20.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds between the deliveries of a webhook; the last is repeated."""
GIVES_UP_AFTER = 7 * DAY


@dataclass
class Weather:
    """What Meta is like at present. All but `slow` (seconds) are shares of the cases, from 0 to 1."""

    slow: float = 0.0
    unreachable: float = 0.0
    cut_before: float = 0.0
    cut_after: float = 0.0
    throttled: float = 0.0
    pair: float = 0.0
    outage: float = 0.0
    gateway: float = 0.0
    hanging: float = 0.0
    bounced: float = 0.0
    undeliverable: float = 0.0
    receipts_lost: float = 0.0
    receipts_odd: float = 0.0
    repeated: float = 0.0
    late: float = 0.0


class Moods(Behaviour):
    """The result of each send, by the weather."""

    def __init__(self, weather: Weather, dice: Random, **limits: Any) -> None:
        super().__init__(by_number=False, **limits)
        self._weather, self._dice = weather, dice

    def _by_ending(self, number: str) -> Answer | None:
        weather, dice = self._weather, self._dice
        receipts = self._receipts()
        unhappy = (
            (weather.cut_before, cut_before()),
            (weather.cut_after, Answer(cut=True, receipts=receipts)),
            (weather.throttled, error(130429)),
            (weather.pair, error(131056)),
            (weather.outage, error(dice.choice((1, 2, 131000, 131016, 133004)))),
            (weather.gateway, raw(502, b"<html>Bad Gateway</html>", accepts=dice.random() < 0.5)),
            (weather.hanging, hang(60.0, accepts=dice.random() < 0.5)),
            (weather.bounced, Answer(receipts=Receipts(("failed",), code=131000))),
            (weather.undeliverable, Answer(receipts=Receipts(("failed",), code=131026))),
        )
        for share, answer in unhappy:
            if share and dice.random() < share:
                return answer
        return accept(delay=dice.random() * (weather.slow or 0.3), receipts=receipts)

    def _receipts(self) -> Receipts:
        """Where webhooks are late, none comes before the answer: Meta's answer does not wait for them."""
        weather, dice = self._weather, self._dice
        if dice.random() < weather.receipts_lost:
            return LOST
        statuses = dice.choice((("sent",), ("sent", "delivered"), ("sent", "delivered", "read")))
        if dice.random() < weather.receipts_odd:
            times, reverse, early = dice.choice((1, 2)), dice.random() < 0.5, dice.random() < 0.5
            return Receipts(statuses, times=times, reverse=reverse, early=early and not weather.late)
        return Receipts(statuses)


class Courier(Caller):
    """Delivers webhooks until they are answered 200, for days; and some once more."""

    def __init__(self, front: Front, app_secret: str, weather: Weather, dice: Random, trace: Trace, watch: Any) -> None:
        super().__init__("http://wabot/webhook", app_secret)
        self._front, self._weather, self._dice, self._trace, self._watch = front, weather, dice, trace, watch

    async def deliver(
        self, body: bytes, signature: str | None = OWN, attempts: int = 1, *, url: str | None = None
    ) -> tuple[int, Any]:
        """POST it until it is answered 200, or a week is over."""
        if self._weather.late and self._dice.random() < self._weather.late:
            await asyncio.sleep(self._dice.expovariate(1 / 120.0))
        status, answer = await self._again_and_again(body)
        if status == 200 and self._weather.repeated and self._dice.random() < self._weather.repeated:
            actor(self._once_more(body))
        return status, answer

    async def _again_and_again(self, body: bytes) -> tuple[int, Any]:
        began, tries = asyncio.get_running_loop().time(), 0
        while True:
            status, answer = await self._post_once(body)
            if status == 200 or asyncio.get_running_loop().time() - began > GIVES_UP_AFTER:
                return status, answer
            self._trace("webhook.refused", status=status)
            self._watch.refused(status)
            await asyncio.sleep(AGAIN[min(tries, len(AGAIN) - 1)] * (0.75 + self._dice.random() / 2))
            tries += 1

    async def _post_once(self, body: bytes) -> tuple[int, Any]:
        headers = {"X-Hub-Signature-256": payloads.sign(body, self.app_secret)}
        found = await self._front.ask("POST", "/webhook", body, headers, PATIENCE_SECONDS)
        if found.status == 200:
            self._watch.acknowledged(decoded(body))
        return found.status or NO_ANSWER, found.json

    async def _once_more(self, body: bytes) -> None:
        await asyncio.sleep(self._dice.choice((1.0, 60.0, 3600.0, 2 * DAY)) * self._dice.random())
        self._trace("webhook.repeated")
        await self._post_once(body)


@dataclass
class _Transport:
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class _Arrived:
    """A request as the sandbox reads it."""

    method: str
    path: str
    query: dict[str, str]
    headers: CIMultiDict[str]
    body: bytes
    transport: _Transport = field(default_factory=_Transport)
    content_type: str = "application/json"

    async def read(self) -> bytes:
        """The body."""
        return self.body


async def graph(meta: Any, weather: Weather, dice: Random, request: Request) -> Response:
    """The Graph API."""
    if weather.unreachable and dice.random() < weather.unreachable:
        raise Unreachable
    address = urlsplit(request.url)
    arrived = _Arrived(request.method, address.path, {}, CIMultiDict(request.headers), request.body)
    found = await meta.respond(arrived)
    if arrived.transport.closed:
        raise Cut
    return Response(found.status, found.body or json.dumps({}).encode(), dict(found.headers))
