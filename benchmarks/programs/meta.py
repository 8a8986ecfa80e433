"""Meta at its ceiling: `python -m benchmarks.programs.meta PORT WABOT_PORT DELAY`.

It answers every send after DELAY seconds, and delivers the receipts sent, delivered and read, each in a signed POST of
its own. The stand-in in `wabot.sandbox` checks what Meta checks, and needs more than a core for a thousand messages a
second; this one checks nothing, so that the rate is bounded by wabot alone. `GET /` says what it has seen.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import cast

import uvloop

from benchmarks.webhooks import receipts, signed

CONNECTIONS = 64
"""The most webhooks that are on their way at once."""
RECEIPT_SECONDS = 0.05
"""Between the answer and the first receipt, and between two receipts."""

_FACTS = re.compile(rb'"to":\s*"\+?(\d+)".*"biz_opaque_callback_data":\s*"([^"]+)"', re.DOTALL)
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_ANSWER = (
    b'{"messaging_product":"whatsapp","contacts":[{"input":"%b","wa_id":"%b"}],'
    b'"messages":[{"id":"%b","message_status":"accepted"}]}'
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Http(asyncio.Protocol):
    """A connection with one message at a time; `on_message` gets its head and its body."""

    def __init__(self, on_message: Callable[[Http, bytes, bytes], None]) -> None:
        self._on_message = on_message
        self._buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if found and len(body) >= (int(length[1]) if length else 0):
            self._buffer = b""
            self._on_message(self, head, body)


class Webhooks:
    """Delivers webhooks, the oldest first, over CONNECTIONS connections."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._waiting: deque[bytes] = deque()
        self._idle: list[Http] = []
        self.answers: dict[int, int] = {}

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            made = await loop.create_connection(lambda: Http(self._answered), "127.0.0.1", self._port)
            self._idle.append(made[1])

    def deliver(self, request: bytes) -> None:
        if self._idle:
            self._idle.pop().transport.write(request)
        else:
            self._waiting.append(request)

    def _answered(self, connection: Http, head: bytes, _body: bytes) -> None:
        status = int(head[9:12])
        self.answers[status] = self.answers.get(status, 0) + 1
        if self._waiting:
            connection.transport.write(self._waiting.popleft())
        else:
            self._idle.append(connection)


class Meta:
    """Answers sends. `sends`: when each came, in Unix seconds."""

    def __init__(self, webhooks: Webhooks, delay: float) -> None:
        self._webhooks, self._delay = webhooks, delay
        self._connected: asyncio.Task[None] | None = None
        self.sends: list[float] = []

    def on_request(self, connection: Http, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            _answer(connection, json.dumps({"sends": self.sends, "webhooks": self._webhooks.answers}).encode())
        else:
            self._on_send(connection, body)

    def _on_send(self, connection: Http, body: bytes) -> None:
        facts = _FACTS.search(body)
        if facts is None:
            raise ValueError(body)
        if self._connected is None:  # wabot listens by now
            self._connected = asyncio.create_task(self._webhooks.connect())
        self.sends.append(time.time())
        wamid = b"wamid.HBgMLOOP%012dAA==" % len(self.sends)
        call_later = asyncio.get_running_loop().call_later
        call_later(self._delay, _answer, connection, _ANSWER % (facts[1], facts[1], wamid))
        after = self._delay
        for receipt in receipts(facts[1], wamid, facts[2]):
            after += RECEIPT_SECONDS
            call_later(after, self._tell, receipt)

    def _tell(self, receipt: bytes) -> None:
        self._webhooks.deliver(signed(receipt))


def _answer(connection: Http, body: bytes) -> None:
    connection.transport.write(_HEAD % len(body) + body)


async def main(port: int, wabot: int, delay: float) -> None:
    """Serve until killed."""
    meta = Meta(Webhooks(wabot), delay)
    server = await asyncio.get_running_loop().create_server(lambda: Http(meta.on_request), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
