"""The outbox: did it arrive, why not, and what to do about it; retry and cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from wabot.accounts import Account
from wabot.console import rendering, texts
from wabot.console.serving import to
from wabot.core.exceptions import InvalidInput
from wabot.core.jobs import Kind, State
from wabot.journal.bulk_retry import RETRIED, Retry
from wabot.journal.outbox_list import Query
from wabot.service import Service
from wabot.web.answers import Refusal
from wabot.web.request_account import account_of

SHOWN = 50
VIEWS: Mapping[str, tuple[Query, ...]] = {
    "undelivered": (Query(message="undelivered"),),
    "unread": (Query(message="unread"),),
    "leaving": tuple(
        Query(state=state) for state in (State.QUEUED, State.WAITING, State.RUNNING, State.HELD, State.IN_DOUBT)
    ),
    "parked": (Query(state=State.PARKED),),
    "replies": (Query(kind=Kind.REPLY),),
    "all": (Query(),),
}
"""What the page can show, each by the listings that it consists of. The first is shown at first."""
CANCELLABLE = frozenset({State.QUEUED, State.WAITING, State.HELD, State.PARKED})


async def page(request: web.Request) -> web.StreamResponse:
    """GET /console/outbox?view=…"""
    account, view = account_of(request), request.query.get("view", "undelivered")
    if view not in VIEWS:
        raise Refusal(404, "no such view")
    cursor, batch_id = request.query.get("cursor", ""), request.query.get("batch", "")
    jobs = await _jobs(account, view, batch_id, account.service.job_id(cursor) if cursor else None)
    retry = Retry(batch_id=batch_id or None)
    values = {
        "view": view,
        "views": list(VIEWS),
        "batch": batch_id,
        "jobs": [_with_advice(job) for job in jobs],
        "cursor": jobs[-1]["outbox_id"] if len(jobs) == SHOWN else None,
        "stuck": await account.service.retry_counts(retry) if view in ("undelivered", "parked") else None,
        "now": account.service.now(),
    }
    return rendering.page(request, "outbox.html", values)


async def one(request: web.Request) -> web.StreamResponse:
    """GET /console/outbox/{id}: one send, with what Meta said."""
    service = account_of(request).service
    job = await service.outbox_one(request.match_info["id"])
    if job is None:
        raise Refusal(404, "no such send in the outbox")
    return rendering.page(request, "outbox_one.html", {"job": _with_advice(job), "now": service.now()})


async def act(request: web.Request) -> web.StreamResponse:
    """POST /console/outbox/{id}/{verb}: retry or cancel one."""
    service, verb, job_id = account_of(request).service, request.match_info["verb"], request.match_info["id"]
    acts = {"retry": service.retry, "cancel": service.cancel}
    if verb not in acts or await acts[verb](job_id) is None:
        raise Refusal(404, "no such send in the outbox")
    return to(f"/console/outbox/{job_id}", request, done="retried" if verb == "retry" else "cancelled")


async def retry_all(request: web.Request) -> web.StreamResponse:
    """POST /console/outbox/retry: retry all that failed; only if asked, also what may arrive twice."""
    form = await request.post()
    batch_id = str(form.get("batch", "")) or None
    await account_of(request).service.retry_all(Retry(batch_id=batch_id, may_repeat="may_repeat" in form))
    return to("/console/outbox", request, batch=batch_id, done="retried_many")


async def chosen(request: web.Request) -> web.StreamResponse:
    """POST /console/outbox/chosen: what can be done with those that somebody chose, before anything is done."""
    service, jobs = account_of(request).service, await _chosen(request)
    values = {
        "jobs": jobs,
        "stuck": await service.retry_counts(Retry(ids=_ids(service, jobs))),
        "cancellable": sum(job["can_cancel"] for job in jobs),
        "now": service.now(),
    }
    return rendering.page(request, "outbox_chosen.html", values)


async def retry_chosen(request: web.Request) -> web.StreamResponse:
    """POST /console/outbox/chosen/retry: retry all of them; only if asked, also what may arrive twice."""
    service, jobs, form = account_of(request).service, await _chosen(request), await request.post()
    await service.retry_all(Retry(ids=_ids(service, jobs), may_repeat="may_repeat" in form))
    return to("/console/outbox", request, done="retried_many")


async def cancel_chosen(request: web.Request) -> web.StreamResponse:
    """POST /console/outbox/chosen/cancel: cancel all of them that have not left; what left meanwhile stays as it is."""
    service = account_of(request).service
    for job in await _chosen(request):
        if job["can_cancel"]:
            with suppress(InvalidInput):
                await service.cancel(job["outbox_id"])
    return to("/console/outbox", request, view="leaving", done="cancelled")


async def _chosen(request: web.Request) -> list[dict[str, Any]]:
    """The sends whose boxes are ticked in a form, as many as a page shows. Raises Refusal if there is none."""
    service, form = account_of(request).service, await request.post()
    found = [await service.outbox_one(str(outbox_id)) for outbox_id in form.getall("id", [])[:SHOWN]]
    if not any(found):
        raise Refusal(422, "Nothing is chosen: tick the boxes of messages first.")
    return [_with_advice(job) for job in found if job is not None]


def _ids(service: Service, jobs: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    return tuple(filter(None, (service.job_id(job["outbox_id"]) for job in jobs)))


async def _jobs(account: Account, view: str, batch_id: str, before: int | None) -> list[dict[str, Any]]:
    """A page of a view, newest first."""
    found = list[dict[str, Any]]()
    for query in VIEWS[view]:
        found += await account.service.outbox(
            Query(query.kind, query.state, "", batch_id, query.message, limit=SHOWN, before=before)
        )
    found.sort(key=lambda job: job["created_at"], reverse=True)
    return found[:SHOWN]


def _with_advice(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job with what can be done about it: `advice` is the key of a text, or None."""
    advice = f"advice.{job['error_code']}"
    return {
        **job,
        "advice": advice if job["error_code"] is not None and texts.has(advice) else None,
        "can_retry": job["kind"] == Kind.SEND and job["state"] in RETRIED,
        "can_cancel": job["kind"] == Kind.SEND and job["state"] in CANCELLABLE,
        "may_repeat": job["state"] in (State.PARKED, State.IN_DOUBT),
    }
