"""Setup: what doctor finds, the settings in force, and the first steps with Meta."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel, SecretStr

from wabot.console import rendering
from wabot.core.health_checks import State
from wabot.settings.loading import SECTIONS, WABOT_NAMES, Settings
from wabot.web.request_account import account_of

MASKED = "••••••••"


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting: its value in words, where it came from (None: the default), and its name in the environment."""

    key: str
    value: str
    origin: str | None
    variable: str


async def page(request: web.Request) -> web.StreamResponse:
    """GET /console/setup: the settings at once; the checks come when they are done."""
    account = account_of(request)
    settings = account.settings
    values = {
        "sections": {name: list(_section(settings, name)) for name in SECTIONS},
        "callback": f"{settings.server.public_url.rstrip('/')}/webhook" if settings.server.public_url else None,
        "verify_token_set": bool(settings.whatsapp.verify_token),
    }
    return rendering.page(request, "setup.html", values)


async def checks(request: web.Request) -> web.StreamResponse:
    """GET /console/setup/checks: doctor's findings, the bad ones first. They take a few seconds, and ask no model."""
    order = {State.BROKEN: 0, State.WARNING: 1}
    found = sorted(await account_of(request).doctor.examine(), key=lambda check: order.get(check.state, 2))
    return rendering.page(request, "checks.html", {"checks": found})


def _section(settings: Settings, name: str) -> Iterator[Shown]:
    variables: Mapping[Any, str] = {place: variable for variable, place in WABOT_NAMES.items()}
    for key, value in dict(getattr(settings, name)).items():
        yield Shown(key, _in_words(value), settings.origin(name, key), variables[name, key])


def _in_words(value: Any) -> str:
    """A value for people; of a secret only whether it is set."""
    if isinstance(value, SecretStr):
        return MASKED if value.get_secret_value() else ""
    if isinstance(value, tuple | list | frozenset):
        return ", ".join(map(_in_words, value))
    if isinstance(value, BaseModel):
        return ", ".join(f"{key} = {_in_words(item)}" for key, item in dict(value).items() if item not in (None, ""))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
