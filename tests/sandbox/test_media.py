"""Files at Meta's: up, looked up, down, deleted; and links that Meta must fetch by itself."""

from __future__ import annotations

import base64
import hashlib
import io

import aiohttp
import pytest

from tests.sandbox.conftest import PHONE, TOKEN, Business, Webhook
from wabot.sandbox import payloads
from wabot.sandbox.meta import Meta
from wabot.sandbox.people import user_id_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def form(content: bytes = PNG, type_: str = "image/png", **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field("file", io.BytesIO(content), filename="a.png", content_type=type_)
    for name, text in ({"messaging_product": "whatsapp", "type": type_} | fields).items():
        data.add_field(name, text)
    return data


async def fetched(business: Business, url: str, token: str | None = TOKEN) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with business.session.get(url, headers=headers) as response:
        return response.status, await response.read()


async def test_a_file_goes_up_is_found_comes_down_and_is_deleted(business: Business) -> None:
    _, up = await business.graph("POST", "1234/media", data=form())
    _, found = await business.graph("GET", up["id"])
    assert (found["mime_type"], found["file_size"], found["id"]) == ("image/png", len(PNG), up["id"])
    assert found["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert await fetched(business, found["url"]) == (200, PNG)
    assert await business.graph("DELETE", f"{up['id']}?phone_number_id=1234") == (200, {"success": True})
    assert (await business.graph("GET", up["id"]))[1]["error"]["error_subcode"] == 33
    assert (await fetched(business, found["url"]))[0] == 404


async def test_the_address_needs_the_token_is_not_to_be_forged_and_ends(business: Business, meta: Meta) -> None:
    _, up = await business.graph("POST", "1234/media", data=form())
    _, found = await business.graph("GET", up["id"])
    assert (await fetched(business, found["url"], token=None))[0] == 401
    assert (await fetched(business, found["url"].replace("hash=", "hash=0")))[0] == 404
    real = meta.media._clock
    meta.media._clock = lambda: real() + 301
    assert (await fetched(business, found["url"]))[0] == 404
    _, again = await business.graph("GET", up["id"])
    assert (await fetched(business, again["url"]))[0] == 200
    meta.media._clock = lambda: real() + 31 * 86400
    assert (await business.graph("GET", up["id"]))[0] == 400


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (form(b""), 131053),
        (form(bytes(5 * 1024 * 1024 + 1)), 131053),
        (form(type_="image/gif"), 100),
        (form(type_="application/octet-stream"), 100),
        (form(messaging_product="signal"), 100),
        ({"messaging_product": "whatsapp"}, 100),
    ],
    ids=["empty", "too large", "gif", "bytes", "product", "no file"],
)
async def test_what_meta_does_not_keep(business: Business, data: aiohttp.FormData, code: int) -> None:
    status, body = await business.graph("POST", "1234/media", data=data)
    assert (status, body["error"]["code"]) == (400, code)


async def test_a_file_is_sent_by_its_id_and_an_unknown_one_refused(business: Business) -> None:
    _, up = await business.graph("POST", "1234/media", data=form())
    assert (await business.send(type="image", image={"id": up["id"]}, text=None))[0] == 200
    status, body, _ = await business.send(type="image", image={"id": "5"}, text=None)
    assert status == 400
    assert "media attachment ID" in body["error"]["error_data"]["details"]


async def test_a_link_that_cannot_be_fetched_fails_afterwards(business: Business, meta: Meta, webhook: Webhook) -> None:
    async def outcome(**content: object) -> list[tuple[str, int | None]]:
        before = len(meta.told)
        assert (await business.send(text=None, **content))[0] == 200
        await meta.until(lambda m: len(m.told) > before and m.told[-1].status in ("failed", "read"))
        told = webhook.told("statuses")[before:]
        return [(status["status"], status.get("errors", [{}])[0].get("code")) for status in told]

    gone = "http://127.0.0.1:9/a.png"
    assert await outcome(type="image", image={"link": gone}) == [("failed", 131053)]
    assert await outcome(type="document", document={"link": "http://"}) == [("failed", 131053)]
    header = {"type": "button", "header": {"type": "image", "image": {"link": gone}}, "body": {"text": "Well?"}}
    header["action"] = {"buttons": [{"type": "reply", "reply": {"id": "1", "title": "Yes"}}]}
    assert await outcome(type="interactive", interactive=header) == [("failed", 131053)]
    there = webhook.url.replace("/webhook", "/files/image/png")
    assert [status for status, _ in await outcome(type="image", image={"link": there})] == ["sent", "delivered", "read"]
    page = webhook.url.replace("/webhook", "/files/text/html")
    assert await outcome(type="image", image={"link": page}) == [("failed", 131053)]
    meta.fetch_links = False
    assert [status for status, _ in await outcome(type="image", image={"link": gone})] == ["sent", "delivered", "read"]


@pytest.mark.parametrize(
    ("mime_type", "kind", "words"),
    [
        ("image/webp", "image", "Unsupported Image mime type image/webp. Please use one of image/jpeg, image/png."),
        ("audio/opus", "audio", "Unsupported Audio mime type audio/opus. Please use one of audio/ogg, "),
        ("image/png", "video", "Unsupported Video mime type image/png. Please use one of video/mp4, "),
        ("image/png", "sticker", "Unsupported Sticker mime type image/png. Please use one of image/webp."),
    ],
)
async def test_a_file_of_the_wrong_type_is_kept_and_fails_when_it_is_sent(
    business: Business, meta: Meta, webhook: Webhook, mime_type: str, kind: str, words: str
) -> None:
    _, up = await business.graph("POST", "1234/media", data=form(type_=mime_type))
    assert (await business.send(type=kind, text=None, **{kind: {"id": up["id"]}}))[0] == 200
    await meta.until(lambda m: bool(m.told))
    [status] = webhook.told("statuses")
    assert (status["status"], status["errors"][0]["code"]) == ("failed", 131053)
    assert status["errors"][0]["error_data"]["details"].startswith(words)


@pytest.mark.parametrize(
    "said", [payloads.image("A cat"), payloads.audio(), payloads.video(), payloads.document(), payloads.sticker()]
)
async def test_what_people_send_can_be_downloaded(
    business: Business, meta: Meta, webhook: Webhook, said: payloads.Json
) -> None:
    await meta.say(said, from_=PHONE)
    [message] = webhook.told("messages")
    told = message[message["type"]]
    _, found = await business.graph("GET", told["id"])
    status, content = await fetched(business, found["url"])
    assert status == 200
    assert base64.b64encode(hashlib.sha256(content).digest()).decode() == told["sha256"]
    assert await fetched(business, told["url"]) == (200, content)
    assert found["mime_type"] == told["mime_type"]


async def test_people_may_send_a_file_of_their_own(business: Business, meta: Meta, webhook: Webhook) -> None:
    await meta.say(payloads.document("a.txt", mime_type="text/plain"), from_=PHONE, content=b"Hello")
    [message] = webhook.told("messages")
    assert (await fetched(business, message["document"]["url"]))[1] == b"Hello"
    assert message["from_user_id"] == user_id_of(PHONE)


async def test_a_file_may_come_in_pieces(business: Business) -> None:
    _, made = await business.graph("POST", "app/uploads?file_name=a.png&file_length=6&file_type=image/png")
    for offset, piece in ((0, b"one"), (3, b"two")):
        headers = {"file_offset": str(offset), "Authorization": f"OAuth {TOKEN}"}
        async with business.session.post(f"{business.url}/{made['id']}", data=piece, headers=headers) as response:
            assert (await response.json())["h"].startswith("4::")
    assert (await business.graph("GET", made["id"]))[1]["file_offset"] == 6
    assert (await business.graph("POST", made["id"], data=b"again"))[0] == 400
    assert (await business.graph("POST", "app/uploads?file_length=x"))[0] == 400
