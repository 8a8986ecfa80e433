"""Tells open pages that something has changed, by server-sent events: they ask again for what they show."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from wabot.console.routes import STREAMS
from wabot.web.request_account import account_of

LOOK_SECONDS = 1.0
MOST_STREAMS = 64
"""The most open pages that are told; more ask again by themselves when they are loaded anew."""


async def stream(request: web.Request) -> web.StreamResponse:
    """GET /console/live: an event `changed`, at most one a second, after each change of the journal."""
    journal, streams = account_of(request).journal, request.app[STREAMS]
    task = asyncio.current_task()
    if task is None or len(streams) >= MOST_STREAMS:
        return web.Response(status=503)
    streams.add(task)
    response = EventSourceResponse()
    try:
        await response.prepare(request)
        seen = journal.writer.commits
        while response.is_connected():
            await asyncio.sleep(LOOK_SECONDS)
            if seen != journal.writer.commits:
                seen = journal.writer.commits
                await response.send("", event="changed")
    except ConnectionResetError:  # the page was closed
        pass
    finally:
        streams.discard(task)
        response.stop_streaming()
    return response
