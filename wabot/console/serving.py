"""Serves a page of the console: signs in first, and sets the headers that keep other sites out. Errors are pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from wabot.console import rendering, texts
from wabot.web.answers import Refusal
from wabot.web.auth import ACCOUNTS, GATE, OPENED, READING
from wabot.web.request_account import NAMED, named_account
from wabot.web.sessions import COOKIE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Nothing from another host, no inline scripts, and no page of ours in a frame of somebody else's."""

SIGN_IN = "/console/sign-in"


async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The answer of a handler, or the sign-in. What it raises becomes a page, too: see `error_page`."""
    gate = request.app[GATE]
    if request.path != SIGN_IN and not gate.is_signed_in(request):
        status = 200 if request.path == "/console" else 401  # what asks for a part of a page keeps what it has
        onward = {"next": rendering.where(request)}
        response: web.StreamResponse = rendering.page(request, "sign_in.html", onward, status=status)
    else:
        _choose_account(request)
        if request.method not in READING and request.path != SIGN_IN:
            await _check_form(request)
        response = await handler(request)
    if not response.prepared:
        response.headers.update(HEADERS)
    return response


def _choose_account(request: web.Request) -> None:
    """Without a name, the account is the first one, or the first that somebody's key opens."""
    opened = request.get(OPENED)
    if opened and not request.query.get("account") and request.app[ACCOUNTS].default not in opened:
        request[NAMED] = min(opened)


async def _check_form(request: web.Request) -> None:
    """Raises Refusal if a form is not one of ours, made for this session."""
    form = await request.post()
    token = form.get("form_token")
    if not isinstance(token, str) or not request.app[GATE].sessions.is_form_token(request.cookies.get(COOKIE), token):
        raise Refusal(403, "This form is not from a page of your session. Open the page again, and send it again.")


def error_page(request: web.Request, status: int, words: str | None) -> web.Response:
    """Why something did not work: in its own words, else by its status."""
    meaning = f"errors.{status}"
    values = {"status": status, "words": words, "meaning": meaning if texts.has(meaning) else "errors.other"}
    response = rendering.page(request, "error.html", values, status=status)
    response.headers.update(HEADERS)
    if status == 413:
        response.force_close()  # the rest of the body is not read
    return response


def to(path: str, request: web.Request, **asked: Any) -> web.Response:
    """Go on to a page of the same account, with these values in its address; those that are None are left out."""
    values: Mapping[str, Any] = {"account": named_account(request), **asked}
    query = "&".join(f"{name}={quote(str(value))}" for name, value in values.items() if value is not None)
    return web.Response(status=303, headers={"Location": f"{path}?{query}" if query else path})
