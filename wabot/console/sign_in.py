"""Signing in with an API key, and out; and the choice of a language."""

from __future__ import annotations

from aiohttp import web

from wabot.console import rendering, texts
from wabot.core.direct_request import is_from_elsewhere
from wabot.web.answers import Refusal
from wabot.web.auth import GATE
from wabot.web.sessions import COOKIE, SESSION_SECONDS

LARGEST_SIGN_IN = 8192
"""The most bytes of the form: anyone may send it."""


async def sign_in(request: web.Request) -> web.StreamResponse:
    """POST /console/sign-in: begin a session with a key. A wrong one is answered late."""
    if is_from_elsewhere(request.headers.items()):
        raise Refusal(403, "a page of another site may not sign you in")
    if request.content_length is None or request.content_length > LARGEST_SIGN_IN:
        raise Refusal(413, f"at most {LARGEST_SIGN_IN} bytes")
    form = await request.post()
    given, onward = str(form.get("key", "")).strip(), _within_console(str(form.get("next", "")))
    gate = request.app[GATE]
    key = await gate.key(given)
    if key is None:
        return rendering.page(request, "sign_in.html", {"next": onward, "wrong": True}, status=401)
    response = web.Response(status=303, headers={"Location": onward})
    response.set_cookie(
        COOKIE,
        gate.sessions.begin(key),
        max_age=SESSION_SECONDS,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=is_behind_tls(request),
    )
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """POST /console/sign-out: this browser forgets its session."""
    response = web.Response(status=303, headers={"Location": "/console"})
    response.del_cookie(COOKIE, path="/")
    return response


async def language(request: web.Request) -> web.StreamResponse:
    """GET /console/language?to=es: this browser gets the pages in another language."""
    chosen = request.query.get("to", "")
    response = web.Response(status=303, headers={"Location": _within_console(request.query.get("next", ""))})
    if chosen in texts.LANGUAGES:
        response.set_cookie(texts.COOKIE, chosen, max_age=365 * 86400, path="/console", samesite="Strict")
    return response


def is_behind_tls(request: web.Request) -> bool:
    """Whether the browser speaks TLS, with us or with the proxy before us."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"


def _within_console(path: str) -> str:
    """A path of the console; its start for anything else, such as an address of another site."""
    inside = path == "/console" or path.startswith(("/console/", "/console?"))
    return path if inside and path.isprintable() and "\\" not in path else "/console"
