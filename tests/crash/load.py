"""People who write, an app that sends in bulk, a Meta with bad days, and what they all saw: for the crash suite.

Everything here stands outside of wabot and goes by what was acknowledged and what Meta accepted. Every text is unique,
so that one can tell which was answered, in which message, and in which order.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientTimeout, web

from tests.process import World
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import (
    LOST,
    Answer,
    Behaviour,
    accept,
    cut_before,
    error,
    raw,
)
from wabot.sandbox.ledger import Event, Sent

WORD = re.compile(r"\b[wb]\d+\.\d+\b")
"""What people write (w) and what the app sends (b): somebody's number in the world, and the how-manieth of theirs."""

AGAIN_SECONDS = 0.05
STATUSES = ("sent", "delivered", "read")


class BadDays(Behaviour):
    """Mostly accepts, after a moment; now and then something goes wrong, and half of the receipts never come."""

    def __init__(self, noise: random.Random) -> None:
        super().__init__(by_number=False)
        self._noise = noise

    def answer(self, number: str) -> Answer:
        receipts = None if int(number) % 2 else LOST
        match self._noise.random():
            case luck if luck < 0.02:
                return cut_before()
            case luck if luck < 0.04:
                return Answer(cut=True, receipts=receipts)
            case luck if luck < 0.06:
                return error(131016)
            case luck if luck < 0.07:
                return raw(502, b"<html>", accepts=False)
        return accept(delay=self._noise.uniform(0.0, 0.08), receipts=receipts)


def repeats(noise: random.Random) -> web.Application:
    """A model that repeats what it is asked, the whole last turn, after a moment."""

    async def answer(request: web.Request) -> web.Response:
        asked = (await request.json())["messages"][-1]["content"]
        await asyncio.sleep(noise.uniform(0.0, 0.05))
        words = " ".join(WORD.findall(asked))
        message = {"role": "assistant", "content": f"You said {words}"}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    return app


@dataclass
class Batch:
    """A bulk request as its app knows it."""

    key: str
    body: dict[str, Any]
    words: list[tuple[str, str]]
    id: str = ""


@dataclass
class Load:
    """What was said and acknowledged, and when the receipts were taken; `broken`: what an app saw go wrong."""

    world: World
    noise: random.Random
    acknowledged: dict[str, str] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    receipts_taken: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _telling: set[asyncio.Task[None]] = field(default_factory=set)
    _pause: bool = False
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.asynccontextmanager
    async def running(self, *, people: int = 10, apps: int = 2) -> Any:
        """The load, until left; the receipts go on."""
        leave = self.world.meta.subscribe(self._accepted)
        self._tasks = [asyncio.create_task(self._person()) for _ in range(people)]
        self._tasks += [asyncio.create_task(self._app()) for _ in range(apps)]
        try:
            yield self
        finally:
            for task in [*self._tasks, *self._telling]:
                task.cancel()
            results = await asyncio.gather(*self._tasks, *self._telling, return_exceptions=True)
            leave()
            broken = [r for r in results if isinstance(r, Exception)]
            if broken:
                raise broken[0]

    async def finish(self) -> None:
        """Say nothing new, and wait until all that was said is acknowledged."""
        self._pause = True
        await asyncio.gather(*self._tasks)

    # --- people ---

    async def _person(self) -> None:
        """One after the other, people who write a few bubbles each, and whose phone delivers until it is told yes."""
        while not self._pause:
            who = next(self._numbers)
            number = f"9170{who:08d}"
            for nth in range(self.noise.randint(1, 4)):
                word = f"w{who}.{nth}"
                await self._say(number, word)
                self.acknowledged[word] = number
                await asyncio.sleep(self.noise.choice((0.0, 0.02, 0.2)))
                if self._pause:
                    return

    async def _say(self, number: str, word: str) -> None:
        meta = self.world.meta
        wamid = payloads.new_wamid(number, inbound=True)
        message = payloads.inbound(payloads.text(word), wamid, time.time(), from_=number, user_id=None)
        body = payloads.encode(meta.envelope(messages=[message], contacts=[payloads.contact(number, None, "Sandy")]))
        await self._deliver(body)
        if self.noise.random() < 0.2:  # Meta delivers some a second time, at once or later
            await asyncio.sleep(self.noise.choice((0.0, 0.5)))
            await self._deliver(body)

    async def _deliver(self, body: bytes) -> None:
        """As Meta: again and again, until it is answered 200."""
        while (await self.world.meta.deliver(body))[0] != 200:
            await asyncio.sleep(AGAIN_SECONDS)

    # --- apps ---

    async def _app(self) -> None:
        """Batches to the app's own people, each posted until it is acknowledged, some once more after that."""
        own = [next(self._numbers) for _ in range(8)]
        for nth in itertools.count():
            if self._pause:
                return
            chosen = self.noise.sample(own, self.noise.randint(1, len(own)))
            words = [(f"9180{who:08d}", f"b{who}.{nth}") for who in chosen]
            recipients = [{"number": number, "components": _says(word)} for number, word in words]
            batch = Batch(f"batch {own[0]}.{nth}", {"recipients": recipients}, words)
            batch.id = await self._post(batch)
            self.batches.append(batch)
            if self.noise.random() < 0.6:
                again = await self._post(batch)
                if again != batch.id:
                    self.broken.append(f"{batch.key} became another batch")
            await asyncio.sleep(self.noise.uniform(0.05, 0.3))

    async def _post(self, batch: Batch) -> str:
        headers = {"Idempotency-Key": batch.key, "Prefer": "respond-async"}
        while True:
            with contextlib.suppress(ClientError, TimeoutError):
                async with self.world.client.post(
                    str(self.world.meta.webhook_url).replace("/webhook", "/initiate-bulk"),
                    json=batch.body,
                    headers=headers,
                    timeout=ClientTimeout(total=5),
                ) as response:
                    answer = await response.json()
                    assert response.status in (200, 202, 503), (response.status, answer)
                    if response.status != 503:
                        return str(answer["batch_id"])
            await asyncio.sleep(AGAIN_SECONDS)

    # --- receipts ---

    def _accepted(self, event: Event) -> None:
        """Meta tells the receipts of what it accepted until they are taken: the stand-in itself gives up too soon."""
        if isinstance(event, Sent) and event.wamid and int(event.to) % 2:
            task = asyncio.create_task(self._tell(event))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, sent: Sent) -> None:
        statuses = list(STATUSES)
        if self.noise.random() < 0.2:
            self.noise.shuffle(statuses)
        for status in statuses:
            await asyncio.sleep(self.noise.uniform(0.0, 0.05))
            receipt = payloads.receipt(sent.wamid, status, time.time(), wa_id=sent.to, user_id=None, tag=sent.tag)
            await self._deliver(payloads.encode(self.world.meta.envelope(statuses=[receipt])))
            self.receipts_taken.setdefault(sent.wamid, time.time())


def _says(word: str) -> list[dict[str, Any]]:
    return [{"type": "body", "parameters": [{"type": "text", "text": word}]}]


def words_of(sent: Sent) -> list[str]:
    """The unique texts that a message carries."""
    return WORD.findall(json.dumps(sent.payload[sent.type]))


def by_word(accepted: list[Sent]) -> dict[str, list[Sent]]:
    """What Meta accepted, by the texts that it carries."""
    found: dict[str, list[Sent]] = defaultdict(list)
    for sent in accepted:
        for word in set(words_of(sent)):
            found[word].append(sent)
    return found


def job_of(sent: Sent) -> str:
    """The send that a request belongs to, whatever its attempt."""
    return str(sent.tag).rpartition(":")[0]
