"""The API's description: as an OpenAPI document, and as a page. Open to everybody, since it says nothing of this wabot.

Both are made at the first request: most who run wabot never ask, and need not have them in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from wabot.web.request_bodies import OFFLOAD

PATHS = ("/openapi.json", "/docs", "/docs/page.css")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
"""The page needs its style sheet, and nothing else from anywhere."""


async def openapi(request: web.Request) -> web.Response:
    """GET /openapi.json: the OpenAPI document."""
    body = await request.app[OFFLOAD](_made, "document")
    return web.Response(body=body, content_type="application/json", charset="utf-8")


async def docs(request: web.Request) -> web.Response:
    """GET /docs: the same as a page."""
    body = await request.app[OFFLOAD](_made, "page")
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=HEADERS)


async def style(request: web.Request) -> web.Response:
    """GET /docs/page.css: the page's style sheet."""
    body = await request.app[OFFLOAD](_made, "style")
    return web.Response(body=body, content_type="text/css", charset="utf-8")


def _made(what: str) -> bytes:
    from wabot.web.reference import document, page  # noqa: PLC0415

    make: dict[str, Callable[[], bytes]] = {"document": document.encoded, "page": page.page, "style": page.style}
    return make[what]()


ROUTES = [web.get(path, handler) for path, handler in zip(PATHS, (openapi, docs, style), strict=True)]
