"""The routes of the console. Its modules are imported when somebody asks for a page: most processes never need them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from aiohttp import web

ASSETS = Path(__file__).parent / "assets"

LARGEST_FORM = 4 << 20
"""Bytes of a form: 10 000 people with their values. Only who has signed in may send more than the sign-in takes."""

STREAMS = web.AppKey("streams", set[asyncio.Task[Any]])
"""The tasks of open pages that are told of changes."""


def _lazily(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of this `module.function`."""
    module, _, function = name.partition(".")

    async def handler(request: web.Request) -> web.StreamResponse:
        serving = import_module("wabot.console.serving")
        found: web.StreamResponse = await serving.serve(
            request, getattr(import_module(f"wabot.console.{module}"), function)
        )
        return found

    handler.__doc__ = name
    return handler


def is_of_console(request: web.Request) -> bool:
    """Whether what is answered is shown to a person: everything at /console and below, also where nothing is."""
    return request.path == "/console" or request.path.startswith("/console/")


def error_page(request: web.Request, status: int, words: str | None, headers: Mapping[str, str]) -> web.Response:
    """The page that says why something did not work; without words, what the status means."""
    found: web.Response = import_module("wabot.console.serving").error_page(request, status, words)
    found.headers.update(headers)
    return found


ROUTES = [
    web.static("/console/assets", ASSETS),
    web.get("/console", _lazily("now.page")),
    web.get("/console/now", _lazily("now.fragment")),
    web.get("/console/live", _lazily("live.stream")),
    web.get("/console/language", _lazily("sign_in.language")),
    web.post("/console/sign-in", _lazily("sign_in.sign_in")),
    web.post("/console/sign-out", _lazily("sign_in.sign_out")),
    web.post("/console/lanes/{kind}/probe", _lazily("now.probe")),
    web.get("/console/conversations", _lazily("conversations.page")),
    web.get("/console/conversations/list", _lazily("conversations.list_fragment")),
    web.get("/console/conversations/{number}", _lazily("conversations.page")),
    web.get("/console/conversations/{number}/talk", _lazily("conversations.talk_fragment")),
    web.get("/console/conversations/{number}/media/{id}", _lazily("conversations.medium")),
    web.post("/console/conversations/{number}/write", _lazily("conversations.write")),
    web.post("/console/conversations/{number}/{verb}", _lazily("conversations.act")),
    web.get("/console/outbox", _lazily("outbox.page")),
    web.get("/console/outbox/{id}", _lazily("outbox.one")),
    web.post("/console/outbox/retry", _lazily("outbox.retry_all")),
    web.post("/console/outbox/chosen", _lazily("outbox.chosen")),
    web.post("/console/outbox/chosen/retry", _lazily("outbox.retry_chosen")),
    web.post("/console/outbox/chosen/cancel", _lazily("outbox.cancel_chosen")),
    web.post("/console/outbox/{id}/{verb}", _lazily("outbox.act")),
    web.get("/console/batches", _lazily("batches.page")),
    web.get("/console/batches/new", _lazily("new_batch.page")),
    web.post("/console/batches/new", _lazily("new_batch.check")),
    web.post("/console/batches/start", _lazily("new_batch.start")),
    web.get("/console/batches/{id}", _lazily("batches.one")),
    web.get("/console/batches/{id}/progress", _lazily("batches.progress")),
    web.post("/console/batches/{id}/cancel", _lazily("batches.cancel")),
    web.get("/console/knowledge", _lazily("knowledge.page")),
    web.post("/console/knowledge", _lazily("knowledge.ask")),
    web.get("/console/setup", _lazily("setup.page")),
    web.get("/console/setup/checks", _lazily("setup.checks")),
    web.get("/console/events", _lazily("events.page")),
    web.post("/console/events/{id}/retry", _lazily("events.retry")),
]
