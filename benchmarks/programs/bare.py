"""The yardstick: aiohttp on uvloop, a handler that checks Meta's signature, parses the JSON, and keeps nothing."""

from __future__ import annotations

import json
import sys

import uvloop
from aiohttp import web

from benchmarks.webhooks import APP_SECRET
from wabot.core.signature import is_signed


async def webhook(request: web.Request) -> web.Response:
    body = await request.read()
    if not is_signed(body, request.headers.get("X-Hub-Signature-256"), APP_SECRET.encode()):
        return web.Response(status=401)
    json.loads(body)
    return web.Response(body=b'{"received":1,"stored":1}', content_type="application/json")


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/webhook", webhook)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=uvloop.new_event_loop())
