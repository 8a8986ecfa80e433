"""POST /{number}/messages: checks a send, decides its result, answers it, and delivers its receipts.

Three things decide, in this order: the rules of `checks` and of the templates, the scripted `Behaviour`, and the state
of account and people: whether the number is registered, who is blocked, whose window is open.
https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from wabot.core.complaint import part, parts
from wabot.core.message_check import MEDIA
from wabot.core.messages import Person, Receipt, Status
from wabot.core.phone_numbers import is_bsuid
from wabot.sandbox import checks, errors, payloads
from wabot.sandbox.behaviour import LOST, Answer, Receipts, error
from wabot.sandbox.graph import Call, Json, Refusal, Routes, answered, decoded
from wabot.sandbox.ledger import Seen, Sent

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta
    from wabot.sandbox.people import Customer
    from wabot.sandbox.template import Template

NOT_ON_WHATSAPP = 131026
"""The one failure whose receipt has no BSUID, since Meta does not know the person."""


async def send(meta: Meta, call: Call) -> web.StreamResponse:
    """A send, or a read mark for an inbound message."""
    payload = checks.unfolded(decoded(await call.body()))
    complaint = checks.complaint(payload, meta.known)
    if complaint is not None:
        answer = error(complaint.code, details=complaint.details)
        _recorded(meta, payload, answer)
        return _refusal(meta, answer)
    if "status" in payload:
        meta.record(Seen(payload["message_id"], typing="typing_indicator" in payload))
        return answered(200, {"success": True})
    address = checks.address(payload) or ""
    answer = _by_the_world(meta, payload, meta.people.of(address), meta.behaviour.answer(address))
    return await _carry_out(meta, call, _recorded(meta, payload, answer), answer)


async def refused_at_the_door(meta: Meta, call: Call, refusal: Refusal) -> None:
    """Record a send that Graph refused before it was checked, such as one with a wrong token."""
    body = b""
    with contextlib.suppress(Refusal):
        body = await call.body()
    _recorded(meta, decoded(body), error(refusal.code, http=refusal.http))


def _by_the_world(meta: Meta, payload: Mapping[str, Any], customer: Customer, answer: Answer) -> Answer:
    """The result of a send that the behaviour accepts."""
    if not answer.accepts:
        return answer
    if checks.astray(payload):
        return replace(answer, receipts=LOST)
    declined = _declined(meta, payload, customer)
    if declined is not None:
        return error(declined)
    if "failed" in (answer.receipts or meta.behaviour.receipts).statuses:
        return answer  # nobody is reached, so it does not count against the messaging limit
    undeliverable = _undeliverable(meta, payload, customer)
    return answer if undeliverable is None else _failing(meta, answer, undeliverable)


def _declined(meta: Meta, payload: Mapping[str, Any], customer: Customer) -> int | None:
    """The code that the answer refuses with, None if it does not."""
    template = _template(meta, payload)
    if not meta.account.registered:
        return 133010
    if template and template.category == "AUTHENTICATION" and payload.get("to") is None:
        return 131062
    if customer.blocked:
        return 130403
    late = payload.get("type") != "template" and not customer.window_is_open(meta.now())
    return 131047 if late and meta.window == "answer" else None


def _undeliverable(meta: Meta, payload: Mapping[str, Any], customer: Customer) -> int | None:
    """The code of the `failed` receipt, None if the message arrives.

    For the portfolio's limit Meta documents no code of its own; 131048 is the one about "how many messages".
    """
    if customer.window_is_open(meta.now()):
        return None
    if payload.get("type") != "template":
        return 131047 if meta.window == "receipt" else None
    return None if meta.account.may_reach(customer.user_id, meta.now()) else 131048


def _template(meta: Meta, payload: Mapping[str, Any]) -> Template | None:
    """The template that a send names."""
    return meta.templates.sent(payload["template"]) if payload.get("type") == "template" else None


def _failing(meta: Meta, answer: Answer, code: int) -> Answer:
    """Accepted, and then a `failed` receipt that comes as the others would have come."""
    plan = answer.receipts or meta.behaviour.receipts
    return replace(answer, receipts=replace(plan, statuses=("failed",), code=code)) if plan.statuses else answer


def _recorded(meta: Meta, payload: Any, answer: Answer) -> Sent:
    fields: dict[str, Any] = payload if isinstance(payload, dict) else {}
    to, tag = checks.address(fields) or "", fields.get("biz_opaque_callback_data")
    sent = Sent(
        wamid=payloads.new_wamid(to, draw=meta.draw) if answer.accepts else "",
        to=to,
        type=str(fields.get("type", "text")),
        payload=fields,
        tag=tag if isinstance(tag, str) else None,
        at=meta.now(),
        status=answer.status,
        code=answer.code,
    )
    meta.record(sent)
    return sent


async def _carry_out(meta: Meta, call: Call, sent: Sent, answer: Answer) -> web.StreamResponse:
    """Answer a valid send, or not, as decided."""
    plan = answer.receipts or meta.behaviour.receipts
    follows = answer.accepts and meta.receipts and meta.messages_url is not None
    if follows and plan.early:
        await _tell_receipts(meta, sent, answer, plan)
    elif follows and answer.cut:
        meta.spawn(_tell_receipts(meta, sent, answer, plan))
    if answer.delay:
        await meta.pause(answer.delay)
    if follows and not plan.early and not answer.cut:
        meta.spawn(_tell_receipts(meta, sent, answer, plan))
    if answer.cut:
        if call.request.transport is not None:
            call.request.transport.close()
        return web.Response()
    if answer.code is not None:
        return _refusal(meta, answer)
    if answer.body is not None:
        return web.Response(body=answer.body, status=answer.http, content_type=answer.content_type)
    return answered(answer.http, _acceptance(meta, sent, answer))


def _acceptance(meta: Meta, sent: Sent, answer: Answer) -> Json:
    """Meta's answer to an accepted send: a number comes back as `wa_id`, a BSUID as `user_id`."""
    if checks.astray(sent.payload):
        contact = {"input": sent.to, "wa_id": sent.to}
    elif is_bsuid(sent.to):
        contact = {"input": sent.to, "user_id": sent.to}
    else:
        contact = {"input": sent.payload["to"], "wa_id": meta.behaviour.wa_id(sent.to, answer)}
    message = {"id": sent.wamid} | ({"message_status": answer.message_status} if answer.message_status else {})
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}


def _refusal(meta: Meta, answer: Answer) -> web.Response:
    headers = {"Retry-After": f"{answer.retry_after:g}"} if answer.retry_after is not None else {}
    if answer.regain_minutes is not None:
        usage = {"type": "whatsapp", "call_count": 100, "total_cputime": 25, "total_time": 25}
        usage["estimated_time_to_regain_access"] = answer.regain_minutes
        headers["X-Business-Use-Case-Usage"] = json.dumps({meta.account.id: [usage]})
    return answered(answer.http, errors.answer(answer.code or 1, answer.details or None), headers)


# --- receipts ---


async def _tell_receipts(meta: Meta, sent: Sent, answer: Answer, plan: Receipts) -> None:
    if plan.statuses and "failed" not in plan.statuses:
        reasons = [await meta.cannot_deliver(kind, file) for kind, file in _files(sent)]
        if reason := next(filter(None, reasons), None):
            plan = replace(plan, statuses=("failed",), code=131053, details=reason)
    person = _addressee(meta, sent, answer)
    arrives = bool(plan.statuses) and "failed" not in plan.statuses
    free_until = meta.people.of(sent.to).answered(meta.now()) if arrives else None
    for status in reversed(plan.statuses) if plan.reverse else plan.statuses:
        if not plan.early:
            await asyncio.sleep(meta.receipt_delay)
        body = payloads.encode(_receipt(meta, sent, status, person, plan, free_until=free_until))
        for _ in range(plan.times):
            if await meta.tell(body) == 200:
                trouble = errors.in_receipt(plan.code or 131000, plan.details) if status == "failed" else None
                meta.record(Receipt(sent.wamid, Status(status), meta.now(), sent.tag, person, trouble))


def _addressee(meta: Meta, sent: Sent, answer: Answer) -> Person:
    """The number in receipts: one that the business wrote to is shown, even if the person hides it."""
    customer = meta.people.of(sent.to)
    if is_bsuid(sent.to):
        return Person(wa_id=customer.shown_number, bsuid=sent.to)
    return Person(wa_id=meta.behaviour.wa_id(sent.to, answer), bsuid=customer.user_id if meta.user_ids else None)


def _receipt(meta: Meta, sent: Sent, status: str, person: Person, plan: Receipts, *, free_until: float | None) -> Json:
    """The webhook of one receipt. A `failed` for a number leaves `recipient_user_id` out of the status."""
    failed, by_number = status == "failed", not is_bsuid(sent.to)
    user_id = None if failed and by_number and plan.code == NOT_ON_WHATSAPP else person.bsuid
    entry = payloads.receipt(
        sent.wamid, status, meta.now(), wa_id=person.wa_id, tag=sent.tag, code=plan.code, details=plan.details,
        category=_category(meta, sent), free_until=free_until, user_id=None if failed and by_number else user_id,
    )  # fmt: skip
    return meta.envelope(contacts=[payloads.contact(person.wa_id, user_id)], statuses=[entry])


def _category(meta: Meta, sent: Sent) -> str:
    """What Meta charges for: a template by its category, anything else as service."""
    template = _template(meta, sent.payload)
    return template.category.lower() if template else "marketing" if sent.type == "template" else "service"


def _files(sent: Sent) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The files that a send carries, each with its kind: the content itself, or one above buttons or a template."""
    content = part(sent.payload, sent.type)
    places = [sent.payload, part(content, "header")]
    places += [p for component in parts(content, "components") for p in parts(component, "parameters")]
    yield from ((kind, part(place, kind)) for place in places for kind in MEDIA if part(place, kind))


async def send_marketing(meta: Meta, call: Call) -> web.StreamResponse:
    """POST /{number}/marketing_messages: a marketing template and nothing else (131055).

    https://developers.facebook.com/documentation/business-messaging/whatsapp/marketing-messages/overview
    """
    payload = checks.unfolded(decoded(await call.body()))
    template = _template(meta, payload) if isinstance(payload, dict) and part(payload, "template") else None
    if template is not None and template.category != "MARKETING":
        raise Refusal(131055, None)
    return await send(meta, call)


ROUTES: Routes = {("number", "POST", "messages"): send, ("number", "POST", "marketing_messages"): send_marketing}
