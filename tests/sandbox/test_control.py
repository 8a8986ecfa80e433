"""The stand-in steered from outside, and as a process of its own."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp
import pytest

from tests.sandbox.conftest import PHONE, Business, Webhook
from wabot.sandbox.meta import Meta
from wabot.sandbox.webhooks import SOMEBODY


async def post(business: Business, path: str, body: Any) -> tuple[int, Any]:
    async with business.session.post(f"{business.url}/sandbox/{path}", json=body) as response:
        return response.status, await response.json()


async def get(business: Business, path: str) -> Any:
    async with business.session.get(f"{business.url}/sandbox/{path}") as response:
        return await response.json()


async def test_somebody_can_be_made_to_speak(business: Business, webhook: Webhook) -> None:
    status, body = await post(business, "say", {"from": PHONE, "text": "Hi"})
    assert (status, body["webhook_status"]) == (200, 200)
    image = {"type": "image", "image": {"id": "1"}}
    await post(business, "say", {"user_id": "IN.abc", "message": image, "wamid": "wamid.x", "times": 2})
    first, second, third = webhook.told("messages")
    assert (first["from"], first["text"], first["id"]) == (PHONE, {"body": "Hi"}, body["id"])
    assert (second["from_user_id"], second["image"]["id"], second["id"]) == ("IN.abc", "1", "wamid.x")
    assert third == second


async def test_answers_can_be_scripted(business: Business) -> None:
    answers = [{"kind": "error", "code": 131016}, {"kind": "raw", "status": 502, "body": "<html>"}]
    assert await post(business, "script", {"number": f"+{PHONE}", "answers": answers}) == (
        200,
        {"number": PHONE, "answers": 2},
    )
    await post(business, "script", {"always": True, "answers": [{"kind": "error", "code": 4}]})
    assert [(await business.send())[0] for _ in range(3)] == [500, 502, 400]


@pytest.mark.parametrize(
    "body", [[], {"answers": [{"kind": "explode"}]}, {"answers": [{"kind": "error", "colour": 1}]}, {"answers": ["x"]}]
)
async def test_a_script_that_makes_no_sense_is_refused(business: Business, body: Any) -> None:
    status, answer = await post(business, "script", body)
    assert status == 400
    assert answer["error"]["message"]


async def test_to_speak_nonsense_or_to_nobody_is_refused(business: Business, meta: Meta) -> None:
    assert (await post(business, "say", {"text": "Hi", "colour": {}, "times": "x"}))[0] == 400
    meta.webhook_url = None
    assert (await post(business, "say", {"text": "Hi"}))[0] == 400


async def test_somebody_can_be_given_a_username_a_bsuid_and_a_number(business: Business, webhook: Webhook) -> None:
    status, person = await post(business, "person", {"number": f"+{PHONE}", "username": "ana", "hides_number": True})
    assert (status, person["username"], person["number"]) == (200, "ana", PHONE)
    await post(business, "say", {"from": PHONE, "text": "Hi"})
    assert "from" not in webhook.told("messages")[0]
    _, renamed = await post(business, "person", {"number": PHONE, "new_user_id": True})
    assert webhook.told("messages")[1]["system"]["previous_user_id"] == person["user_id"] != renamed["user_id"]
    _, moved = await post(business, "person", {"number": PHONE, "new_number": "+919000000000"})
    assert (moved["number"], webhook.told("messages")[2]["system"]["type"]) == ("919000000000", "user_changed_number")
    assert (await post(business, "person", {"username": "nobody"}))[0] == 400
    assert (await post(business, "person", {"number": PHONE, "colour": 1}))[0] == 400


async def test_meta_can_be_made_to_decide_and_to_tell(business: Business, webhook: Webhook) -> None:
    paused = {"name": "hello_world", "language": "en_US", "status": "PAUSED"}
    assert await post(business, "template", paused) == (200, {"webhook_status": 200})
    assert (await business.template("hello_world"))[1]["error"]["code"] == 132015
    assert (await post(business, "template", {"name": "nobody", "language": "en"}))[0] == 400
    news = {"field": "account_update", "value": {"event": "ACCOUNT_RESTRICTION"}}
    assert await post(business, "news", news) == (200, {"webhook_status": 200})
    fields = [payload["entry"][0]["changes"][0]["field"] for payload in webhook.taken]
    assert fields == ["message_template_status_update", "account_update"]
    assert (await post(business, "news", {"field": "x"}))[0] == 400


async def test_what_was_sent_can_be_asked_for(business: Business) -> None:
    await business.send(body="one")
    await business.send(body="x" * 5000)
    await business.send(body="two")
    sent = await get(business, "sent?after=1")
    assert sent["count"] == 2
    assert [message["payload"]["text"]["body"] for message in sent["messages"]] == ["two"]
    attempts = await get(business, "attempts")
    assert [message["code"] for message in attempts["messages"]] == [None, 100, None]
    await post(business, "clear", {})
    assert (await get(business, "attempts"))["count"] == 0


async def test_what_was_refused_can_be_mended(business: Business, meta: Meta) -> None:
    told: list[bool] = []
    meta.on_mended = lambda: told.append(True)
    await post(business, "script", {"always": True, "answers": [{"kind": "error", "code": 190}]})
    assert (await business.send())[0] == 401
    assert await post(business, "mend", {}) == (200, {"success": True})
    assert ((await business.send())[0], told) == (200, [True])


async def test_it_runs_as_a_process_of_its_own(webhook: Webhook) -> None:
    options = ["--token", "a-token", "--phone-number-id", "1234", "--app-secret", "a-secret", "--receipt-delay", "0"]
    options += ["--refuse-late"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wabot.sandbox", "--webhook-url", webhook.url, *options, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), 10)).decode().strip()
        async with aiohttp.ClientSession() as session:
            business = Business(session, url)
            status, body, _ = await business.send("919876540004")
            assert (status, body["error"]["code"]) == (400, 131047)
            said_status, _ = await post(business, "say", {"text": "Hi"})
            assert said_status == 200
            status, body, _ = await business.send(SOMEBODY)
            assert status == 200
            assert (await get(business, "sent"))["messages"][0]["wamid"] == body["messages"][0]["id"]
    finally:
        process.terminate()
    assert await asyncio.wait_for(process.wait(), 5) == 0
    assert webhook.told("messages")[0]["text"] == {"body": "Hi"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://shop.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "shop.example"},
        {"X-Forwarded-For": "192.0.2.1"},
    ],
)
async def test_no_page_in_a_browser_speaks_for_a_person_or_reads_what_was_sent(
    business: Business, webhook: Webhook, headers: dict[str, str]
) -> None:
    said, url = {"from": PHONE, "text": "Hi"}, f"{business.url}/sandbox"
    async with business.session.post(f"{url}/say", json=said, headers=headers) as response:
        assert response.status == 403
    async with business.session.get(f"{url}/sent", headers=headers) as response:
        assert (response.status, "messages" in await response.text()) == (403, False)
    assert webhook.told("messages") == []
