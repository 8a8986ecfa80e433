"""A model that thinks for a while: `python -m benchmarks.programs.model PORT SECONDS`, OpenAI's shape."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web

ANSWER = {"choices": [{"message": {"role": "assistant", "content": "We open at nine. Shall I keep one for you?"}}]}


async def complete(request: web.Request) -> web.Response:
    await request.read()
    await asyncio.sleep(float(sys.argv[2]))
    return web.json_response(ANSWER)


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=uvloop.new_event_loop())
