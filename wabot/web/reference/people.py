"""The operations about people: what was said, and how they are treated."""

from __future__ import annotations

from wabot.web.reference.answers import Contact, Contacts, Forgotten, Histories, History, Merge, Merges, OptOut
from wabot.web.reference.operation import Example, Operation
from wabot.web.request_models import ContactsQuery, Get, GetBulk, MergesQuery, Pause

_TAG = "People"
_LONG = "Not valid; or the answer would hold more than 100 000 messages or 64 MiB, and needs a `limit`."
_UNKNOWN = {404: "Nobody of this number is known; or there is no such account."}
_ANA, _BEN = {"number": "919216598210"}, {"number": "919876543210"}

OPERATIONS = [
    Operation(
        "POST", "/get", _TAG, "Read the messages with one person, newest first",
        {200: History},
        details=(
            "What was received, and what Meta accepted; with `include` also what is queued or has failed. Somebody"
            " unknown has no messages."
        ),
        body=Get, refuses={422: _LONG},
        examples={
            "newest": Example(
                body={"number": "+919876543210", "limit": 1},
                answer={"count": 1, "messages": [
                    {"id": "wamid.…", "from": "…", "to": "919876543210", "timestamp": "…", "type": "template",
                     "body": "[template hello_world]", "direction": "out", "status": "…", "error": None},
                ]},
            ),
        },
    ),
    Operation(
        "POST", "/get-bulk", _TAG, "Read the messages with many people",
        {200: Histories}, body=GetBulk, refuses={422: _LONG},
        examples={
            "two numbers": Example(
                body={"numbers": ["919876543210", "12"], "limit": 1},
                answer={"total_numbers": 2, "successful": 1, "failed": 1, "total_messages": 1, "results": [
                    {"number": "919876543210", "success": True, "count": 1, "messages": [{"id": "wamid.…"}]},
                    {"number": "12", "success": False, "count": 0, "messages": [], "error": "Invalid phone number"},
                ]},
            ),
        },
    ),
    Operation(
        "GET", "/contacts", _TAG, "List the contacts, latest talk first",
        {200: Contacts}, query=ContactsQuery,
        examples={
            "search": Example(
                query={"search": "921659"}, answer={"count": 1, "contacts": [{"number": "919216598210", "name": "…"}]}
            ),
        },
    ),
    Operation(
        "GET", "/contacts/{number}", _TAG, "Show a contact",
        {200: Contact}, refuses=_UNKNOWN,
        examples={
            "Ana": Example(
                path=_ANA,
                answer={"number": "919216598210", "bsuid": "…", "name": "…",
                        "assistant": {"state": "paused", "reason": "staff"}, "stopped": None},
            ),
        },
    ),
    Operation(
        "POST", "/contacts/{number}/pause", _TAG, "Let a person answer instead of the assistant",
        {200: Contact},
        details=(
            "A takeover: the assistant says nothing to this contact, not even what was queued and had not left."
            " Resuming answers none of what came meanwhile by itself."
        ),
        body=Pause, body_optional=True, refuses=_UNKNOWN,
        examples={
            "for two hours": Example(
                path=_ANA, body={"hours": 2, "reason": "calls her"},
                answer={"number": "919216598210", "assistant": {"state": "paused", "reason": "calls her"}},
            ),
            "until resumed": Example(
                path=_ANA, body={"hours": None}, answer={"assistant": {"state": "paused", "until": None}}
            ),
        },
    ),
    Operation(
        "POST", "/contacts/{number}/resume", _TAG, "Let the assistant answer again",
        {200: Contact}, refuses=_UNKNOWN,
        examples={
            "Ana": Example(path=_ANA, answer={"assistant": {"state": "on", "until": None, "reason": None}}),
        },
    ),
    Operation(
        "POST", "/contacts/{number}/opt-out", _TAG, "Opt a person out, as if they had written STOP",
        {200: OptOut},
        examples={"Ben": Example(path=_BEN, answer={**_BEN, "opted_out": True})},
    ),
    Operation(
        "POST", "/contacts/{number}/opt-in", _TAG, "Opt a person in again",
        {200: OptOut},
        examples={
            "Ben": Example(path=_BEN, answer={**_BEN, "opted_out": False})
        },
    ),
    Operation(
        "DELETE", "/contacts/{number}", _TAG, "Forget a person",
        {200: Forgotten, 202: Forgotten},
        details=(
            "Removes all that they said and were sent, in the journal and the archive. A STOP holds on. 202: MongoDB"
            " is away, and will forget when it returns."
        ),
        refuses=_UNKNOWN,
        examples={"Ana": Example(path=_ANA, answer={"archived": 0, "media": 0})},
    ),
    Operation(
        "GET", "/merges", _TAG, "List contacts that turned out to be one person",
        {200: Merges}, query=MergesQuery,
        examples={"none": Example(answer={"count": 0, "merges": []})},
    ),
    Operation(
        "POST", "/merges/{id}/undo", _TAG, "Make two contacts of one again",
        {200: Merge},
        refuses={404: "There is no such merge, or no such account.", 409: "It cannot be undone (any more, or yet)."},
        examples={"a merge": Example(path={"id": "…"}, answer={"numbers": ["919216598210", None]})},
    ),
]  # fmt: skip
