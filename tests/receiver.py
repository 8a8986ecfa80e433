"""One of the owner's programs: an HTTP server that takes events, and checks our signature with a library not ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True, slots=True)
class Heard:
    """A request: its webhook-id, its body, and what was answered."""

    id: str
    body: dict[str, Any]
    status: int

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def data(self) -> Any:
        return self.body["data"]


@dataclass
class Receiver:
    """`answer`: the status for a body and the count of requests so far; 0 cuts the connection, -1 never answers."""

    answer: Callable[[dict[str, Any], int], int] = lambda _body, _count: 204
    heard: list[Heard] = field(default_factory=list)
    url: str = ""
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        Webhook(SECRET).verify(text, dict(request.headers))
        body = json.loads(text)
        status = self.answer(body, len(self.heard))
        self.heard.append(Heard(request.headers["webhook-id"], body, status))
        if status == 0 and request.transport is not None:
            request.transport.abort()
        if status < 0:
            await self._over.wait()
        headers = {"Location": f"{self.url}/elsewhere"} if 300 <= status < 400 else None
        return web.Response(status=max(status, 200), headers=headers)

    def told(self, type_: str = "") -> list[Heard]:
        """What was taken, of a type."""
        return [one for one in self.heard if 200 <= one.status < 300 and one.type.startswith(type_)]

    def table(self, *types: str) -> dict[str, Any]:
        """The table [[events]] of this endpoint."""
        return {"url": f"{self.url}/events", "secret": SECRET, **({"types": list(types)} if types else {})}


@asynccontextmanager
async def receiver(answer: Callable[[dict[str, Any], int], int] | None = None) -> AsyncIterator[Receiver]:
    """A started receiver."""
    one = Receiver() if answer is None else Receiver(answer)
    app = web.Application()
    app.router.add_post("/{path:.*}", one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        one._over.set()
        await runner.cleanup()
