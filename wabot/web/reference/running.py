"""The operations for whoever runs wabot: the outbox, events, costs, its state; and the webhook that Meta calls."""

from __future__ import annotations

from wabot.web.reference.operation import Example, Operation
from wabot.web.reference.running_answers import (
    Alive,
    Costs,
    Event,
    Events,
    NotReady,
    Outbox,
    Probed,
    Ready,
    Received,
    Retried,
    WholeJob,
)
from wabot.web.request_models import CostsQuery, EventsQuery, OutboxQuery, ReadyQuery, RetryAll

_OUTBOX, _RUNNING, _META = "Outbox", "Running it", "Webhook"
_NO_SEND = "There is no such send in the outbox, or no such account."
_STATE = "Its state does not allow it: the message says which one it is."
_SIGNATURE = "`X-Hub-Signature-256` is missing, or was not made with the app secret. Nothing was stored."

OPERATIONS = [
    Operation(
        "GET", "/outbox", _OUTBOX, "List sends, newest first; or the replies or events that wait",
        {200: Outbox}, query=OutboxQuery,
        examples={"sent": Example(query={"state": "done", "limit": "1"}, answer={"count": 1, "outbox": [
            {"outbox_id": "…", "kind": "send", "number": "…", "state": "done", "attempts": 1}]})},
    ),
    Operation(
        "GET", "/outbox/{id}", _OUTBOX, "Show one send, with what Meta was asked and answered",
        {200: WholeJob}, refuses={404: _NO_SEND},
        examples={"a send": Example(path={"id": "…"}, answer={"outbox_id": "…", "kind": "send", "state": "done"})},
    ),
    Operation(
        "POST", "/outbox/{id}/retry", _OUTBOX, "Try a send again that failed, is parked or held",
        {200: WholeJob}, refuses={404: _NO_SEND, 409: _STATE},
        examples={"a send": Example(path={"id": "…"}, answer={"outbox_id": "…", "kind": "send"})},
    ),
    Operation(
        "POST", "/outbox/{id}/cancel", _OUTBOX, "Cancel a send that has not left",
        {200: WholeJob}, refuses={404: _NO_SEND, 409: _STATE},
        examples={"a send": Example(path={"id": "…"}, answer={"outbox_id": "…", "state": "cancelled"})},
    ),
    Operation(
        "POST", "/outbox/retry", _OUTBOX, "Try all sends again that failed, are parked or held",
        {200: Retried},
        details="Sends that may then arrive twice are left, unless `may_repeat`.",
        body=RetryAll,
        examples={"by code": Example(body={"error_code": 131026}, answer={"retried": 0, "left": 0})},
    ),
    Operation(
        "GET", "/events", _OUTBOX, "List events to your programs, newest first",
        {200: Events}, query=EventsQuery,
        examples={"failed": Example(query={"state": "failed"}, answer={"count": 0, "events": []})},
    ),
    Operation(
        "POST", "/events/{id}/retry", _OUTBOX, "Tell a failed event after all",
        {200: Event}, refuses={404: "There is no such event, or no such account.", 409: _STATE},
        examples={"an event": Example(path={"id": "…"}, answer={"id": "…", "type": "message.received"})},
    ),
    Operation(
        "GET", "/costs", _RUNNING, "Count the messages of a month that Meta charges for",
        {200: Costs}, query=CostsQuery,
        examples={"October": Example(query={"month": "2026-10"},
                                     answer={"month": "2026-10", "messages": [], "total": 0})},
    ),
    Operation(
        "POST", "/lanes/{kind}/probe", _RUNNING, "Try a paused lane now",
        {200: Probed}, refuses={404: "There is no such lane, or no such account."},
        examples={"sends": Example(path={"kind": "send"}, answer={"lane": "send", "state": "…", "reason": None})},
    ),
    Operation(
        "GET", "/healthz", _RUNNING, "Ask whether the process is alive",
        {200: Alive}, access="open", examples={"alive": Example(answer={"status": "ok"})},
    ),
    Operation(
        "GET", "/readyz", _RUNNING, "Ask what state it is in, and what is wrong",
        {200: Ready, 503: NotReady},
        details="503 where the journal or a lane is broken; with `strict=1` while there is any problem.",
        query=ReadyQuery, examples={"ready": Example(answer={"ready": True, "journal": "ok", "problems": []})},
    ),
    Operation(
        "GET", "/metrics", _RUNNING, "Read the metrics, in Prometheus' text format",
        {}, text={"text/plain": "Prometheus' text format."},
        examples={"all": Example()},
    ),
    Operation(
        "GET", "/openapi.json", _RUNNING, "Read this description (OpenAPI 3.1)",
        {200: None}, access="open", examples={"this": Example(answer={"openapi": "3.1.0"})},
    ),
    Operation(
        "GET", "/docs", _RUNNING, "Read this description as a page",
        {}, access="open", text={"text/html": "The page."}, examples={"the page": Example()},
    ),
    *(
        operation
        for path in ("/webhook", "/webhook/{phone_number_id}")
        for operation in (
            Operation(
                "GET", path, _META, "Verify the address, when Meta asks",
                {}, details="Meta calls this when the webhook is set up, with the verify token of the settings.",
                access="token", text={"text/plain": "The bare `hub.challenge`."},
                refuses={403: "`hub.verify_token` is not `whatsapp.verify_token`."},
            ),
            Operation(
                "POST", path, _META, "Take in what happened, when Meta tells it",
                {200: Received},
                details="The answer means that it is on disk. It never waits for the model, MongoDB or Meta.",
                access="signature",
                refuses={401: _SIGNATURE, 413: "More than 4 MiB.",
                         503: "The journal cannot be written now: Meta delivers it again."},
            ),
        )
    ),
]  # fmt: skip
