"""Strangers who send much and sign nothing: what they cost in memory, straight and through the proxies of deploy/."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.business import ANA
from tests.process import PATIENCE, World, eventually, world
from tests.proxies import proxy

MEGABYTE = 1 << 20
STRANGERS = 400
WHOLE = 4 * MEGABYTE
FORGED = f"X-Hub-Signature-256: sha256={'0' * 64}\r\n"
"""Looks like a signature, so that only the whole body tells that it is none."""

MOST, LEFT = 256 * MEGABYTE, 24 * MEGABYTE
"""Memory that may be taken meanwhile and kept afterwards, of the 1 600 MiB that are sent. Beside the room for bodies
it is what the loop reads of all connections in one turn."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def resident(w: World) -> int:
    """Bytes of memory that wabot holds."""
    fields = Path(f"/proc/{w.wabot.pid}/status").read_text().split()
    return int(fields[fields.index("VmRSS:") + 1]) * 1024


@contextlib.asynccontextmanager
async def bounded(w: World) -> AsyncIterator[None]:
    """wabot's memory stays within MOST meanwhile, and within LEFT afterwards."""
    before = most = resident(w)

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, resident(w))
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    yield
    watching.cancel()
    assert most - before < MOST, f"{(most - before) >> 20} MiB"
    await eventually(lambda: resident(w) - before < LEFT)


async def start(w: World) -> None:
    """wabot, after its first message: what it loads late is there."""
    await w.start()
    assert (await w.meta.say("Hello", from_=ANA))[1] == 200
    await w.meta.until(lambda meta: bool(meta.sent))


async def break_off(url: str, headers: str) -> None:
    """Send all but the end of a webhook, as far as the other side reads it, and hang up."""
    address = urlsplit(url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    with contextlib.suppress(ConnectionError):
        head = f"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: {WHOLE}\r\n{headers}\r\n"
        writer.write(head.encode())
        for _ in range(63):
            writer.write(b"x" * (WHOLE // 64))
            await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize(
    "headers", ["", "X-Hub-Signature-256: sha256=abc\r\n", FORGED], ids=["none", "short", "forged"]
)
async def test_four_hundred_strangers_who_break_off_leave_no_memory_behind(tmp_path: Path, headers: str) -> None:
    async with world(tmp_path) as w:
        await start(w)

        async with bounded(w):
            strangers = [asyncio.create_task(break_off(w.wabot.url, headers)) for _ in range(STRANGERS)]
            assert (await w.meta.say("Hi", from_=ANA))[1] == 200
            await asyncio.gather(*strangers)

        assert (await w.meta.say("Hi again", from_=ANA))[1] == 200


async def test_strangers_who_hold_their_bodies_back_keep_nobody_out(tmp_path: Path) -> None:
    """Each has sent 3 MiB and waits: together three times as much as there is room for."""
    async with world(tmp_path) as w:
        await start(w)
        address = urlsplit(w.wabot.url)

        async with bounded(w):
            strangers = [await asyncio.open_connection(address.hostname, address.port) for _ in range(64)]
            for _, writer in strangers:
                writer.write(f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {WHOLE}\r\n{FORGED}\r\n".encode())
                writer.write(b"x" * (3 * MEGABYTE))
                await writer.drain()
            assert (await w.meta.say("x" * 4096, from_=ANA))[1] == 200
            assert (await w.meta.say("x" * (MEGABYTE // 2), from_=ANA))[1] == 200
            refused = await asyncio.wait_for(strangers[0][0].readuntil(b"\r\n\r\n"), PATIENCE)
            for _, writer in strangers:
                writer.transport.abort()

        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in refused


@pytest.mark.parametrize("headers", ["", FORGED], ids=["none", "forged"])
@pytest.mark.parametrize("name", ["caddy", "nginx"])
async def test_strangers_who_break_off_behind_our_proxies_leave_no_memory_behind(
    tmp_path: Path, name: str, headers: str
) -> None:
    async with world(tmp_path) as w:
        await start(w)
        async with proxy(name, tmp_path / name, w) as url:
            w.meta.webhook_url = f"{url}/webhook"
            assert (await w.meta.say("Through the proxy", from_=ANA))[1] == 200

            async with bounded(w):
                await asyncio.gather(*(break_off(url, headers) for _ in range(STRANGERS)))

            assert (await w.meta.say("x" * (MEGABYTE // 2), from_=ANA))[1] == 200


def connections(w: World) -> int:
    """How many wabot has."""
    port = int(w.wabot.url.rpartition(":")[2])
    return len(re.findall(rf" 0100007F:{port:04X} 0100007F:\w+ 01 ", Path("/proc/net/tcp").read_text()))


@pytest.mark.parametrize("name", ["caddy", "nginx"])
async def test_whoever_is_slow_stays_with_the_proxy(tmp_path: Path, name: str) -> None:
    async with world(tmp_path) as w:
        await start(w)
        async with proxy(name, tmp_path / name, w) as url:
            address, before = urlsplit(url), connections(w)
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(f"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n{FORGED}\r\nx".encode())
            await writer.drain()

            await asyncio.sleep(0.3)

            assert connections(w) == before
            writer.transport.abort()
