"""The application, with all routes."""

from __future__ import annotations

from aiohttp import web

from wabot.accounts import Accounts
from wabot.console.routes import LARGEST_FORM, STREAMS
from wabot.console.routes import ROUTES as CONSOLE
from wabot.offload import Offload
from wabot.web import (
    batches,
    contacts,
    costs,
    events,
    health,
    history,
    initiate_bulk,
    lanes,
    messages,
    metrics,
    openapi,
    outbox,
    templates,
    webhook,
)
from wabot.web.auth import ACCOUNTS, GATE, Gate
from wabot.web.request_bodies import API_BODIES, OFFLOAD, WEBHOOK_BODIES, Bodies
from wabot.web.request_log import serving
from wabot.web.request_preferences import WAIT_SECONDS
from wabot.webhook_intake import WebhookIntake

ROUTES = [
    *webhook.ROUTES,
    *initiate_bulk.ROUTES,
    *messages.ROUTES,
    *templates.ROUTES,
    *history.ROUTES,
    *health.ROUTES,
    *outbox.ROUTES,
    *batches.ROUTES,
    *contacts.ROUTES,
    *costs.ROUTES,
    *lanes.ROUTES,
    *events.ROUTES,
    *metrics.ROUTES,
    *openapi.ROUTES,
]


def make_app(accounts: Accounts, intake: WebhookIntake, *, gate: Gate, wait_seconds: float) -> web.Application:
    """The HTTP API of all accounts."""
    app = web.Application(middlewares=[serving(gate)], client_max_size=LARGEST_FORM)
    app[ACCOUNTS], app[webhook.INTAKE] = accounts, intake
    app[OFFLOAD] = Offload()
    app[WAIT_SECONDS] = wait_seconds
    app[WEBHOOK_BODIES], app[API_BODIES] = Bodies(), Bodies()
    app[GATE], app[STREAMS] = gate, set()
    app.add_routes([*ROUTES, *CONSOLE])
    app.on_shutdown.append(_let_go)
    return app


async def _let_go(app: web.Application) -> None:
    """Requests that wait for a batch are answered with its current state, and streams to open pages end."""
    for account in app[ACCOUNTS]:
        account.service.stop_waiting()
    for stream in app[STREAMS]:
        stream.cancel()
