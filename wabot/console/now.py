"""The first page: what needs a person, what is wrong and what to do, and how much is going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from wabot.accounts import Account
from wabot.console import chart, rendering
from wabot.console.serving import to
from wabot.core.jobs import Kind
from wabot.journal.contact_list_and_search import Question
from wabot.journal.gauges import Depth
from wabot.journal.outbox_list import Query
from wabot.web.answers import Refusal
from wabot.web.request_account import account_of

WAITING_SHOWN, OWED_SHOWN = 20, 20
DAY = 86400.0
OWED_AFTER_SECONDS = 15.0
"""A reply that is younger is on its way as it should be."""


async def page(request: web.Request) -> web.StreamResponse:
    """GET /console."""
    return rendering.page(request, "now.html", await _state(account_of(request)))


async def fragment(request: web.Request) -> web.StreamResponse:
    """GET /console/now: what of the page changes."""
    return rendering.page(request, "now_body.html", await _state(account_of(request)))


async def probe(request: web.Request) -> web.StreamResponse:
    """POST /console/lanes/{kind}/probe: try at once."""
    if account_of(request).readiness.probe(request.match_info["kind"]) is None:
        raise Refusal(404, "no such lane")
    return to("/console", request, done="probed")


async def _state(account: Account) -> Mapping[str, Any]:
    now = account.service.now()
    _, state = await account.readiness.state()
    waiting, more = await account.service.contacts(Question(attention=True, limit=WAITING_SHOWN))
    owed = await account.service.outbox(Query(kind=Kind.REPLY, limit=OWED_SHOWN))
    depths = [*await account.journal.depths(), *await _events(account)]
    return {
        "now": now,
        "state": state,
        "waiting": waiting,
        "more_waiting": more is not None and len(waiting) == WAITING_SHOWN,
        "owed": await _owed(account, owed, state["problems"], now),
        "lanes": [_lane(account, kind, [each for each in depths if each.kind == kind], now) for kind in account.lanes],
        "chart": chart.of(minutes := account.rates.minutes(now)),
        "limits": await account.service.limits_used(),
        "not_arrived": await account.journal.not_arrived(now - DAY),
        "per_second": minutes[-2].sends / 60,
        "costs": await account.service.costs(None),
    }


async def _owed(
    account: Account, jobs: Sequence[Mapping[str, Any]], problems: Sequence[Mapping[str, Any]], now: float
) -> list[Mapping[str, Any]]:
    """The replies that somebody has waited for, each with the contact, why, and what to do; who waits longest first."""
    found = list[Mapping[str, Any]]()
    for job in reversed(jobs):
        if now - job["created_at"] >= OWED_AFTER_SECONDS:
            contact = await account.service.contact(job["number"])
            remedy = next((each["remedy"] for each in problems if job["error"] and job["error"] in each["what"]), None)
            found.append({**job, "name": (contact or {}).get("name", ""), "remedy": remedy})
    return found


async def _events(account: Account) -> list[Depth]:
    """The open events of all endpoints."""
    return [Depth(Kind.EVENT, "", count, oldest) for _, count, oldest in await account.journal.event_depths()]


def _lane(account: Account, kind: Kind, depths: Sequence[Depth], now: float) -> Mapping[str, Any]:
    lane = account.lanes[kind]
    oldest = min((each.oldest for each in depths if each.oldest is not None), default=None)
    return {
        "kind": str(kind),
        "state": lane.state,
        "reason": lane.paused.reason if lane.paused else None,
        "count": sum(each.count for each in depths),
        "age": None if oldest is None else max(now - oldest, 0.0),
    }
