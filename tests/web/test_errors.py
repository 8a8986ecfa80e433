"""Errors: one shape for all; bodies of any kind; clients that are slow, rude or no clients at all."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.business import ANA, KEY, Business, business
from tests.web.shapes import refusal, wire
from wabot.service import Service
from wabot.web import history, request_bodies, request_fields, server

JSON = {"Content-Type": "application/json"}
FORGED = f"X-Hub-Signature-256: sha256={'0' * 64}\r\n"
"""Looks like a signature, so that the body of a webhook is read."""


async def post(b: Business, data: bytes, path: str = "/get", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await b.post(path, data=BytesIO(data), headers=JSON | named)


@pytest.mark.parametrize(
    "junk",
    [
        b"", b" ", b"{", b"number=1", b"{'number': 1}", b'{"number": NaN}', b'{"number": "1", "limit": Infinity}',
        b'{"number": 1e999}', b'{"number": 1' + b"0" * 5000 + b"}", b'"\xff"', b'{"number": "\\ud800"}', b"\x00",
        b'{"number": "1"} x', b'{"number": "\xed\xa0\x80"}', '{"number": "1"}'.encode("utf-16"), b"[" * 100_000,
    ],
    ids=lambda junk: repr(junk[:30]),
)  # fmt: skip
@pytest.mark.parametrize("path", ["/get", "/initiate-bulk"])
async def test_what_is_not_json_is_400(wabot: Business, path: str, junk: bytes) -> None:
    assert "JSON" in refusal(await post(wabot, junk, path), 400)


@pytest.mark.parametrize("value", [b"null", b"[]", b'"text"', b"17", b"true", b'[{"number": "1"}]'])
@pytest.mark.parametrize("path", ["/get", "/get-bulk", "/initiate-bulk"])
async def test_json_that_is_no_object_is_422(wabot: Business, path: str, value: bytes) -> None:
    refusal(await post(wabot, value, path), 422)


async def test_a_byte_order_mark_does_no_harm(wabot: Business) -> None:
    assert (await post(wabot, b"\xef\xbb\xbf" + json.dumps({"number": ANA}).encode())).status == 200


async def test_of_a_key_given_twice_the_last_one_counts(wabot: Business) -> None:
    assert (await post(wabot, f'{{"number": "12", "number": "{ANA}"}}'.encode())).status == 200


@pytest.mark.parametrize("levels", [40, 200, 900])
async def test_what_is_nested_too_deeply_is_422(wabot: Business, levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    value = f'{{"numbers": ["{ANA}"], "template": {{"name": "a", "components": [{deep}]}}}}'
    assert "nested" in refusal(await post(wabot, value.encode(), "/initiate-bulk"), 422)


async def test_every_wrong_place_is_named_and_long_lists_of_them_are_cut(wabot: Business) -> None:
    answer = await wabot.post("/get", {"number": None, "limit": -1, "colour": "red"})
    assert "number" in refusal(answer, 422)
    assert {detail["field"] for detail in answer.json["error"]["details"]} == {"number", "limit", "colour"}
    answer = await wabot.post("/initiate-bulk", {"numbers": [None] * 5000})
    assert len(answer.json["error"]["details"]) == 50


@pytest.mark.parametrize(
    ("method", "path", "value", "field"),
    [
        ("POST", "/get", {"number": "12"}, "number"),
        ("POST", "/get", {"number": "9" * 201}, "number"),
        ("POST", "/get", {"number": ANA, "before": "wamid.of-nobody"}, "before"),
        ("POST", "/messages", {"number": "12", "text": "Hi"}, "number"),
        ("POST", "/initiate-bulk", {"numbers": [ANA], "send_at": "2020-01-01T00:00:00Z"}, "send_at"),
        ("GET", "/contacts/12", None, "number"),
        ("GET", "/outbox?cursor=junk", None, "cursor"),
        ("GET", "/batches?cursor=junk", None, "cursor"),
        ("GET", "/events?cursor=junk", None, "cursor"),
    ],
)
async def test_what_is_wrong_in_one_field_names_it(
    wabot: Business, method: str, path: str, value: Any, field: str
) -> None:
    answer = await wabot.ask(method, path, **({} if value is None else {"json": value}))
    said = refusal(answer, 422)
    (detail,) = answer.json["error"]["details"]
    assert detail["field"] == field
    assert detail["message"] in said
    assert "item" not in said, "what is counted are characters"


async def test_each_recipient_that_is_not_well_formed_is_named_by_index(wabot: Business) -> None:
    recipients = [{"number": ANA} if place % 2 else {"number": ANA, "components": "x"} for place in range(300)]
    answer = await wabot.post("/initiate-bulk", {"recipients": recipients})
    assert refusal(answer, 422).startswith("recipients.0.components")
    assert [one["index"] for one in answer.json["error"]["details"]] == list(range(0, 200, 2))
    assert (await wabot.get("/outbox")).json["count"] == 0


async def test_what_was_wrong_is_not_repeated(wabot: Business) -> None:
    answer = await wabot.post("/get", {"number": "<script>" + "x" * 100_000})
    refusal(answer, 422)
    assert len(answer.body) < 1000
    assert b"script" not in answer.body
    answer = await wabot.post("/get", {"number": ANA, "<script>" + "x" * 100_000: 1})
    refusal(answer, 422)
    assert len(answer.body) < 2000


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
async def test_anything_but_json_is_415(wabot: Business, kind: str) -> None:
    assert "application/json" in refusal(await post(wabot, b"{}", Content_Type=kind), 415)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.api+json", "APPLICATION/JSON"])
async def test_json_by_any_name_is_taken(wabot: Business, kind: str) -> None:
    assert (await post(wabot, json.dumps({"number": ANA}).encode(), Content_Type=kind)).status == 200


async def test_a_packed_body_is_415(wabot: Business) -> None:
    packed = gzip.compress(json.dumps({"number": ANA}).encode())
    assert "Content-Encoding" in refusal(await post(wabot, packed, Content_Encoding="gzip"), 415)


@pytest.mark.parametrize(
    ("path", "value", "limit", "shown"),
    [
        ("/get", {"number": ANA}, history.QUESTION_LIMIT, "128 KiB"),
        ("/get-bulk", {"numbers": [ANA]}, history.BULK_QUESTION_LIMIT, "256 KiB"),
        ("/initiate-bulk", {"numbers": ["12"]}, request_bodies.API_LIMIT, "16 MiB"),
    ],
)
async def test_a_body_over_the_limit_is_413_and_one_at_the_limit_is_read(
    wabot: Business, path: str, value: dict[str, Any], limit: int, shown: str
) -> None:
    text = json.dumps(value).encode()
    at_limit = text + b" " * (limit - len(text))
    assert (await post(wabot, at_limit, path)).status == 200
    assert shown in refusal(await post(wabot, at_limit + b" ", path), 413)


@pytest.mark.parametrize("part", ["{}", "[]", "0", '""', "1.5", '{"a":0}'])
async def test_more_values_than_anybody_means_are_413_and_none_of_them_is_looked_at(wabot: Business, part: str) -> None:
    many = f'{{"numbers": [{",".join([part] * 1_000_001)}]}}'
    assert "values" in refusal(await post(wabot, many.encode(), "/initiate-bulk"), 413)


async def test_an_object_of_very_many_fields_is_refused_as_such(wabot: Business) -> None:
    fields = {f"field{n}": 0 for n in range(10_000)}
    assert "fields" in refusal(await wabot.post("/initiate-bulk", {"numbers": [ANA], **fields}), 422)
    template = {"name": "a", "components": [{"type": "body", **fields}]}
    assert "fields" in refusal(await wabot.post("/initiate-bulk", {"numbers": [ANA], "template": template}), 422)


async def test_a_message_far_beyond_what_meta_takes_is_refused(wabot: Business) -> None:
    component = {"type": "body", "parameters": [{"type": "text", "text": "x" * request_fields.MAX_CONTENT}]}
    template = {"name": "a", "components": [component]}
    assert "characters" in refusal(await wabot.post("/initiate-bulk", {"numbers": [ANA], "template": template}), 422)
    recipients = [{"number": ANA, "components": [component]}]
    said = refusal(await wabot.post("/initiate-bulk", {"recipients": recipients}), 422)
    assert said.startswith("recipients.0.components")


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/get/", "/outbox/a/b", "/batches/", "/.env", "/..%2f..%2fetc/passwd"]
)
async def test_an_unknown_path_is_404(wabot: Business, path: str) -> None:
    refusal(await wabot.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/get", {"POST"}),
        ("GET", "/initiate-bulk", {"POST"}),
        ("DELETE", "/webhook", {"GET", "HEAD", "POST"}),
        ("POST", "/readyz", {"GET", "HEAD"}),
        ("PUT", "/outbox", {"GET", "HEAD"}),
        ("OPTIONS", "/get-bulk", {"POST"}),
    ],
)
async def test_a_method_that_a_path_does_not_know_is_405_and_says_which_it_does(
    wabot: Business, method: str, path: str, allowed: set[str]
) -> None:
    answer = await wabot.ask(method, path)
    refusal(answer, 405)
    assert set(answer.headers["Allow"].split(",")) == allowed


async def test_head_has_no_body(wabot: Business) -> None:
    answer = await wabot.ask("HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")


async def test_a_bug_is_a_500_that_tells_nothing(wabot: Business, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret is in /etc/passwd")

    monkeypatch.setattr(Service, "history", broken)
    answer = await wabot.post("/get", {"number": ANA})
    refusal(answer, 500)
    assert b"secret" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert "the secret is in" in capsys.readouterr().out  # this log line is expected: it is taken from the fixture


@pytest.fixture
async def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Business]:
    """wabot without patience."""
    monkeypatch.setattr(request_bodies, "READ_SECONDS", 0.2)
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.4)
    async with business(tmp_path / "data") as b:
        yield b


@pytest.mark.parametrize("path", ["/get", "/webhook"])
async def test_a_body_that_dribbles_in_is_given_up(quick: Business, path: str) -> None:
    async with wire(quick) as connection:
        await connection.say(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
            f"{FORGED}Content-Length: 1000\r\n\r\n"
        )

        async def dribble() -> None:
            while True:
                await connection.say("x")
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        answer = await connection.answer()
        refusal(answer, 408)
        assert answer.headers["Connection"] == "close"
        dribbling.cancel()


async def test_headers_that_dribble_in_are_given_up(quick: Business) -> None:
    async with wire(quick) as connection:
        await connection.say("POST /webhook HTTP/1.1\r\nHost: localhost\r\n")

        async def dribble() -> None:
            while True:
                await connection.say("X-Slow: 1\r\n")
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        assert await connection.ended()
        dribbling.cancel()


async def test_a_connection_that_says_nothing_is_given_up(quick: Business) -> None:
    async with wire(quick) as connection:
        assert await connection.ended()


async def test_those_who_hang_hold_up_nobody(wabot: Business) -> None:
    head = f"POST /webhook HTTP/1.1\r\nHost: localhost\r\n{FORGED}Content-Length: 100\r\n\r\nx"
    connections = [wire(wabot) for _ in range(100)]
    opened = [await connection.__aenter__() for connection in connections]
    for connection in opened:
        await connection.say(head)
    async with asyncio.timeout(3):
        assert (await wabot.get("/readyz")).status == 200
        assert (await wabot.meta.say("Hi"))[1] == 200
    for connection in connections:
        await connection.__aexit__(None, None, None)
    async with asyncio.timeout(3):
        assert (await wabot.get("/healthz")).status == 200


@pytest.mark.parametrize("path", ["/get", "/webhook", "/initiate-bulk"])
async def test_who_hangs_up_in_the_middle_breaks_nothing(wabot: Business, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n{FORGED}Content-Type: application/json\r\n"
    for rest in ("Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\nab", ""):
        async with wire(wabot) as connection:
            await connection.say(head + rest)
            await asyncio.sleep(0.02)
            connection.hang_up()
    assert (await wabot.get("/healthz")).status == 200


@pytest.mark.parametrize("chunks", ["zz\r\n", "5\r\nabcdefgh\r\n", "-5\r\nx", "ffffffffffffffffff\r\nx"])
async def test_a_body_that_is_garbled_on_the_way_is_400(wabot: Business, chunks: str) -> None:
    head = f"POST /webhook HTTP/1.1\r\nHost: localhost\r\n{FORGED}Transfer-Encoding: chunked\r\n\r\n"
    async with wire(wabot) as connection:
        await connection.say(head + chunks)
        refusal(await connection.answer(), 400)


@pytest.mark.parametrize(
    "junk",
    [
        "hello\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "FROBNICATE /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nNo colon\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + "x" * 9000 + "\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n" + "X" * 9000 + ": x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n" + "X: x\r\n" * 200 + "\r\n",
        "GET /healthz?" + "x" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /get HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /get HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
        "POST /get HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    ],
    ids=lambda junk: repr(junk[:40]),
)
async def test_what_is_not_http_is_400_in_the_shape_of_all_errors_and_the_end(wabot: Business, junk: str) -> None:
    async with wire(wabot) as connection:
        await connection.say(junk)
        refusal(await connection.answer(), 400)
        assert await connection.ended()


async def test_junk_behind_a_good_request_spoils_only_itself(wabot: Business) -> None:
    good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with wire(wabot) as connection:
        await connection.say(good * 3)
        for _ in range(3):
            assert (await connection.answer()).status == 200
        await connection.say(good)
        assert (await connection.answer()).status == 200
        await connection.say("junk\r\n\r\n" + good)
        refusal(await connection.answer(), 400)
        assert await connection.ended()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
        ("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-API-Key: " + KEY + "\r\n\r\n", 404),
        ("PUT /webhook HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("POST /webhook HTTP/1.1\r\nHost: localhost\r\nExpect: the moon\r\n\r\n", 417),
        ("POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 401),
        ("\x16\x03\x01\x02\x00\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-API-Key: " + KEY + "\r\n\r\n", 200),
    ],
    ids=lambda part: repr(part)[:40],
)
async def test_no_answer_tells_a_version_or_lets_a_browser_guess_what_it_is(
    wabot: Business, said: str, status: int
) -> None:
    async with wire(wabot) as connection:
        await connection.say(said)
        answer = await connection.answer()
    assert answer.status == status
    assert answer.headers["Server"] == "wabot"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_our_connections_are_the_ones_in_use(wabot: Business) -> None:
    """The pin of `Runner._make_server`: without it, junk would be answered by aiohttp."""
    runner = server.Runner(web.Application(), shutdown_timeout=1)
    await runner.setup()
    assert isinstance(runner.server, server._Server)
    reading = runner.server()
    assert isinstance(reading, server._InPieces)
    assert isinstance(reading._connection, server._Connection)
    await runner.cleanup()
