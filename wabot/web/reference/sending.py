"""The operations that send: one message, many, and what became of them."""

from __future__ import annotations

from wabot.web.reference.answers import Batch, BatchCounts, Batches, BulkAnswer, Sent
from wabot.web.reference.operation import Example, Operation
from wabot.web.reference.running_answers import Templates
from wabot.web.request_models import BatchesQuery, BatchQuery, InitiateBulk, SendMessage, TemplatesQuery

_TAG = "Sending"
_REFUSED = (
    "Not valid, with nothing queued; or the `Idempotency-Key` was used for another request. `details[].reason` says"
    " why, where it is one of "
)
_REPLAY = (
    "The same `Idempotency-Key` with the same body is the same request: it is queued once, also after a restart."
    " `Prefer: respond-async` answers at once, `Prefer: wait=60` waits for the outcome for that many seconds."
)
_INVITED = {"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}

OPERATIONS = [
    Operation(
        "POST", "/messages", _TAG, "Send one message to one person",
        {200: Sent, 202: Sent},
        details=(
            "Exactly one of `text`, `template` and `message`. It is queued durably and overtakes bulk sends; then the"
            " answer waits for its outcome. 202: it is still queued, and will be sent. Free texts need an open"
            f" 24-hour window. {_REPLAY}"
        ),
        body=SendMessage, queues=True,
        refuses={422: f"{_REFUSED}`window_closed`, `opted_out`, `invalid_number`, `invalid_message`,"
                      " `unknown_template`, `template_not_approved`, `wrong_parameters`."},
        examples={
            "template": Example(
                body={"number": "+919876543210", "template": {"name": "hello_world", "language": "en_US"}},
                answer={"number": "919876543210", "success": True, "status": "sent", "outbox_id": "…",
                        "response": {"messages": [{"id": "wamid.…"}]}},
            ),
            "text": Example(
                body={"number": "+919216598210", "text": "Your parcel is here.", "takeover": True},
                answer={"number": "919216598210", "success": True, "status": "sent", "outbox_id": "…"},
            ),
        },
    ),
    Operation(
        "POST", "/initiate-bulk", _TAG, "Send a template to many",
        {200: BulkAnswer, 202: Batch},
        details=(
            "One template message for each distinct number; then the answer waits for the outcomes. 202: some are"
            " still queued, and will be sent. `recipients` gives everybody their own parameters. `send_at` schedules"
            " the batch, `dry_run` only says what would be sent. What Meta would refuse is refused at once, and then"
            f" nothing is queued. {_REPLAY}"
        ),
        body=InitiateBulk, queues=True,
        refuses={422: f"{_REFUSED}`unknown_template`, `template_not_approved`, `wrong_parameters`; `details[].index`"
                      " names the recipient."},
        examples={
            "numbers": Example(
                body={"numbers": ["+91 92165-98210", "12", "919876543210"]},
                answer={"batch_id": "…", "state": "settled", "total": 3, "successful": 2, "failed": 1, "queued": 0,
                        "results": [
                            {"number": "919216598210", "success": True, "status": "sent", "outbox_id": "…",
                             "response": {"messages": [{"id": "wamid.…"}]}},
                            {"number": "12", "success": False, "status": "failed", "error": "Invalid phone number",
                             "error_code": "invalid_number"},
                            {"number": "919876543210", "success": True, "status": "sent", "outbox_id": "…"},
                        ]},
            ),
            "recipients": Example(
                body={"recipients": [{"number": "+919216598210", "components": [_INVITED]}],
                      "template": {"name": "invitation", "language": "en_US"}},
                answer={"batch_id": "…", "total": 1, "successful": 1, "failed": 0, "queued": 0},
            ),
            "scheduled": Example(
                body={"numbers": ["+919216598210"], "send_at": "2026-12-01T09:00:00+05:30"},
                answer={"batch_id": "…", "state": "scheduled", "total": 1, "successful": 0, "failed": 0, "queued": 1},
                status=202,
            ),
            "dry run": Example(
                body={"numbers": ["+919216598210", "919216598210"], "dry_run": True},
                answer={"total": 2, "duplicates": 1, "invalid": 0, "opted_out": 0, "would_send": 1},
            ),
        },
    ),
    Operation(
        "GET", "/batches", _TAG, "List the batches, newest first",
        {200: Batches}, query=BatchesQuery,
        examples={"newest": Example(query={"limit": "1"}, answer={"count": 1, "batches": [{"batch_id": "…"}]})},
    ),
    Operation(
        "GET", "/batches/{id}", _TAG, "Show what became of a batch",
        {200: Batch}, query=BatchQuery, text={"text/csv": "The results as a table that spreadsheet programs open."},
        refuses={404: "There is no such batch, or no such account."},
        examples={"a batch": Example(path={"id": "…"}, answer={"batch_id": "…", "state": "settled", "total": 2})},
    ),
    Operation(
        "POST", "/batches/{id}/cancel", _TAG, "Cancel what has not left of a batch",
        {200: BatchCounts},
        details="What is on its way keeps its result. The counts are those afterwards.",
        refuses={404: "There is no such batch, or no such account."},
        examples={"a batch": Example(path={"id": "…"}, answer={"batch_id": "…", "state": "cancelled"})},
    ),
    Operation(
        "GET", "/templates", _TAG, "List the templates, with the parameters that each needs",
        {200: Templates}, query=TemplatesQuery,
        refuses={503: "Meta cannot be asked, and has not listed them before."},
        examples={
            "all": Example(answer={"count": 1, "templates": [
                {"name": "invitation", "language": "en_US", "status": "APPROVED", "category": "MARKETING",
                 "body": "Hello {{1}}, we would love to see you on Saturday.",
                 "parameters": [{"component": "body", "type": "text", "position": 1}]},
            ]}),
        },
    ),
]  # fmt: skip
