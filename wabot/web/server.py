"""The connections below the application: invalid HTTP is answered and logged like everything else."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

from aiohttp import web

from wabot.core.exceptions import WabotError
from wabot.log import get_logger
from wabot.running_address import url_of
from wabot.web import answers

IDLE_SECONDS = 150.0
"""How long a connection may be idle before or between requests: longer than common proxies keep one."""

HEADERS = {"Server": "wabot", "X-Content-Type-Options": "nosniff"}
"""Headers of every answer. By default aiohttp names its version and Python's, which helps attackers; and a browser that
guesses content types could take a customer's message for a web page."""

READ_BYTES = 1 << 16
"""The bytes that a connection reads ahead, and half of what it may buffer."""
PIECE_BYTES = 1 << 14
"""The bytes that are read and parsed at a time. By default uvloop reads 250 KB: in chunks of one byte these are 40 000
chunks, which would block the loop for 0.2 s."""

log = get_logger()


class CannotListen(WabotError):
    """The address in `[server]` cannot be used; the text says what to do."""


async def listen(runner: web.AppRunner, host: str, port: int) -> str:
    """Start to accept connections; the URL. Raises CannotListen."""
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}): {_remedy(error.errno)}"
        ) from error
    host, port = runner.addresses[0][:2]
    return url_of(host, port)


def _remedy(number: int | None) -> str:
    if number == errno.EADDRINUSE:
        return "another program listens there: stop it, or set another server.port (PORT)"
    if number == errno.EACCES:
        return "ports below 1024 are root's: set a higher server.port (PORT), and let a proxy have 443"
    return "set server.host to an address of this machine"


class Runner(web.AppRunner):
    """An AppRunner with our own connections. `_make_server` is the only protected name used; a test covers it."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()

        async def handle(request: Any) -> web.StreamResponse:
            # aiohttp checks this header before any middleware, and fails if it is invalid.
            if request.headers.get("Expect", "100-continue").lower() != "100-continue":
                return answers.error(417, "only the expectation 100-continue is supported")
            return await server.request_handler(request)

        return _Server(handle, request_factory=server.request_factory)


class _Server(web.Server):
    def __call__(self) -> _InPieces:  # type: ignore[override]  # only the loop calls it, and needs a protocol
        return _InPieces(
            _Connection(
                self,
                loop=asyncio.get_running_loop(),
                access_log=None,  # type: ignore[arg-type]  # aiohttp accepts None; our own log line is cheaper
                auto_decompress=False,  # Meta signs the raw bytes; and no zip bombs
                keepalive_timeout=IDLE_SECONDS,
                read_bufsize=READ_BYTES,
            )
        )


class _InPieces(asyncio.BufferedProtocol):
    """Reads PIECE_BYTES at a time for a connection, which can pause reading in between."""

    _PIECE = bytearray(PIECE_BYTES)  # shared by all: the loop fills it and passes it on in one step

    def __init__(self, connection: web.RequestHandler) -> None:
        self._connection = connection

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._PIECE

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.data_received(bytes(memoryview(self._PIECE)[:nbytes]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection.connection_lost(exc)

    def eof_received(self) -> None:
        self._connection.eof_received()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class _Connection(web.RequestHandler):
    __slots__ = ()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Adds HEADERS to every answer, also of requests that do not reach the application."""
        resp.headers.update(HEADERS)
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to invalid HTTP. It is common on the internet and no error of ours, so it is logged as info."""
        if status == 400:
            log.info("request.garbled", reason=type(exc).__name__)
        else:
            log.error("request.broken", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer was sent already")
        response = answers.error(status, "this is not a well-formed HTTP request")
        response.force_close()
        return response
