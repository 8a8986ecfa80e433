"""The account that a request is about: named in its body or its query, else the first one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from wabot import log
from wabot.accounts import Account
from wabot.service import Service
from wabot.web.answers import reply
from wabot.web.auth import ACCOUNTS, require_access

NAMED = web.RequestKey("account", str)
"""The account that the body names."""


def named_account(request: web.Request) -> str | None:
    """The account that a request names, or None."""
    return request.get(NAMED) or request.query.get("account") or None


def account_of(request: web.Request) -> Account:
    """The account of a request, which its log lines name from now on.

    Raises UnknownAccount, AccountStopped, and Refusal if the key does not open it.
    """
    accounts = request.app[ACCOUNTS]
    name = named_account(request) or accounts.default
    require_access(request, name)
    account = accounts.named(name)
    log.label(accounts.label(account))
    return account


def service_of(request: web.Request) -> Service:
    """The operations of the request's account."""
    return account_of(request).service


def label(request: web.Request) -> Mapping[str, str]:
    """The fields by which an answer names its account: none if there is only one."""
    return request.app[ACCOUNTS].label(account_of(request))


def answer(request: web.Request, value: Mapping[str, Any], **kw: Any) -> web.Response:
    """`value` as JSON, with the account that it is about."""
    return reply({**label(request), **value}, **kw)
