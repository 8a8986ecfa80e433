"""Who may call, as the contract has it."""

from __future__ import annotations

import asyncio
import hmac
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.business import ANA, Business, business
from tests.virtual_time import virtual_time
from tests.web.shapes import refusal, wire
from wabot import api_keys
from wabot.web import app, auth

KEYS = ("a-long-enough-key", "another-long-key", "clé-€-ключ-16-знаков")
GUARDED = [
    ("POST", "/initiate-bulk"),
    ("POST", "/get"),
    ("POST", "/get-bulk"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/outbox"),
    ("GET", "/outbox/x-1"),
    ("POST", "/outbox/x-1/retry"),
    ("POST", "/outbox/x-1/cancel"),
    ("POST", "/outbox/retry"),
    ("GET", "/batches"),
    ("GET", "/batches/x"),
    ("POST", "/batches/x/cancel"),
    ("POST", "/lanes/send/probe"),
    ("POST", f"/contacts/{ANA}/opt-out"),
    ("POST", f"/contacts/{ANA}/opt-in"),
    ("DELETE", f"/contacts/{ANA}"),
    ("GET", "/contacts"),
    ("POST", f"/contacts/{ANA}/pause"),
    ("POST", f"/contacts/{ANA}/resume"),
    ("POST", "/messages"),
    ("GET", "/costs"),
    ("GET", "/events"),
    ("POST", "/events/1/retry"),
    ("GET", "/templates"),
    ("GET", "/merges"),
    ("POST", "/merges/1/undo"),
    ("GET", "/nowhere"),
    ("GET", "/"),
    ("DELETE", "/outbox"),
    ("GET", "/webhook/"),
    ("GET", "/webhook%2F"),
    ("GET", "/healthz/../readyz"),
]


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Business]:
    """wabot with keys, and a client without one."""
    async with business(tmp_path / "data", server={"api_keys": KEYS}) as b, ClientSession(b.url) as stranger:
        yield replace(b, client=stranger)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Business]:
    """wabot as the sandbox runs it, and a client without a key."""
    async with business(tmp_path / "data", sandbox=True) as b, ClientSession(b.url) as stranger:
        yield replace(b, client=stranger)


async def test_everything_but_the_webhook_and_healthz_needs_a_key(keyed: Business) -> None:
    for method, path in GUARDED:
        answer = await keyed.ask(method, path)
        assert "Authorization: Bearer" in refusal(answer, 401)
        assert "server.api_keys" in refusal(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_no_route_was_forgotten() -> None:
    patterns = {route.path for route in app.ROUTES} - auth.OPEN_PATHS - auth.OPEN_ROUTES
    guarded = {
        re.sub(r"^/(outbox|batches|contacts|merges|lanes|events)/(?!retry$)[^/]+", r"/\1/*", path)
        for _, path in GUARDED
    }
    assert {re.sub(r"{.*?}", "*", pattern) for pattern in patterns} <= guarded


@pytest.mark.parametrize("key", KEYS)
async def test_each_key_opens_in_either_header(keyed: Business, key: str) -> None:
    for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}, {"X-API-Key": key}):
        assert (await keyed.get("/readyz", headers=headers)).status == 200, headers


async def test_a_key_stands_beside_the_password_of_a_proxy(keyed: Business) -> None:
    headers = {"Authorization": "Basic dTpw", "X-API-Key": KEYS[0]}
    assert (await keyed.get("/readyz", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": KEYS[0]},
        {"Authorization": f"Basic {KEYS[0]}"},
        {"Authorization": f"Bearer {KEYS[0]}x"},
        {"Authorization": f"Bearer {KEYS[0][:-1]}"},
        {"Authorization": f"Bearer {KEYS[0].upper()}"},
        {"Authorization": f"Bearer {KEYS[0]}, {KEYS[1]}"},
        {"X-API-Key": ""},
        {"X-API-Key": "wröng"},
        {"X-API-Key": "*"},
        {"Authorization": "Bearer wrong", "X-API-Key": KEYS[0]},
    ],
    ids=str,
)
async def test_anything_else_is_refused(keyed: Business, headers: dict[str, str]) -> None:
    message = refusal(await keyed.get("/readyz", headers=headers), 401)
    assert "server.api_keys" in message
    assert not any(key in message for key in KEYS)


async def test_a_key_in_bytes_that_are_no_text_is_refused(keyed: Business) -> None:
    async with wire(keyed) as connection:
        await connection.say(b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-API-Key: \xff\xfe\x80\r\n\r\n")
        refusal(await connection.answer(), 401)


async def test_a_key_in_the_address_is_no_key(keyed: Business) -> None:
    refusal(await keyed.get("/readyz", params={"api_key": KEYS[0], "key": KEYS[0]}), 401)


async def test_with_keys_it_does_not_matter_where_a_request_comes_from(keyed: Business) -> None:
    headers = {
        "X-API-Key": KEYS[0],
        "Host": "bot.example.com",
        "X-Forwarded-For": "203.0.113.9",
        "Origin": "https://a.b",
    }
    assert (await keyed.get("/readyz", headers=headers)).status == 200


async def test_every_key_is_compared_in_constant_time_also_after_a_match(
    keyed: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Any] = []

    class Watched:
        @staticmethod
        def compare_digest(given: bytes, key: bytes) -> bool:
            compared.append(key)
            return hmac.compare_digest(given, key)

    monkeypatch.setattr(auth, "hmac", Watched)
    assert (await keyed.get("/readyz", headers={"X-API-Key": KEYS[0]})).status == 200
    assert compared == [key.encode() for key in KEYS]


@pytest.mark.parametrize("path", ["/healthz", "/webhook"])
async def test_healthz_and_the_webhook_need_no_key_and_may_come_through_a_proxy(keyed: Business, path: str) -> None:
    headers = {"Host": "bot.example.com", "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    query = {"hub.mode": "subscribe", "hub.verify_token": "sandbox-verify", "hub.challenge": "1"}
    assert (await keyed.get(path, headers=headers, params=query)).status == 200


async def test_outside_the_sandbox_this_machine_needs_a_key_too(tmp_path: Path) -> None:
    """A bare `proxy_pass` adds nothing and rewrites the Host: what it lets through looks like this machine."""
    async with business(tmp_path, server={"api_keys": ()}) as b, ClientSession(b.url) as client:
        stranger = replace(b, client=client)
        for method, path in GUARDED:
            refusal(await stranger.ask(method, path, headers={"Host": "127.0.0.1:8080"}), 401)
        made = (tmp_path / api_keys.FILE).read_text().strip()
        assert (await stranger.get("/readyz", headers={"X-API-Key": made})).status == 200


async def refused_after(b: Business, key: str) -> float:
    """Seconds until a key was refused."""
    started = asyncio.get_running_loop().time()
    refusal(await b.get("/readyz", headers={"X-API-Key": key}), 401)
    return asyncio.get_running_loop().time() - started


async def test_a_wrong_key_waits_longer_each_time_and_a_right_one_or_none_never(
    keyed: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "LONGEST_DELAY", 0.4)
    waited = [await refused_after(keyed, f"a-wrong-key-number-{n}") for n in range(4)]
    assert all(seconds >= least for seconds, least in zip(waited, (0.1, 0.2, 0.4, 0.4), strict=True)), waited
    assert await refused_after(keyed, "") < 0.3

    waiting = [asyncio.create_task(refused_after(keyed, "wrong-as-well-it-is")) for _ in range(auth.MOST_DELAYED)]
    await asyncio.sleep(0.1)
    started = asyncio.get_running_loop().time()
    assert (await keyed.get("/readyz", headers={"X-API-Key": KEYS[0]})).status == 200
    assert (await keyed.get("/healthz")).status == 200
    assert asyncio.get_running_loop().time() - started < 0.3
    assert min(await asyncio.gather(*waiting)) >= 0.39


@virtual_time
async def test_the_delays_double_up_to_five_seconds_and_a_quiet_minute_ends_them() -> None:
    wrong, loop = auth.WrongKeys(), asyncio.get_running_loop()

    async def waits() -> float:
        started = loop.time()
        await wrong.wait()
        return round(loop.time() - started, 3)

    assert [await waits() for _ in range(9)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]
    await asyncio.sleep(60)
    assert await waits() == 0.1


@virtual_time
async def test_of_many_wrong_keys_at_once_only_so_many_wait() -> None:
    wrong, loop = auth.WrongKeys(), asyncio.get_running_loop()
    waiting = [asyncio.create_task(wrong.wait()) for _ in range(1000)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert sum(not task.done() for task in waiting) == 32
    waiting.pop(0).cancel()
    await asyncio.gather(*waiting)
    assert loop.time() == 5
    waiting = [asyncio.create_task(wrong.wait()) for _ in range(33)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sum(not task.done() for task in waiting) == 32


async def test_meta_needs_no_key(keyed: Business) -> None:
    assert (await keyed.meta.say("Hi"))[1] == 200


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8080", "LOCALHOST", "localhost.", "localhost.:1", "127.0.0.1", "127.0.0.1:8080",
        "127.8.9.10", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]:80", "[::ffff:127.0.0.1]",
    ],
)  # fmt: skip
async def test_the_sandbox_serves_this_machine_by_any_of_its_names_without_a_key(sandbox: Business, host: str) -> None:
    assert (await sandbox.get("/readyz", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "", "example.com", "bot.example.com:8080", "localhost.example.com", "127.0.0.1.example.com", "192.168.1.7",
        "0.0.0.0", "[::]", "[2001:db8::1]:80", "[fe80::1%lo]", "::1", "localhost:80@example.com",
        "localhost@example.com", "example.com@localhost", "localhost:", "localhost:x", "localhost/example.com",
        "localhost example.com",
        "localhost,example.com", "[localhost]", "127.1", "2130706433", "0x7f000001", "127.0.0.1%25",
        "ⅼocalhost", "local\u017fhost",
        ".", "[]", "[", "]", ":", "::ffff:127.0.0.1", "[::ffff:192.168.0.1]",
    ],
)  # fmt: skip
async def test_the_sandbox_refuses_any_other_name(sandbox: Business, host: str) -> None:
    assert "from this machine" in refusal(await sandbox.get("/readyz", headers={"Host": host}), 401)


async def test_the_sandbox_refuses_them_on_every_route(sandbox: Business) -> None:
    for method, path in GUARDED:
        refusal(await sandbox.ask(method, path, headers={"Host": "rebound.example.com"}), 401)


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded: for=127.0.0.1", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost",
        "X-Forwarded-Proto: http", "X-Forwarded-Port: 80", "x-forwarded-anything: at all", "X-FORWARDED-FOR: ",
        "CF-Connecting-IP: 127.0.0.1", "cf-ray: 8a", "CDN-Loop: cloudflare", "True-Client-IP: 127.0.0.1",
        "X-Client-IP: 127.0.0.1",
        "forwarded: ", "X-Real-IP: 127.0.0.1",
        "Via: 1.1 proxy", "Origin: https://example.com", "Origin: null", "Origin: http://localhost.example.com",
        "Origin: http://localhost@example.com", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: ", "Sec-Fetch-Site: x",
    ],
)  # fmt: skip
async def test_the_sandbox_refuses_whatever_a_proxy_or_a_foreign_page_adds(sandbox: Business, header: str) -> None:
    name, _, value = header.partition(": ")
    assert "from this machine" in refusal(await sandbox.get("/readyz", headers={name: value}), 401)


@pytest.mark.parametrize("site", ["none", "same-origin", "same-site"])
async def test_the_sandbox_serves_what_a_browser_here_asks_by_itself(sandbox: Business, site: str) -> None:
    assert (await sandbox.get("/readyz", headers={"Sec-Fetch-Site": site})).status == 200


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080"])
async def test_a_page_of_this_machine_may_call_the_sandbox(sandbox: Business, origin: str) -> None:
    assert (await sandbox.get("/readyz", headers={"Origin": origin})).status == 200


async def test_a_second_host_cannot_hide_behind_the_first(sandbox: Business) -> None:
    async with wire(sandbox) as connection:
        await connection.say("GET /readyz HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\n\r\n")
        assert (await connection.answer()).status in (400, 401)


async def test_a_request_without_a_host_is_refused(sandbox: Business) -> None:
    async with wire(sandbox) as connection:
        await connection.say("GET /readyz HTTP/1.0\r\n\r\n")
        assert (await connection.answer()).status in (400, 401)


async def test_the_sandbox_refuses_another_machine_whatever_it_says(tmp_path: Path) -> None:
    address = _own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    async with business(tmp_path, server={"host": "0.0.0.0"}, sandbox=True) as b:
        port = b.url.rpartition(":")[2]
        async with ClientSession() as client:
            async with client.get(f"http://{address}:{port}/readyz", headers={"Host": "localhost"}) as response:
                assert response.status == 401
                assert "from this machine" in (await response.json())["error"]["message"]
            async with client.get(f"http://{address}:{port}/healthz") as response:
                assert response.status == 200


async def test_ipv6_loopback_is_this_machine_too(tmp_path: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with business(tmp_path, server={"host": "::1"}, sandbox=True) as b, ClientSession(b.url) as stranger:
        assert b.url.startswith("http://[::1]:")
        assert (await replace(b, client=stranger).get("/readyz")).status == 200
        refusal(await replace(b, client=stranger).get("/readyz", headers={"Host": "[2001:db8::1]"}), 401)


def _own_address() -> str | None:
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith(("127.", "0.")) else address
