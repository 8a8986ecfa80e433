"""GET and POST /webhook, as the contract has them."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, Answer, Business, business
from tests.web.shapes import refusal, rows, wire
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import ANY, accept
from wabot.web import request_bodies as bodies

SECRET = "sandbox-secret"
RIGHT = {"hub.mode": "subscribe", "hub.verify_token": "sandbox-verify", "hub.challenge": "1158201444"}


async def deliver(b: Business, body: bytes, signature: str | None = "") -> Answer:
    """POST bytes; signed by us if no signature is given, without one if it is None."""
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    if signature is not None:
        headers["X-Hub-Signature-256"] = signature or payloads.sign(body, SECRET)
    return await b.post("/webhook", data=BytesIO(body), headers=headers)


def saying(b: Business, *wamids: str, person: str = ANA) -> bytes:
    """A webhook with text messages."""
    texts = [payloads.inbound(payloads.text("Hi"), wamid, time.time(), from_=person, user_id=None) for wamid in wamids]
    return payloads.encode(b.meta.envelope(messages=texts, contacts=[payloads.contact(person, None, "Ana")]))


def stored(b: Business) -> list[str]:
    return [row[0] for row in rows(b, "SELECT wamid FROM messages WHERE direction = 'in' ORDER BY id")]


async def test_the_handshake_returns_the_bare_challenge_as_text(wabot: Business) -> None:
    answer = await wabot.get("/webhook", params=RIGHT)
    assert (answer.status, answer.body) == (200, b"1158201444")
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    "wrong",
    [
        {"hub.verify_token": "wrong"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "sandbox-verif\u00fd"},
        {"hub.mode": "unsubscribe"},
        {"hub.mode": ""},
    ],
    ids=str,
)
async def test_a_handshake_with_something_wrong_is_refused(wabot: Business, wrong: dict[str, str]) -> None:
    assert "verify_token" in refusal(await wabot.get("/webhook", params=RIGHT | wrong), 403)


@pytest.mark.parametrize("missing", RIGHT)
async def test_a_handshake_with_something_missing_is_refused(wabot: Business, missing: str) -> None:
    refusal(await wabot.get("/webhook", params={k: v for k, v in RIGHT.items() if k != missing}), 403)


async def test_nobody_can_shake_hands_while_no_token_is_set(tmp_path: Path) -> None:
    async with business(tmp_path, whatsapp={"verify_token": ""}) as b:
        refusal(await b.get("/webhook", params=RIGHT | {"hub.verify_token": ""}), 403)


async def test_a_verify_token_may_have_any_letters(tmp_path: Path) -> None:
    async with business(tmp_path, whatsapp={"verify_token": "schön €"}) as b:
        answer = await b.get("/webhook", params=RIGHT | {"hub.verify_token": "schön €"})
        assert answer.status == 200


async def test_a_delivery_is_on_disk_when_it_is_answered(wabot: Business) -> None:
    answer = await deliver(wabot, saying(wabot, "wamid.1", "wamid.2"))
    assert answer.status == 200
    assert answer.json == {"received": 2, "stored": 2}
    assert stored(wabot) == ["wamid.1", "wamid.2"]


async def test_a_delivery_that_comes_again_is_received_and_not_stored(wabot: Business) -> None:
    await deliver(wabot, saying(wabot, "wamid.1"))
    assert (await deliver(wabot, saying(wabot, "wamid.1"))).json == {"received": 1, "stored": 0}
    assert (await deliver(wabot, saying(wabot, "wamid.1", "wamid.2"))).json == {"received": 2, "stored": 1}
    assert stored(wabot) == ["wamid.1", "wamid.2"]


async def test_the_same_delivery_twenty_times_at_once_is_stored_and_answered_once(wabot: Business) -> None:
    body = saying(wabot, "wamid.1")
    answers = await asyncio.gather(*(deliver(wabot, body) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert sum(answer.json["stored"] for answer in answers) == 1
    await wabot.meta.until(lambda meta: bool(meta.sent))
    assert [sent.to for sent in wabot.meta.attempts] == [ANA]


@pytest.mark.parametrize(
    "forged",
    [
        None,
        "sha256=",
        "sha256=" + "0" * 64,
        "sha1=0123456789012345678901234567890123456789",
        "sha256=g\u00fcltig",
        "gibberish",
        payloads.sign(b"something else", SECRET),
    ],
    ids=repr,
)
async def test_a_missing_or_wrong_signature_is_401_and_nothing_is_stored(wabot: Business, forged: str | None) -> None:
    answer = await deliver(wabot, saying(wabot, "wamid.1"), forged)
    assert "app_secret" in refusal(answer, 401)
    junk = await deliver(wabot, b"not JSON", forged)
    refusal(junk, 401)
    assert stored(wabot) == []
    assert rows(wabot, "SELECT * FROM notices") == []
    assert rows(wabot, "SELECT * FROM contacts") == []


async def test_a_signature_by_another_secret_is_401(wabot: Business) -> None:
    body = saying(wabot, "wamid.1")
    refusal(await deliver(wabot, body, payloads.sign(body, SECRET + "x")), 401)


async def test_the_signature_is_over_the_raw_bytes(wabot: Business) -> None:
    body = saying(wabot, "wamid.1").replace(b'"Hi"', '"\\u0048i \\/ ö"'.encode())
    same_meaning = json.dumps(json.loads(body)).encode()
    refusal(await deliver(wabot, same_meaning, payloads.sign(body, SECRET)), 401)
    assert (await deliver(wabot, body)).json == {"received": 1, "stored": 1}


async def test_raw_means_before_any_decoding(wabot: Business) -> None:
    body, packed = saying(wabot, "wamid.1"), gzip.compress(saying(wabot, "wamid.1"))
    headers = {"Content-Encoding": "gzip"}
    signed = headers | {"X-Hub-Signature-256": payloads.sign(body, SECRET)}
    refusal(await wabot.post("/webhook", data=packed, headers=signed), 401)
    assert stored(wabot) == []


async def test_unsigned_deliveries_are_taken_only_where_the_settings_say_so(tmp_path: Path) -> None:
    async with business(tmp_path, whatsapp={"app_secret": "", "allow_unsigned": True}) as b:
        assert (await deliver(b, saying(b, "wamid.1"), None)).json == {"received": 1, "stored": 1}


async def test_a_secret_is_checked_even_where_unsigned_deliveries_would_be_allowed(tmp_path: Path) -> None:
    async with business(tmp_path, whatsapp={"allow_unsigned": True}) as b:
        refusal(await deliver(b, saying(b, "wamid.1"), None), 401)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"17",
        b'{"object":"page"}',
        b'{"entry":{"changes":[]}}',
        b"[" * 100_000,
        b'{"a":"\\ud800\\u0000"}',
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_genuine_but_unreadable_is_kept_raw_and_answered_200(wabot: Business, body: bytes) -> None:
    answer = await deliver(wabot, body)
    assert (answer.status, answer.json) == (200, {"received": 0, "stored": 0})
    text = body.decode(errors="replace").replace("\0", "\ufffd")
    assert rows(wabot, "SELECT raw FROM notices") == [(text[:65_536],)]


async def test_readable_messages_beside_junk_are_stored(wabot: Business) -> None:
    payload = json.loads(saying(wabot, "wamid.1"))
    payload["entry"][:0] = [None, {"changes": "?"}, {"changes": [{"value": {"messages": [{"id": None}, 5]}}]}]
    answer = await deliver(wabot, json.dumps(payload).encode())
    assert answer.status == 200
    assert answer.json["stored"] == 1
    assert stored(wabot) == ["wamid.1"]


def padded(b: Business, size: int) -> bytes:
    body = saying(b, "wamid.1")
    return body + b" " * (size - len(body))


async def test_four_mebibytes_are_taken_and_one_byte_more_is_not(wabot: Business) -> None:
    assert "4 MiB" in refusal(await deliver(wabot, padded(wabot, (4 << 20) + 1)), 413)
    assert stored(wabot) == []
    assert (await deliver(wabot, padded(wabot, 4 << 20))).json == {"received": 1, "stored": 1}


FORGED = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
"""Looks like a signature: only the whole body tells that it is none."""


async def test_a_body_that_does_not_tell_its_size_is_bounded_too(wabot: Business) -> None:
    async def endless() -> Any:
        for _ in range(80):
            yield b"x" * (64 << 10)

    refusal(await wabot.post("/webhook", data=endless(), headers=FORGED), 413)


@pytest.mark.parametrize(
    "signature", [None, "", "sha256=", "sha1=" + "0" * 40, "sha256=" + "0" * 63, "sha256=" + "g" * 64, "0" * 64]
)
async def test_what_cannot_be_signed_is_refused_before_its_body_is_read(wabot: Business, signature: str | None) -> None:
    async with wire(wabot) as connection:
        header = "" if signature is None else f"X-Hub-Signature-256: {signature}\r\n"
        await connection.say(f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {4 << 20}\r\n{header}\r\n")
        assert "whatsapp.app_secret" in refusal(await connection.answer(), 401)


async def test_when_too_much_is_sent_at_once_the_slowest_gives_way_and_nobody_is_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "IN_FLIGHT", 2 << 20)
    async with business(tmp_path / "data") as b, AsyncExitStack() as stack:
        head = f"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: {FORGED['X-Hub-Signature-256']}\r\n"
        slow = [await stack.enter_async_context(wire(b)) for _ in range(5)]
        for connection in slow:
            await connection.say(head + f"Content-Length: {1 << 20}\r\n\r\n" + "x" * (900 << 10))

        for connection in slow[:3]:
            answer = await connection.answer()
            assert "at once" in refusal(answer, 503)
            assert int(answer.headers["Retry-After"]) > 0
        assert (await deliver(b, padded(b, 1 << 20))).json == {"received": 1, "stored": 1}
        refusal(await slow[3].answer(), 503)
        await slow[4].say("x" * (124 << 10))
        refusal(await slow[4].answer(), 401)


async def test_one_body_larger_than_all_the_room_there_is_gives_way_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "IN_FLIGHT", 1 << 20)
    async with business(tmp_path / "data") as b:
        refusal(await deliver(b, padded(b, 4 << 20)), 503)
        refusal(
            await b.post(
                "/initiate-bulk", data=BytesIO(b" " * (4 << 20)), headers={"Content-Type": "application/json"}
            ),
            503,
        )
        assert (await deliver(b, padded(b, 1 << 19))).status == 200


async def test_who_is_refused_early_gets_the_answer_while_still_sending(wabot: Business) -> None:
    async with wire(wabot) as connection:
        await connection.say(f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {64 << 20}\r\n\r\n" + "x" * 9999)
        answer = await connection.answer()
        refusal(answer, 413)
        assert answer.headers["Connection"] == "close"
        for _ in range(64):
            await connection.say(b"x" * (1 << 20))
        assert await connection.ended()
    assert (await deliver(wabot, saying(wabot, "wamid.1"))).status == 200


@contextmanager
def locked(b: Business) -> Iterator[None]:
    """Another process writes and does not stop."""
    with closing(sqlite3.connect(b.settings.server.data_dir / "wabot.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


async def test_while_the_journal_cannot_be_written_meta_is_told_to_come_again(wabot: Business) -> None:
    await wabot.journal.writer(lambda db: db.execute("PRAGMA busy_timeout = 10") and None)
    body = saying(wabot, "wamid.1")
    with locked(wabot):
        answer = await deliver(wabot, body)
        refusal(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
        ready = await wabot.get("/readyz")
        refusal(ready, 503)
        assert (ready.json["ready"], ready.json["journal"]) == (False, "down")
        refusal(await wabot.post("/initiate-bulk", {"numbers": [BEN]}), 503)
        assert (await wabot.post("/get", {"number": ANA})).status == 200
        assert (await wabot.get("/healthz")).status == 200
    assert (await deliver(wabot, body)).json == {"received": 1, "stored": 1}
    assert (await wabot.get("/readyz")).status == 200


async def test_the_answer_does_not_wait_for_graph(wabot: Business) -> None:
    wabot.meta.behaviour.always(ANY, accept(delay=0.7))
    await wabot.meta.say("Hi", from_=ANA)
    await wabot.meta.until(lambda meta: bool(meta.attempts))
    before = len(wabot.meta.told)
    for n in range(5):
        assert (await wabot.meta.say("Hi", from_=BEN, wamid=f"wamid.{n}"))[1] == 200
    assert len(wabot.meta.told) == before, "Graph answered in the meantime: nothing was shown"


async def test_status_updates_are_applied_and_cause_no_reply(wabot: Business) -> None:
    await wabot.post("/initiate-bulk", {"numbers": [ANA]})
    await wabot.meta.until(lambda meta: len(meta.told) == 3)
    wamid = wabot.meta.sent[0].wamid
    receipt = payloads.receipt(wamid, "played", 1.8e9, wa_id=ANA, user_id=None, tag=None)
    answer = await deliver(wabot, payloads.encode(wabot.meta.envelope(statuses=[receipt])))
    assert answer.json == {"received": 0, "stored": 0}
    message = (await wabot.post("/get", {"number": ANA})).json["messages"][0]
    assert message["status"] == "played"
    assert rows(wabot, "SELECT count(*) FROM jobs WHERE kind = 'reply'") == [(0,)]
    assert len(wabot.meta.attempts) == 1


async def test_webhooks_for_a_number_to_be_ignored_are_answered_and_forgotten(tmp_path: Path) -> None:
    whatsapp = {"phone_number_id": "1", "ignore_phone_number_ids": ["100000000000001"]}
    async with business(tmp_path / "data", whatsapp=whatsapp) as b:
        assert (await b.meta.say("Hi", from_=ANA))[1] == 200
    async with business(tmp_path / "data", meta=b.meta) as b:
        assert (await b.post("/get", {"number": ANA})).json["count"] == 0
