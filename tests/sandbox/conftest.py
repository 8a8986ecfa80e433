"""A business at the other end of the stand-in: a webhook that checks signatures, and a client that sends."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, web

from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta, serve

SECRET = "a-secret"
TOKEN = "a-token"
PHONE = "919876543210"


@dataclass
class Webhook:
    """Takes what Meta tells. `statuses`: what to answer to the next requests; then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str | None] = field(default_factory=list)

    async def post(self, request: web.Request) -> web.Response:
        body, signature = await request.read(), request.headers.get("X-Hub-Signature-256")
        self.bodies.append(body)
        self.signatures.append(signature)
        true = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        if signature != true:
            return web.json_response({"error": "signature"}, status=401)
        if self.statuses:
            return web.json_response({}, status=self.statuses.pop(0))
        self.taken.append(json.loads(body))
        return web.json_response({"received": 1, "stored": 1})

    async def get(self, request: web.Request) -> web.Response:
        if request.query["hub.mode"] != "subscribe" or request.query["hub.verify_token"] != "a-word":
            return web.Response(status=403)
        return web.Response(text=request.query["hub.challenge"])

    async def file(self, request: web.Request) -> web.Response:
        """Something to send by link, of the MIME type that its address names."""
        return web.Response(body=b"file", content_type=request.match_info["type"])

    def told(self, list_name: str) -> list[dict[str, Any]]:
        """All entries of `statuses` or `messages`, in the order they were told."""
        return [entry for payload in self.taken for entry in value(payload).get(list_name, [])]


def value(payload: dict[str, Any]) -> dict[str, Any]:
    """The one value of a webhook."""
    return payload["entry"][0]["changes"][0]["value"]


@dataclass
class Business:
    """Sends as wabot would."""

    session: ClientSession
    url: str

    async def post(self, payload: Any, *, token: str | None = TOKEN, number: str = "1234") -> tuple[int, Any, Any]:
        """(HTTP status, JSON or bytes, headers)"""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(f"{self.url}/v26.0/{number}/messages", json=payload, headers=headers) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(body) if is_json and body else body, response.headers

    async def graph(self, method: str, path: str, *, token: str | None = TOKEN, **request: Any) -> tuple[int, Any]:
        """Any request to Graph: (HTTP status, JSON)"""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.url}/v26.0/{path}"
        async with self.session.request(method, url, headers=headers, **request) as response:
            assert response.content_type == "application/json", await response.text()
            return response.status, await response.json()

    async def template(self, name: str, *texts: str, to: str = PHONE, language: str = "en_US", **more: Any) -> Any:
        """Send a template whose body takes `texts`: (HTTP status, JSON, headers)"""
        body = {"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}
        content = {"name": name, "language": {"code": language}, "components": [body] if texts else []} | more
        return await self.post({"messaging_product": "whatsapp", "to": to, "type": "template", "template": content})

    async def send(self, to: str = PHONE, body: str = "Hello", **more: Any) -> tuple[int, Any, Any]:
        """Send a text."""
        fields = {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": body}} | more
        return await self.post({key: value for key, value in fields.items() if value is not None})


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    hook = Webhook()
    app = web.Application()
    app.router.add_post("/webhook", hook.post)
    app.router.add_get("/webhook", hook.get)
    app.router.add_get("/files/{type:.+}", hook.file)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhook"
    yield hook
    await runner.cleanup()


@pytest.fixture
def meta(webhook: Webhook) -> Meta:
    """A stand-in that PHONE has just written to, so that it takes free texts for them."""
    meta = Meta(
        access_token=TOKEN,
        phone_number_id="1234",
        app_secret=SECRET,
        verify_token="a-word",
        webhook_url=webhook.url,
        behaviour=Behaviour(),
        receipt_delay=0.0,
        review_delay=0.0,
    )
    meta.people.of(PHONE).wrote_at = time.time()
    return meta


@pytest.fixture
async def business(meta: Meta) -> AsyncIterator[Business]:
    runner, url = await serve(meta)
    async with ClientSession() as session:
        yield Business(session, url)
    await runner.cleanup()
