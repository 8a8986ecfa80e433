"""Nothing that a caller sends holds up everybody else: the worst that each route permits, with a probe in the loop."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web

from tests.business import ANA, BEN, KEY, SECTIONS
from tests.process import BESIDE_OTHERS, ROOT, World, eventually, world
from wabot.core import json_limits
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta
from wabot.sandbox.payloads import sign
from wabot.sandbox.templates import Library
from wabot.web import app, history, request_bodies, request_models

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROBED = ROOT / "tests" / "faults" / "launch_probed.py"
MOST = 0.1 * BESIDE_OTHERS
"""Seconds that the loop may be held up."""
TRIES = 3
"""A machine that is busy makes everything slower, but not three times in a row."""
PHONE_NUMBER_ID = SECTIONS["whatsapp"]["phone_number_id"]


def full(limit: int, entry: str | Callable[[int], str], head: str = "[", tail: str = "]") -> bytes:
    """As many entries as fit into `limit` bytes."""
    parts, size = list[str](), len(head) + len(tail)
    while True:
        part = entry if isinstance(entry, str) else entry(len(parts))
        size += len(part) + 1
        if size > limit:
            return (head + ",".join(parts) + tail).encode()
        parts.append(part)


def webhook_head(key: str, number: str = PHONE_NUMBER_ID) -> str:
    return (
        '{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":'
        f'{{"messaging_product":"whatsapp","metadata":{{"phone_number_id":"{number}"}},"{key}":['
    )


WEBHOOK_TAIL = "]}}]}]}"


def webhook(key: str, entry: str | Callable[[int], str], number: str = PHONE_NUMBER_ID) -> bytes:
    """The largest webhook with these entries."""
    return full(request_bodies.WEBHOOK_LIMIT, entry, webhook_head(key, number), WEBHOOK_TAIL)


def text(n: int) -> str:
    return f'{{"from":"4917{n:08}","id":"wamid.{n}","timestamp":"1760000000","type":"text","text":{{"body":"Hi"}}}}'


def one_text(characters: str) -> bytes:
    """One message that says as much as fits."""
    return webhook(
        "messages", text(0).replace("Hi", characters * ((request_bodies.WEBHOOK_LIMIT - 1000) // len(characters)))
    )


def status(n: int) -> str:
    return f'{{"id":"wamid.{n}","status":"delivered","timestamp":"1760000000","recipient_id":"4917{n:08}"}}'


def failed(n: int) -> str:
    return status(n).replace('"delivered"', '"failed","errors":[{"code":131026,"title":"no"}]')


def in_its_own_entry(n: int) -> str:
    return (
        f'{{"changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":"{PHONE_NUMBER_ID}"}},'
        f'"messages":[{text(n)}]}}}}]}}'
    )


def almost_too_many(entry: str, head: str, tail: str) -> bytes:
    """As many entries as a body may have values."""
    count = (json_limits.MOST - 1000) // (json_limits.values_in(entry) + 1)
    return (head + ",".join([entry] * count) + tail).encode()


MANY_VALUES = almost_too_many("[]", webhook_head("messages") + text(0)[:-1] + ',"a":[', "]}" + WEBHOOK_TAIL)
BANS = [
    f'{{"field":"account_update","value":{{"event":"DISABLED_UPDATE","ban_info":{{"waba_ban_state":"{state}"}}}}}}'
    for state in ("DISABLE", "REINSTATE")
]
NESTED = '{"a":' * 400 + "1" + "}" * 400
WEBHOOKS: Mapping[str, Callable[[], bytes]] = {
    "messages": lambda: webhook("messages", text),
    "messages of one": lambda: webhook("messages", lambda n: text(n).replace(f"4917{n:08}", "491711234567")),
    "messages in entries": lambda: full(request_bodies.WEBHOOK_LIMIT, in_its_own_entry, '{"entry":[', "]}"),
    "statuses": lambda: webhook("statuses", status),
    "failures": lambda: webhook("statuses", failed),
    "bad messages": lambda: webhook("messages", "1"),
    "bad statuses": lambda: webhook("statuses", '{"status":"x"}'),
    "empty entries": lambda: full(request_bodies.WEBHOOK_LIMIT, "{}", '{"entry":[', "]}"),
    "nested entries": lambda: webhook("messages", NESTED),
    "nested": lambda: b"[" * request_bodies.WEBHOOK_LIMIT,
    "a long text": lambda: one_text("stop "),
    "a long text in escapes": lambda: one_text("\\u00fc"),
    "a long text of halves": lambda: one_text("\\ud83d"),
    "for another number": lambda: webhook("messages", text, "999"),
    "changes for another number, in a long entry": lambda: full(
        request_bodies.WEBHOOK_LIMIT,
        '{"field":"messages","value":{"metadata":{"phone_number_id":"999"}}}',
        '{"entry":[{"id":"1","a":"' + "x" * (request_bodies.WEBHOOK_LIMIT - 100_000) + '","changes":[',
        "]}]}",
    ),
    "news of the account": lambda: full(
        request_bodies.WEBHOOK_LIMIT,
        lambda n: BANS[n % 2],
        '{"entry":[{"changes":[',
        "]}]}",
    ),
    "people": lambda: webhook("contacts", lambda n: f'{{"wa_id":"4917{n:08}","profile":{{"name":"N"}}}}'),
    "a number without end": lambda: b'{"entry":' + b"9" * 4_000_000 + b"}",
    "a fraction without end": lambda: b'{"entry":0.' + b"9" * 4_000_000 + b"}",
    "no JSON": lambda: b"\xff" * request_bodies.WEBHOOK_LIMIT,
    "one message of many values": lambda: MANY_VALUES,
    "one notice of many values": lambda: MANY_VALUES.replace(b'"field":"messages"', b'"field":"calls"'),
    "many values for another number": lambda: MANY_VALUES.replace(PHONE_NUMBER_ID.encode(), b"999"),
    "one failure of many values": lambda: almost_too_many(
        "[]", webhook_head("statuses") + failed(0)[:-2] + ',"a":[', "]}]}" + WEBHOOK_TAIL
    ),
    "lists": lambda: almost_too_many("[]", '{"entry":[', "]}"),
    "objects": lambda: almost_too_many('{"a":1}', '{"entry":[', "]}"),
    "keys": lambda: full(request_bodies.WEBHOOK_LIMIT, lambda n: f'"{n}":1', "{", "}"),
}


def bulk(recipient: str | Callable[[int], str], count: int = request_models.MAX_RECIPIENTS, more: str = "") -> bytes:
    entry = recipient if callable(recipient) else lambda _: recipient
    return f'{{"recipients":[{",".join(map(entry, range(count)))}]{more}}}'.encode()


def parameters(n: int, text: str) -> str:
    own = f'[{{"type":"body","parameters":[{{"type":"text","text":"{n}{text}"}}]}}]'
    return f'{{"number":"4917{n:08}","components":{own}}}'


MANY = '{"type":"text","text":"x"},' * 10
API: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "recipients": ("/initiate-bulk", lambda: bulk(lambda n: parameters(n, "x" * 1500))),
    "one long template": (
        "/initiate-bulk",
        lambda: bulk(
            lambda n: f'{{"number":"4917{n:08}"}}',
            more=',"template":{"name":"t","components":[{"type":"body","parameters":[{"text":"%s"}]}]}'
            % ("y" * 65_536),
        ),
    ),
    "long contents": ("/initiate-bulk", lambda: bulk(lambda n: parameters(n, "x" * 130_000), 125)),
    "many parameters": (
        "/initiate-bulk",
        lambda: bulk(lambda n: f'{{"number":"4917{n:08}","components":[{{"parameters":[{MANY[:-1]}]}}]}}'),
    ),
    "one number": ("/initiate-bulk", lambda: bulk('{"number":"+49 171 1234567"}')),
    "no numbers": ("/initiate-bulk", lambda: bulk(lambda n: f'{{"number":"{"1" * 190}{n}"}}')),
    "wrong recipients": ("/initiate-bulk", lambda: bulk('{"nummer":"1"}')),
    "empty objects": ("/initiate-bulk", lambda: full(request_bodies.API_LIMIT, "{}", '{"recipients":[', "]}")),
    "nothing": ("/initiate-bulk", lambda: full(request_bodies.API_LIMIT, "[]", '{"numbers":[', "]}")),
    "almost too many lists": ("/initiate-bulk", lambda: almost_too_many("[]", '{"recipients":[', "]}")),
    "almost too many objects": ("/initiate-bulk", lambda: almost_too_many('{"a":1}', '{"recipients":[', "]}")),
    "objects in objects": ("/initiate-bulk", lambda: almost_too_many('{"a":{"a":{}}}', '{"recipients":[', "]}")),
    "fractions that are read": ("/initiate-bulk", lambda: almost_too_many("1.5e300", '{"recipients":[', "]}")),
    "fields": ("/initiate-bulk", lambda: full(request_bodies.API_LIMIT, lambda n: f'"{n}":1', "{", "}")),
    "nested": ("/initiate-bulk", lambda: b'{"numbers":' + b"[" * 8_000_000 + b"]" * 8_000_000 + b"}"),
    "blanks": ("/initiate-bulk", lambda: b" " * (request_bodies.API_LIMIT - 2) + b"{}"),
    "a long string": ("/initiate-bulk", lambda: b'{"numbers":["' + b"\\u00fc" * 2_700_000 + b'"]}'),
    "fractions": ("/initiate-bulk", lambda: full(request_bodies.API_LIMIT, "1.5e300", '{"numbers":[', "]}")),
    "a fraction without end": ("/initiate-bulk", lambda: b'{"numbers":[0.' + b"9" * 16_000_000 + b"]}"),
    "a question": (
        "/get",
        lambda: full(history.QUESTION_LIMIT, '"queued"', '{"number":"4917112345","include":[', "]}"),
    ),
    "a question of objects": ("/get", lambda: full(history.QUESTION_LIMIT, "{}", '{"number":[', "]}")),
    "questions": ("/get-bulk", lambda: json.dumps({"numbers": [f"4917{n:08}" for n in range(1000)]}).encode()),
    "one question": ("/get-bulk", lambda: json.dumps({"numbers": ["491711234567"] * 1000}).encode()),
    "questions about nobody": ("/get-bulk", lambda: json.dumps({"numbers": ["1" * 200] * 1000}).encode()),
    "questions of objects": ("/get-bulk", lambda: full(history.BULK_QUESTION_LIMIT, "{}", '{"numbers":[', "]}")),
}


Request = Callable[[World], Awaitable[int]]


def asking(path: str) -> Request:
    """A GET; {id} in its path is the batch's that was queued last, {send} that of a send."""

    async def ask(w: World) -> int:
        sends = (await w.get("/outbox", limit=1))["outbox"]
        where = path.format(id=sends[0]["batch_id"], send=sends[0]["outbox_id"]) if "{" in path else path
        async with w.client.get(f"{w.wabot.url}{where}") as response:
            while await response.content.read(1 << 20):
                pass
            return response.status

    return ask


def posting(path: str, content: Callable[[], bytes]) -> Request:
    made = content()
    return lambda w: post(w, path, made)


def receiving(content: Callable[[], bytes]) -> Request:
    """A webhook that Meta signed."""
    made = content()
    signed = {"X-Hub-Signature-256": sign(made, SECTIONS["whatsapp"]["app_secret"])}
    return lambda w: post(w, "/webhook", made, **signed)


def request_of(name: str) -> Request:
    """What fills a journal, by the name of its case."""
    return posting(*API[name]) if name in API else receiving(WEBHOOKS[name])


EVERYBODY = [f"4917{n:08}" for n in range(1000)]
READS: Mapping[str, tuple[str, Callable[[], Request]]] = {
    "a long batch": ("recipients", lambda: asking("/batches/{id}")),
    "a long batch as a table": ("recipients", lambda: asking("/batches/{id}?format=csv")),
    "a list of long batches": ("recipients", lambda: asking("/batches?limit=100")),
    "the undelivered of a long batch": (
        "recipients",
        lambda: asking("/outbox?limit=1000&batch_id={id}&message=undelivered"),
    ),
    "a long outbox": ("recipients", lambda: asking("/metrics")),
    "all is well": ("recipients", lambda: asking("/readyz")),
    "an outbox of long templates": ("one long template", lambda: asking("/outbox?limit=1000")),
    "one long send": ("long contents", lambda: asking("/outbox/{send}")),
    "a long talk": ("messages of one", lambda: posting("/get", lambda: b'{"number":"491711234567"}')),
    "a long talk, again and again": (
        "messages of one",
        lambda: posting("/get-bulk", lambda: json.dumps({"numbers": ["491711234567"] * 1000}).encode()),
    ),
    "one long message": ("a long text in escapes", lambda: posting("/get", lambda: b'{"number":"491700000000"}')),
    "one message of many values": (
        "one message of many values",
        lambda: posting("/get", lambda: b'{"number":"491700000000"}'),
    ),
    "many talks": (
        "messages",
        lambda: posting("/get-bulk", lambda: json.dumps({"numbers": EVERYBODY}).encode()),
    ),
}
"""What was written before, and what is read of it; those of the same stand together."""


class Wabots:
    """Wabots with a probe, one at a time. Who asks for another gets the same while nothing was written to it since."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._stack = AsyncExitStack()
        self._started = 0
        self._world: World | None = None
        self._filled = ""
        self._rows: list[int] = []

    async def filled(self, name: str = "") -> World:
        """One whose journal holds what this case wrote; "": as good as nothing."""
        if self._world is None or self._filled != name or (name == "" and rows(self._world) != self._rows):
            await self.end()
            self._started += 1
            world = await self._stack.enter_async_context(probed(self._place / str(self._started), "none"))
            assert name == "" or await request_of(name)(world) < 300
            self._world, self._filled, self._rows = world, name, rows(world)
        return self._world

    async def end(self) -> None:
        """End the one that runs, if any."""
        self._world = None
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wabots(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wabots]:
    """For as long as a worker has tests of this file."""
    wabots = Wabots(tmp_path_factory.mktemp("stall"))
    yield wabots
    await wabots.end()


def rows(w: World) -> list[int]:
    """How many rows each table of the journal has: whatever a request leaves behind is one."""
    with closing(sqlite3.connect(f"{w.journal.as_uri()}?mode=ro", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        return [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in tables]


async def longest_stall(wabots: Wabots, request: Request, expected: Sequence[int], *, filled: str = "") -> float:
    """Seconds that the loop was held up while wabot answered; the least of TRIES, if it was too long.

    Each further try has a wabot of its own.
    """
    stalls = []
    for _ in range(TRIES):
        w = await wabots.filled(filled)
        stalls.append(await stall(w, request, expected))
        if stalls[-1] < MOST:
            break
        await wabots.end()
    return min(stalls)


async def stall(w: World, request: Request, expected: Sequence[int]) -> float:
    """Seconds that the loop was held up while wabot answered."""
    file = w.place / "lag"
    file.unlink()
    await eventually(file.exists)
    assert await request(w) in expected
    await asyncio.sleep(0.2)  # what comes after the answer
    assert w.wabot.complaints == []
    return float(file.read_text() or 0)


@asynccontextmanager
async def probed(place: Path, missing: str) -> AsyncIterator[World]:
    """A wabot with a probe, which has answered once already: what it loads late is there."""
    place.mkdir()
    meta = Meta(behaviour=Behaviour(by_number=False), receipts=False, templates=Library(lenient=True))
    delivery = {"messages_per_second": 20, "concurrency": 4}  # what leaves is not what this is about
    async with world(place, meta=meta, delivery=delivery, api={"wait_seconds": 0}) as w:
        await w.start(launcher=(PROBED, place / "lag", missing))
        assert (await w.meta.say("Hello", from_=ANA))[1] == 200
        assert (await w.post("/initiate-bulk", {"numbers": [BEN]}))[0] < 300
        await w.said_with(ANA)
        await w.wabot.until(lambda: len(w.wabot.events("send.settled")) == 2)
        yield w


async def post(w: World, path: str, content: bytes, **headers: str) -> int:
    """The status of an answer that is read to its end."""
    headers = {"Content-Type": "application/json", **headers}
    async with w.client.post(f"{w.wabot.url}{path}", data=io.BytesIO(content), headers=headers) as response:
        while await response.content.read(1 << 20):
            pass
        return response.status


@pytest.mark.parametrize("name", WEBHOOKS)
async def test_no_webhook_stalls_the_loop(name: str, wabots: Wabots) -> None:
    assert await longest_stall(wabots, receiving(WEBHOOKS[name]), [200]) < MOST


async def test_no_body_in_chunks_of_a_byte_stalls_the_loop_though_nobody_signed_it(wabots: Wabots) -> None:
    head = "POST /webhook HTTP/1.1\r\nHost: wabot\r\nTransfer-Encoding: chunked\r\n"
    chunks = f"{head}X-Hub-Signature-256: sha256={'0' * 64}\r\n\r\n".encode() + b"1\r\nx\r\n" * 500_000

    async def send(w: World) -> int:
        return max(await asyncio.gather(*[send_one(w) for _ in range(8)]))

    async def send_one(w: World) -> int:
        url = urlsplit(w.wabot.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(chunks + b"0\r\n\r\n")
        status = int((await reader.readline()).split()[1])
        writer.close()
        return status

    assert await longest_stall(wabots, send, [401]) < MOST


@pytest.mark.parametrize("name", API)
async def test_no_request_stalls_the_loop(name: str, wabots: Wabots) -> None:
    assert await longest_stall(wabots, posting(*API[name]), [200, 202, 400, 413, 422]) < MOST


@pytest.mark.parametrize("name", READS)
async def test_no_answer_stalls_the_loop(name: str, wabots: Wabots) -> None:
    filled, request = READS[name]
    assert await longest_stall(wabots, request(), [200], filled=filled) < MOST


async def test_no_address_stalls_the_loop_on_any_route(wabots: Wabots) -> None:
    async def ask_all(w: World) -> int:
        for route in app.ROUTES:
            assert isinstance(route, web.RouteDef)
            path = re.sub(r"\{\w+\}", "9" * 4000, route.path)
            headers = {"X-API-Key": KEY, "Idempotency-Key": "k" * 3000, "Prefer": "wait=0," * 400}
            async with w.client.request(
                route.method, f"{w.wabot.url}{path}", params={"number": "+ " * 1500}, headers=headers
            ) as response:
                assert response.status < 500, route
        return 200

    assert await longest_stall(wabots, ask_all, [200]) < MOST


@pytest.mark.parametrize(
    ("missing", "name"),
    [("read_all_at_once", "empty objects"), ("nothing_aside", "statuses")],
    ids=["read_all_at_once", "nothing_aside"],
)
async def test_the_probe_sees_it_when_a_guard_is_missing(missing: str, name: str, tmp_path: Path) -> None:
    async with probed(tmp_path / "it", missing) as w:
        worst = await stall(w, request_of(name), [200, 422])
        await eventually(lambda: max(worst, float((w.place / "lag").read_text() or 0)) > 0.15)
