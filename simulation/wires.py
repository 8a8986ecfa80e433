"""The sockets' last inch, cut: wabot's HTTP clients and its HTTP server without a network between.

`Session` is what wabot's own clients (adapters) take for aiohttp's. `Front` calls wabot's web application as its server
would. Either side may die, or the connection break, at any moment; then the other sees what a socket would show.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientConnectorError, ClientTimeout, ServerDisconnectedError, StreamReader, hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion11
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from simulation.timeline import Life, alive, must_not_fail, outside

HOP_SECONDS = 0.02
"""How long a request, or an answer, is on its way."""


class Cut(Exception):
    """The connection breaks instead of an answer."""


class Unreachable(Exception):
    """There is nobody who listens."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of wabot's, as it arrives somewhere."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An answer to wabot."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> _Content:
        """The body as aiohttp's reader gives it."""
        return _Content(self.body)


class _Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, size: int = -1) -> bytes:
        return self._body if size < 0 else self._body[:size]

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body


Server = Callable[[Request], Awaitable[Response]]
"""Answers a request. Raises Cut or Unreachable."""


class Session:
    """aiohttp's client session, as wabot's adapters use it: `servers` by host. `heard`: called with each response that
    reached wabot.
    """

    def __init__(self, servers: Mapping[str, Server], heard: Callable[[Response], None]) -> None:
        self._servers, self._heard = servers, heard

    def post(
        self, url: str, *, headers: Mapping[str, str], timeout: ClientTimeout, json: Any = None,
        data: BytesIO | bytes | None = None, **_: Any,
    ) -> _Exchange:  # fmt: skip
        """POST `json`, or `data` as it is."""
        body = data.getvalue() if isinstance(data, BytesIO) else _encoded(json) if data is None else data
        return self._send(Request("POST", url, headers, body), timeout)

    def request(
        self, method: str, url: str, *, timeout: ClientTimeout, headers: Mapping[str, str], json: Any = None,
        params: Mapping[str, str] | None = None, **_: Any,
    ) -> _Exchange:  # fmt: skip
        """Any request."""
        return self._send(Request(method, str(URL(url).update_query(params or {})), headers, _encoded(json)), timeout)

    def _send(self, request: Request, timeout: ClientTimeout) -> _Exchange:
        return _Exchange(self._servers[urlsplit(request.url).netloc], request, timeout.total or 300.0, self._heard)


def _encoded(value: Any) -> bytes:
    return b"" if value is None else json.dumps(value).encode()


class _Exchange:
    """`async with` it: the response, or what aiohttp raises."""

    def __init__(self, server: Server, request: Request, seconds: float, heard: Callable[[Response], None]) -> None:
        self._server, self._request, self._seconds, self._heard = server, request, seconds, heard

    async def __aenter__(self) -> Response:
        alive()
        answer = outside(self._carried())  # goes on over there, even if we die or wait no longer
        try:
            async with asyncio.timeout(self._seconds):
                found = await asyncio.shield(answer)
        except Unreachable:
            raise ClientConnectorError(None, OSError("nobody listens")) from None  # type: ignore[arg-type]
        except Cut:
            raise ServerDisconnectedError from None
        alive()
        self._heard(found)
        return found

    async def _carried(self) -> Response:
        await asyncio.sleep(HOP_SECONDS)
        found = await self._server(self._request)
        await asyncio.sleep(HOP_SECONDS)
        return found

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What wabot answered; status 0: nothing."""

    status: int
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


NOTHING = Answer(0)


class Front:
    """The address of wabot: whoever lives there answers, if anybody does."""

    def __init__(self) -> None:
        self._app: web.Application | None = None
        self._life: Life | None = None

    def open(self, app: web.Application, life: Life) -> None:
        """`app` listens from now on, as long as `life` lasts."""
        self._app, self._life = app, life

    def close(self) -> None:
        """Nobody listens any more."""
        self._app = self._life = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, seconds: float = 30.0
    ) -> Answer:
        """wabot's answer; NOTHING if there is none within `seconds`."""
        await asyncio.sleep(HOP_SECONDS)
        app, life = self._app, self._life
        if app is None or life is None or life.over:
            return NOTHING
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        task = must_not_fail(life.start(_served(app, method, path, body, headers or {}, answered)))
        task.add_done_callback(lambda _: None if answered.done() else answered.set_result(NOTHING))
        try:
            async with asyncio.timeout(seconds):
                found = await asyncio.shield(answered)
        except TimeoutError:
            return NOTHING
        await asyncio.sleep(HOP_SECONDS)
        return found


async def _served(
    app: web.Application, method: str, path: str, body: bytes, headers: Mapping[str, str], answered: Any
) -> None:
    """Have the application handle a request, as aiohttp's server does once it has parsed it."""
    loop = asyncio.get_running_loop()
    given = CIMultiDict({"Host": "wabot", "Content-Type": "application/json", **headers})
    given[hdrs.CONTENT_LENGTH] = str(len(body))
    message = RawRequestMessage(
        method, path, HttpVersion11, CIMultiDictProxy(given), (), False, None, False, False, URL(path)
    )
    payload = StreamReader(_PROTOCOL, 1 << 16, loop=loop)  # type: ignore[arg-type]
    payload.feed_data(body)
    payload.feed_eof()
    request = web.Request(message, payload, _PROTOCOL, _WRITER, None, loop, client_max_size=1 << 24)  # type: ignore[arg-type]
    response = await app._handle(request)
    body = await _whole(response)
    value = json.loads(body) if body and response.content_type == "application/json" else body.decode()
    alive()
    if not answered.done():
        answered.set_result(Answer(response.status, value, response.headers))


async def _whole(response: Any) -> bytes:
    body = response.body
    if body is None or isinstance(body, bytes):
        return body or b""
    collected = _Collected()
    await body.write(collected)
    return bytes(collected.data)


class _Collected:
    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, chunk: bytes) -> None:
        self.data += chunk


class _Protocol:
    """As much of a connection as a request looks at."""

    transport = None
    ssl_context = peername = sockname = None
    _reading_paused = False

    def pause_reading(self) -> None:
        """Nothing is read from a socket."""

    def resume_reading(self, **_: object) -> None:
        """Nothing is read from a socket."""


class _Writer:
    output_size = 0


_PROTOCOL, _WRITER = _Protocol(), _Writer()
