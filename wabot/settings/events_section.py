"""The tables [[events]]: the owner's programs that are told what happens."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Strict

from wabot.core.owner_events import TYPES, unknown
from wabot.settings.errors import hint
from wabot.settings.sections import NeededUrl, Section, WebhookSecret, Words

EVENTS_VARIABLE = "WABOT_EVENTS"
"""The name in the environment: a JSON list, which replaces the whole list of config.toml."""


def _known(types: tuple[str, ...]) -> tuple[str, ...]:
    if not types:
        raise ValueError('must not be empty; ["*"] means all')
    for one in unknown(types):
        raise ValueError(f"{one} is no type of event{hint(one, TYPES)}")
    return types


class EventEndpoint(Section):
    """One endpoint."""

    url: NeededUrl
    secret: WebhookSecret
    types: Annotated[Words, AfterValidator(_known)] = ("*",)


def of_different_urls(endpoints: tuple[EventEndpoint, ...]) -> tuple[EventEndpoint, ...]:
    """The endpoints; raises ValueError if two have the same address."""
    if len({endpoint.url for endpoint in endpoints}) < len(endpoints):
        raise ValueError("must have different urls")
    return endpoints


Endpoints = Annotated[tuple[EventEndpoint, ...], Strict(False), AfterValidator(of_different_urls)]
