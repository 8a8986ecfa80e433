"""Handing messages to Meta: its answers by aioresponses, what can happen on the way on real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aioresponses import CallbackResult, aioresponses
from multidict import CIMultiDict
from pytest_aiohttp.plugin import AiohttpServer

from tests.fakes import ScriptedGraph
from wabot.adapters.whatsapp import ANSWER_LIMIT, WhatsApp
from wabot.core.exceptions import Blocked, DeliveryError, Refused, Scope, Unavailable, Unclear

TOKEN = "EAAG-a-token-that-nobody-may-see"
BASE = "https://graph.example/v26.0"
URL = f"{BASE}/1234/messages"
REQUEST = {"messaging_product": "whatsapp", "to": "+919216598210", "type": "text", "text": {"body": "Hi"}}
ACCEPTED = {"messages": [{"id": "wamid.1"}], "contacts": [{"input": "+919216598210", "wa_id": "919216598210"}]}


class Response(aiohttp.ClientResponse):
    """aioresponses does not know the `stream_writer` that aiohttp asks for since 3.14."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(), **kwargs})


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def whatsapp(session: aiohttp.ClientSession) -> WhatsApp:
    return WhatsApp(session, graph_api_base=BASE, phone_number_id="1234", access_token=TOKEN)


async def failing(whatsapp: WhatsApp) -> DeliveryError:
    """Why a send failed; whatever it is, it tells neither the token nor whom it was for nor what was said."""
    with pytest.raises(DeliveryError) as raised:
        await whatsapp.send(REQUEST)
    told = f"{raised.value} {raised.value!r} {raised.value.reason}"
    assert TOKEN not in told
    assert "919216598210" not in told
    return raised.value


# What Meta answers.


def answering(mocked: aioresponses, status: int = 200, payload: Any = None, **more: Any) -> None:
    body = json.dumps(payload) if payload is not None else more.pop("body", "")
    mocked.post(URL, status=status, body=body, response_class=Response, **more)


async def test_a_message_is_posted_with_the_token_and_its_id_comes_back(whatsapp: WhatsApp) -> None:
    asked: dict[str, Any] = {}

    def note(_url: Any, **kwargs: Any) -> CallbackResult:
        asked.update(kwargs)
        return CallbackResult(status=200, body=json.dumps(ACCEPTED), response_class=Response)

    with aioresponses() as mocked:
        mocked.post(URL, callback=note)
        accepted = await whatsapp.send(REQUEST)
    assert (accepted.wamid, accepted.wa_id, accepted.answer) == ("wamid.1", "919216598210", ACCEPTED)
    assert asked["json"] == REQUEST
    assert asked["headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert asked["allow_redirects"] is False


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 190, Blocked),
        (400, 131026, Refused),
        (400, 131056, Unavailable),
        (429, 130429, Unavailable),
        (500, 131000, Unavailable),
        (500, 3, Blocked),
        (503, 2, Unavailable),
    ],
)
async def test_metas_code_decides(whatsapp: WhatsApp, status: int, code: int, kind: type[DeliveryError]) -> None:
    with aioresponses() as mocked:
        answering(mocked, status, {"error": {"message": f"(#{code}) It failed", "code": code}})
        told = await failing(whatsapp)
    assert type(told) is kind
    assert (told.code, told.reason) == (code, f"(#{code}) It failed")


async def test_a_token_that_meta_quotes_is_not_told(whatsapp: WhatsApp) -> None:
    error = {"message": f"Malformed access token {TOKEN} for 919216598210", "code": 190}
    with aioresponses() as mocked:
        answering(mocked, 401, {"error": error})
        assert (await failing(whatsapp)).reason == "Malformed access token EA…ee for 91…10"


@pytest.mark.parametrize(
    ("header", "wait"),
    [("17", 17.0), ("0", 0.0), ("1.5", 1.5), ("999999999", 86400.0), ("inf", 86400.0)]
    + [(odd, None) for odd in ("-5", "nan", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "")],
)
async def test_meta_may_say_how_long_to_wait(whatsapp: WhatsApp, header: str, wait: float | None) -> None:
    with aioresponses() as mocked:
        answering(mocked, 429, headers={"Retry-After": header})
        answering(mocked, 429, {"error": {"code": 130429}}, headers={"Retry-After": header})
        bare, graphs = await failing(whatsapp), await failing(whatsapp)
    assert isinstance(bare, Unavailable)
    assert isinstance(graphs, Unavailable)
    assert (bare.wait, graphs.wait) == (wait, wait or None)


async def test_meta_may_say_when_an_app_may_call_again(whatsapp: WhatsApp) -> None:
    usage = '{"102290129340398": [{"type": "messaging", "call_count": 100, "estimated_time_to_regain_access": 9}]}'
    with aioresponses() as mocked:
        answering(mocked, 400, {"error": {"code": 80007}}, headers={"X-Business-Use-Case-Usage": usage})
        error = await failing(whatsapp)
    assert isinstance(error, Unavailable)
    assert error.wait == 540.0


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "", Unclear),
        (200, "<html>Welcome to the hotel's Wi-Fi</html>", Unclear),
        (200, "[]", Unclear),
        (502, "<html>Bad gateway</html>", Unclear),
        (504, "", Unclear),
        (403, "<html>Forbidden</html>", Blocked),
        (404, "<html>Not found</html>", Unavailable),
        (429, "", Unavailable),
    ],
)
async def test_what_is_not_graphs_is_no_answer(
    whatsapp: WhatsApp, status: int, body: str, kind: type[DeliveryError]
) -> None:
    with aioresponses() as mocked:
        answering(mocked, status, body=body)
        assert type(await failing(whatsapp)) is kind


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (aiohttp.ConnectionTimeoutError(), Unavailable, "connect"),
        (aiohttp.ClientConnectorError(Mock(), OSError("refused")), Unavailable, "connect"),
        (aiohttp.ClientConnectorDNSError(Mock(), OSError("unknown")), Unavailable, "connect"),
        (aiohttp.ClientConnectorCertificateError(Mock(), ValueError("self-signed")), Unavailable, "connect"),
        (aiohttp.InvalidURL("graph"), Unavailable, "connect"),
        (aiohttp.SocketTimeoutError(), Unclear, "timeout"),
        (TimeoutError(), Unclear, "timeout"),
        (aiohttp.ServerDisconnectedError(), Unclear, "disconnect"),
        (aiohttp.ClientOSError("broken pipe"), Unclear, "disconnect"),
        (aiohttp.ClientPayloadError("cut"), Unclear, "disconnect"),
    ],
)
async def test_each_failure_of_aiohttps_is_named_for_what_may_have_happened(
    whatsapp: WhatsApp, raised: Exception, kind: type[DeliveryError], code: str
) -> None:
    with aioresponses() as mocked:
        mocked.post(URL, exception=raised)
        told = await failing(whatsapp)
    assert type(told) is kind
    assert told.code == code


# On the way.

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(talk: Talk) -> AsyncIterator[str]:
    """A server that does with each connection what `talk` does; its address."""
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(converse(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def heard(reader: asyncio.StreamReader) -> bytes:
    """A whole request."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = int({name: value for name, _, value in lines}[b"content-length"])
    return head + await reader.readexactly(length)


def at(url: str, session: aiohttp.ClientSession, *, total_seconds: float = 5.0) -> WhatsApp:
    return WhatsApp(
        session, graph_api_base=url, phone_number_id="1234", access_token=TOKEN, total_seconds=total_seconds
    )


def saying(answer: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(answer)
        await writer.drain()

    return talk


async def test_a_connection_cut_after_the_request_leaves_it_unclear(session: aiohttp.ClientSession) -> None:
    async with speaking(saying(b"")) as url:
        told = await failing(at(url, session))
    assert isinstance(told, Unclear)
    assert told.code == "disconnect"


async def test_a_connection_cut_in_the_middle_of_the_answer_leaves_it_unclear(session: aiohttp.ClientSession) -> None:
    cut = b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"messages":[{"id":"wamid.1"}]}'
    async with speaking(saying(cut)) as url:
        assert isinstance(await failing(at(url, session)), Unclear)


async def test_a_connection_cut_before_the_request_may_be_unclear_but_never_passes_for_sent(
    session: aiohttp.ClientSession,
) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with speaking(hang_up) as url:
        assert isinstance(await failing(at(url, session)), Unclear | Unavailable)


async def test_no_request_is_made_twice_by_the_library(session: aiohttp.ClientSession) -> None:
    """A connection that was kept alive is cut with the next request: aiohttp repeats some, and must not repeat ours."""
    requests = []
    good = json.dumps(ACCEPTED).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(good), good)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await heard(reader))
        writer.write(answer)
        requests.append(await heard(reader))

    async with speaking(talk) as url:
        whatsapp = at(url, session)
        assert (await whatsapp.send(REQUEST)).wamid == "wamid.1"
        assert isinstance(await failing(whatsapp), Unclear)
    assert len(requests) == 2


async def test_meta_that_does_not_answer_in_time_leaves_it_unclear(session: aiohttp.ClientSession) -> None:
    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await heard(reader)
        await asyncio.sleep(60)

    async with speaking(hold) as url:
        told = await failing(at(url, session, total_seconds=0.1))
    assert isinstance(told, Unclear)
    assert told.code == "timeout"


async def test_an_answer_that_trickles_is_not_waited_for_for_ever(session: aiohttp.ClientSession) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with speaking(trickle) as url:
        assert isinstance(await failing(at(url, session, total_seconds=0.2)), Unclear)


async def test_ten_megabytes_are_not_read(session: aiohttp.ClientSession) -> None:
    written = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await heard(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n")
        for _ in range(160):
            writer.write(b" " * 65536)
            written += 65536
            await writer.drain()

    async with speaking(pour) as url:
        assert isinstance(await failing(at(url, session)), Unclear)
    assert ANSWER_LIMIT < written < 10485760, "it hung up long before the end"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\n\r\n<html></html>",
    ],
)
async def test_an_answer_that_is_none_leaves_it_unclear(session: aiohttp.ClientSession, answer: bytes) -> None:
    async with speaking(saying(answer)) as url:
        assert isinstance(await failing(at(url, session)), Unclear)


async def test_where_nobody_listens_nothing_was_sent(session: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    told = await failing(at(f"http://127.0.0.1:{unused_tcp_port}", session))
    assert isinstance(told, Unavailable)
    assert (told.code, told.scope) == ("connect", Scope.NUMBER)
    assert "127.0.0.1" not in told.reason


async def test_a_name_that_nobody_knows_was_sent_nothing() -> None:
    class Nobody(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def close(self) -> None:
            """Nothing is open."""

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Nobody())) as session:
        told = await failing(at("https://graph.example/v26.0", session))
    assert isinstance(told, Unavailable)
    assert told.code == "connect"


async def test_what_does_not_speak_tls_was_sent_nothing(session: aiohttp.ClientSession) -> None:
    async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with speaking(mumble) as url:
        told = await failing(at(url.replace("http:", "https:"), session))
    assert isinstance(told, Unavailable)
    assert told.code == "connect"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    session: aiohttp.ClientSession, aiohttp_server: AiohttpServer, status: int
) -> None:
    seen = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=status, headers=CIMultiDict(Location="/elsewhere"))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", redirect)
    server = await aiohttp_server(app)
    told = await failing(at(str(server.make_url("/v26.0")), session))
    assert isinstance(told, Unavailable)
    assert seen == ["/v26.0/1234/messages"]


# The one in memory keeps the same small contract.


async def test_the_one_in_memory_answers_as_this_one_does(
    session: aiohttp.ClientSession, aiohttp_server: AiohttpServer
) -> None:
    answers = [web.json_response({"error": {"message": "Undeliverable", "code": 131026}}, status=400)]

    async def answer(_: web.Request) -> web.Response:
        return answers.pop() if answers else web.json_response(ACCEPTED)

    app = web.Application()
    app.router.add_post("/1234/messages", answer)
    server = await aiohttp_server(app)
    real = at(str(server.make_url("")).rstrip("/"), session)
    for graph in (real, ScriptedGraph(Refused("Undeliverable", code=131026))):
        with pytest.raises(Refused) as raised:
            await graph.send(REQUEST)
        assert (raised.value.reason, raised.value.code) == ("Undeliverable", 131026)
        accepted = await graph.send(REQUEST)
        assert accepted.wamid.startswith("wamid.")
        assert accepted.wa_id == "919216598210"
        assert accepted.answer["messages"][0]["id"] == accepted.wamid


@pytest.mark.parametrize(("status", "done"), [(200, True), (400, False), (401, False), (500, False)])
async def test_read_ticks_and_typing_are_asked_for_in_one_request(whatsapp: WhatsApp, status: int, done: bool) -> None:
    asked: dict[str, Any] = {}

    def note(_url: Any, **kwargs: Any) -> CallbackResult:
        asked.update(kwargs)
        return CallbackResult(status=status, body='{"success": true}', response_class=Response)

    with aioresponses() as mocked:
        mocked.post(URL, callback=note)
        assert await whatsapp.show_typing("wamid.in") is done
    assert asked["json"] == {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": "wamid.in",
        "typing_indicator": {"type": "text"},
    }
    assert asked["headers"]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("failure", [aiohttp.ClientConnectionError(), TimeoutError()])
async def test_typing_that_cannot_be_shown_raises_nothing(whatsapp: WhatsApp, failure: Exception) -> None:
    with aioresponses() as mocked:
        mocked.post(URL, exception=failure)
        assert not await whatsapp.show_typing("wamid.in")


async def test_typing_leaves_the_connection_open_for_the_answer(
    session: aiohttp.ClientSession, aiohttp_server: AiohttpServer
) -> None:
    peers = set[Any]()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        response = web.StreamResponse(headers={"Content-Length": "16"})
        await response.prepare(request)
        await asyncio.sleep(0.01)  # Meta's head and body need not come together
        await response.write(b'{"success":true}')
        return response

    app = web.Application()
    app.router.add_post("/1234/messages", answer)
    server = await aiohttp_server(app)
    graph = at(str(server.make_url("")).rstrip("/"), session)
    for _ in range(3):
        assert await graph.show_typing("wamid.in")
    assert len(peers) == 1
