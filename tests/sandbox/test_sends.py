"""The send API of the stand-in, over real sockets."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests.sandbox.conftest import PHONE, Business
from wabot.core import meta_errors
from wabot.core.exceptions import Blocked, Refused, Unavailable
from wabot.sandbox.behaviour import ANY, HTML, accept, cut_after, cut_before, error, hang, raw
from wabot.sandbox.ledger import Seen
from wabot.sandbox.meta import Meta, serve


async def test_a_send_is_accepted_as_meta_does(business: Business, meta: Meta) -> None:
    status, body, _ = await business.send("+91 98765-43210", biz_opaque_callback_data="job:1")
    assert status == 200
    wamid = body["messages"][0]["id"]
    assert body == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+91 98765-43210", "wa_id": PHONE}],
        "messages": [{"id": wamid}],
    }
    assert wamid.startswith("wamid.")
    [sent] = meta.sent
    assert (sent.wamid, sent.to, sent.type, sent.tag, sent.status) == (wamid, PHONE, "text", "job:1", 200)
    assert sent.payload["text"] == {"body": "Hello"}
    assert meta.attempts == meta.sent


async def test_a_bsuid_comes_back_as_user_id_without_wa_id(business: Business, meta: Meta) -> None:
    _, body, _ = await business.send(None, recipient="IN.abc123")
    assert body["contacts"] == [{"input": "IN.abc123", "user_id": "IN.abc123"}]
    assert meta.sent[0].to == "IN.abc123"


async def test_every_message_has_an_id_of_its_own(business: Business) -> None:
    bodies = [await business.send() for _ in range(20)]
    assert len({body["messages"][0]["id"] for _, body, _ in bodies}) == 20


@pytest.mark.parametrize(("token", "code"), [("wrong", 190), (None, 104)])
async def test_without_the_token_nobody_gets_in(business: Business, meta: Meta, token: str | None, code: int) -> None:
    status, body, _ = await business.post({}, token=token)
    assert (status, body["error"]["code"], body["error"]["type"]) == (401, code, "OAuthException")
    assert [(attempt.code, attempt.status) for attempt in meta.attempts] == [(code, 401)]


async def test_another_phone_number_id_does_not_exist(business: Business, meta: Meta) -> None:
    status, body, _ = await business.post({}, number="999")
    assert status == 400
    assert (body["error"]["code"], body["error"]["error_subcode"]) == (100, 33)
    assert "'999' does not exist" in body["error"]["message"]
    assert not meta.sent


async def test_a_bad_body_is_refused_and_recorded(business: Business, meta: Meta) -> None:
    status, body, _ = await business.send(body="x" * 4097)
    assert status == 400
    assert body["error"]["message"] == "(#100) Invalid parameter"
    assert "4096" in body["error"]["error_data"]["details"]
    assert body["error"]["fbtrace_id"]
    assert not meta.sent
    assert [(attempt.to, attempt.code) for attempt in meta.attempts] == [(PHONE, 100)]


async def test_what_is_not_json_is_refused(business: Business) -> None:
    headers = {"Authorization": "Bearer a-token"}
    url = f"{business.url}/v26.0/1234/messages"
    async with business.session.post(url, data=b"{nonsense", headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == 100


async def test_the_number_can_be_asked_for(business: Business) -> None:
    url = f"{business.url}/v26.0/1234"
    async with business.session.get(url, headers={"Authorization": "Bearer a-token"}) as response:
        shown = await response.json()
    assert (shown["id"], shown["display_phone_number"]) == ("1234", "15550001111")
    assert (shown["verified_name"], shown["throughput"]) == ("wabot sandbox", {"level": "STANDARD"})
    async with business.session.get(url) as response:
        assert response.status == 401


async def test_a_read_mark_is_no_message(business: Business, meta: Meta) -> None:
    mark = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.in"}
    status, body, _ = await business.post(mark | {"typing_indicator": {"type": "text"}})
    assert (status, body) == (200, {"success": True})
    assert meta.seen == [Seen("wamid.in", typing=True)]
    assert not meta.attempts


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(130429, Unavailable), (131056, Unavailable), (190, Blocked), (131047, Refused), (132001, Refused)],
)
async def test_errors_mean_to_wabot_what_they_should(
    business: Business, meta: Meta, code: int, meaning: type[Exception]
) -> None:
    meta.behaviour.script(ANY, [error(code, retry_after=7)])
    headers = {"Authorization": "Bearer a-token"}
    payload = {"messaging_product": "whatsapp", "to": PHONE, "text": {"body": "Hi"}}
    async with business.session.post(f"{business.url}/v26.0/1234/messages", json=payload, headers=headers) as response:
        assert response.headers["Retry-After"] == "7"
        with pytest.raises(meaning) as caught:
            meta_errors.read_answer(response.status, await response.read())
    assert caught.value.code == code
    assert [attempt.code for attempt in meta.attempts] == [code]
    assert not meta.sent


async def test_the_details_and_the_status_of_an_error_can_be_chosen(business: Business, meta: Meta) -> None:
    meta.behaviour.script(PHONE, [error(131016, http=503, details="Come back later.")])
    status, body, _ = await business.send()
    assert status == 503
    assert body["error"]["message"] == "(#131016) Service unavailable"
    assert body["error"]["error_data"] == {"messaging_product": "whatsapp", "details": "Come back later."}


async def test_meta_may_write_the_number_differently(business: Business, meta: Meta) -> None:
    meta.behaviour.script(ANY, [accept(wa_id="551187654321")])
    _, body, _ = await business.send("+5511987654321")
    assert body["contacts"] == [{"input": "+5511987654321", "wa_id": "551187654321"}]


async def test_a_slow_answer_takes_its_time(business: Business, meta: Meta) -> None:
    meta.behaviour.script(ANY, [accept(delay=0.1)])
    begun = time.monotonic()
    status, _, _ = await business.send()
    assert status == 200
    assert time.monotonic() - begun >= 0.1


async def test_cut_before_is_a_closed_connection_and_no_message(business: Business, meta: Meta) -> None:
    meta.behaviour.script(ANY, [cut_before()])
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await business.send()
    assert not meta.sent
    assert [attempt.status for attempt in meta.attempts] == [None]


async def test_cut_after_is_a_closed_connection_and_a_message_with_receipts(business: Business, meta: Meta) -> None:
    meta.behaviour.script(ANY, [cut_after()])
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await business.send()
    assert len(meta.sent) == 1
    await meta.until(lambda m: len(m.told) == 3)


@pytest.mark.parametrize("accepts", [True, False])
async def test_hang_keeps_the_sender_waiting_and_then_hangs_up(business: Business, meta: Meta, accepts: bool) -> None:
    meta.behaviour.script(ANY, [hang(0.1, accepts=accepts)])
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await business.send()
    assert len(meta.sent) == accepts


async def test_the_receipts_of_a_hanging_send_come_all_the_same(business: Business, meta: Meta) -> None:
    meta.behaviour.script(ANY, [hang(60, accepts=True)])
    sending = asyncio.create_task(business.send())
    await meta.until(lambda m: len(m.told) == 3)
    assert not sending.done()
    sending.cancel()


async def test_a_hanging_send_does_not_hold_up_the_end() -> None:
    meta = Meta(access_token="a-token", phone_number_id="1234")
    meta.behaviour.always(ANY, hang(60))
    runner, url = await serve(meta)
    async with aiohttp.ClientSession() as session:
        sending = asyncio.create_task(Business(session, url).send())
        await meta.until(lambda m: len(m.attempts) == 1)
        async with asyncio.timeout(2):
            await runner.cleanup()
        with pytest.raises(aiohttp.ClientError):
            await sending


@pytest.mark.parametrize("body", [HTML, b"", b"x" * 10_000_000], ids=["html", "empty", "10 MB"])
async def test_a_gateway_may_answer_instead_of_graph(business: Business, meta: Meta, body: bytes) -> None:
    meta.behaviour.script(ANY, [raw(502, body)])
    status, answer, headers = await business.send()
    assert (status, answer) == (502, body)
    assert headers["Content-Type"].startswith("text/html")
    assert not meta.sent


async def test_behind_a_gateways_page_a_message_may_have_been_accepted(business: Business, meta: Meta) -> None:
    meta.behaviour.script(ANY, [raw(504, HTML, accepts=True)])
    assert (await business.send())[0] == 504
    assert [sent.status for sent in meta.sent] == [504]
    await meta.until(lambda m: len(m.told) == 3)


async def test_who_sends_too_fast_is_told_so_and_counted(business: Business, meta: Meta) -> None:
    meta.behaviour.throughput = 2
    answers = await asyncio.gather(*(business.send() for _ in range(5)))
    assert sorted(status for status, _, _ in answers) == [200, 200, 429, 429, 429]
    assert meta.behaviour.breaches == {"throughput": 3}


async def test_until_says_what_there_was_when_its_time_is_up(business: Business, meta: Meta) -> None:
    await business.send()
    with pytest.raises(TimeoutError, match="1 attempts, 1 sent"):
        await meta.until(lambda m: len(m.sent) == 2, timeout=0.01)
