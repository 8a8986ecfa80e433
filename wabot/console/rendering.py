"""Makes HTML from templates, with what all pages share: the account, the language, the form token."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wabot.console import texts, words
from wabot.web.auth import ACCOUNTS, GATE, READING
from wabot.web.request_account import named_account
from wabot.web.sessions import COOKIE

PAGES = ("now", "conversations", "outbox", "batches", "knowledge", "setup", "events")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words.FILTERS)
    return environment


def html(request: web.Request, template: str, values: Mapping[str, Any]) -> str:
    """A template as HTML.

    Every template gets `t` (texts), `said` (what wabot says elsewhere), `here` (an address of the same account), and
    what it needs of the request.
    """
    account = named_account(request)
    language = texts.language_of(request)
    return (
        _environment()
        .get_template(template)
        .render(
            t=texts.translator(language),
            known=texts.has,
            said=texts.speaker(language),
            language=language,
            languages=texts.LANGUAGES,
            pages=PAGES,
            path=request.path,
            where=where(request),
            account=account,
            accounts=_accounts(request),
            signed_in=request.app[GATE].is_signed_in(request),
            has_session=COOKIE in request.cookies,
            form_token=request.app[GATE].sessions.form_token(request.cookies.get(COOKIE)),
            done=request.query.get("done"),
            here=lambda path, **asked: words.address(path, {"account": account, **asked}),
            **values,
        )
    )


def where(request: web.Request) -> str:
    """The page to come back to, such as after a sign-in: this one, or the one whose form was sent, if it is ours."""
    if request.method in READING:
        return request.path_qs
    came_from = urlsplit(request.headers.get("Referer", ""))
    return came_from._replace(scheme="", netloc="").geturl() if came_from.netloc == request.host else "/console"


def page(request: web.Request, template: str, values: Mapping[str, Any], *, status: int = 200) -> web.Response:
    """A template as an answer."""
    return web.Response(text=html(request, template, values), status=status, content_type="text/html", charset="utf-8")


def _accounts(request: web.Request) -> list[str]:
    """The names of the accounts that somebody may see, where there are several."""
    accounts, key = request.app[ACCOUNTS], request.app[GATE].sessions.key_of(request.cookies.get(COOKIE))
    if not accounts.several:
        return []
    return [one.name for one in accounts.identities if key is None or key.accounts is None or one.name in key.accounts]
