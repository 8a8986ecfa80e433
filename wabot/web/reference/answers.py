"""The shapes of the API's answers. The tests hold the real answers to them; nothing else here is checked by them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

Seconds = float
"""Unix seconds."""
JobState = Literal[
    "waiting", "queued", "running", "in_doubt", "held", "done", "failed", "cancelled", "expired", "parked"
]
Word = Literal["ok", "down", "unknown"]


def absent() -> Any:
    """Marks a field that some answers do not have. (A field that may be null is another thing.)"""
    return Field(default_factory=dict)


class Shape(BaseModel):
    """The base of all answers. Later versions may add fields."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class OfAccount(Shape):
    """An answer that is about one account."""

    account: str = absent()
    """The account that the answer is about; only where there are several."""


class Problem(Shape):
    """Why a request was refused."""

    code: str
    """A word for each HTTP status: `unauthorized`, `not_found`, `invalid`, …"""
    message: str
    """Plain words."""
    details: list[dict[str, Any]]
    """What is wrong where, for requests that are not valid: `field`, `message`, and sometimes `reason`, `index` and
    `expected`."""


class Error(Shape):
    """The answer to every request that is refused."""

    error: Problem


class Line(Shape):
    """What became of one recipient."""

    number: str
    """The digits; as it was given, if it is no phone number."""
    success: bool
    """Whether Meta accepted the message, and has not failed it since."""
    status: Literal["sent", "failed", "queued"]
    outbox_id: str = absent()
    duplicate: bool = absent()
    """True for a number that was given before: it gets one message."""
    response: dict[str, Any] | None = absent()
    """Meta's own answer, of a message that was sent."""
    error: str = absent()
    """Why it failed, in plain words."""
    error_code: int | str = absent()
    """Meta's code (an integer), or our own word."""


class Sent(Line, OfAccount):
    """What became of one message to one person."""


class TemplateName(Shape):
    """A template of Meta's."""

    name: str
    language: str


class BatchCounts(OfAccount):
    """A batch, with what became of its recipients in numbers."""

    batch_id: str
    state: Literal["scheduled", "running", "settled", "cancelled"]
    created_at: Seconds
    send_at: Seconds = absent()
    """When a scheduled batch is sent, or was."""
    template: TemplateName = absent()
    """What all of them get; absent where an earlier version wrote it down."""
    total: int
    successful: int
    failed: int
    queued: int
    """Still to be sent."""


class Batch(BatchCounts):
    """A batch with its results."""

    results: list[Line]
    """In the order of the request."""


class Batches(OfAccount):
    """A page of batches."""

    count: int
    batches: list[BatchCounts]
    next_cursor: str = absent()
    """The `cursor` of the next page; absent on the last one."""


class DryRun(OfAccount):
    """What a bulk request would send. Nothing was queued."""

    total: int
    duplicates: int
    invalid: int
    opted_out: int
    unreachable: int
    would_send: int
    category: str | None
    """Of the template, in Meta's word; null where Meta cannot be asked."""
    seconds: float
    """How long it takes at the rate of the number."""


class BulkAnswer(RootModel[Batch | DryRun]):
    """The batch, or with `dry_run` what it would send."""


class Message(Shape):
    """Something that was said. Documents of an earlier service may lack what only this one records."""

    id: str | None
    """Meta's id (wamid); null until Meta has accepted the message."""
    from_: str | None = Field(alias="from")
    to: str | None
    timestamp: str
    """Unix seconds."""
    type: str
    body: str | None
    """The text; of what has none, a description in brackets."""
    raw: dict[str, Any]
    """The message as Meta has it."""
    participant_numbers: list[str] = absent()
    direction: Literal["in", "out"] = absent()
    origin: str | None = absent()
    """Who wrote an outbound message: `ai`, `bulk`, `staff`, …"""
    contact: str = absent()
    """Our own id of the contact."""
    status: str | None = absent()
    status_times: dict[str, Any] = absent()
    """When each status was reached, in Unix seconds."""
    outbox_id: str | None = absent()
    pricing: dict[str, Any] | None = absent()
    """What Meta says of the price."""
    error: str | None = absent()
    error_code: int | str | None = absent()


class History(OfAccount):
    """Messages with one person, newest first."""

    count: int
    messages: list[Message]
    partial: bool = absent()
    """True where MongoDB did not answer: the messages are those of the journal alone."""


class HistoryLine(Shape):
    """The messages with one of many people."""

    number: str
    success: bool
    count: int
    messages: list[Message]
    partial: bool = absent()
    duplicate: bool = absent()
    error: str = absent()


class Histories(OfAccount):
    """Messages with many people."""

    total_numbers: int
    successful: int
    failed: int
    total_messages: int
    results: list[HistoryLine]


class AssistantState(Shape):
    """Whether the assistant answers somebody."""

    state: Literal["on", "paused"]
    until: Seconds | None
    """When it goes on by itself; null: only by `resume`."""
    reason: str | None


class Attention(Shape):
    """Since when and why somebody waits for a person."""

    since: Seconds
    reason: str | None


class Contact(OfAccount):
    """A person as wabot knows them."""

    number: str | None
    bsuid: str | None
    """Meta's id of a person, who may hide their number."""
    name: str
    assistant: AssistantState
    window_closes_at: Seconds | None
    """Until when free texts are possible; null: only templates."""
    stopped: Literal["all", "marketing", "unreachable"] | None
    attention: Attention | None
    last_message: Message | None


class Contacts(OfAccount):
    """A page of contacts, latest talk first."""

    count: int
    contacts: list[Contact]
    next_cursor: str = absent()


class OptOut(OfAccount):
    """Whether somebody gets messages."""

    number: str
    opted_out: bool


class Forgotten(OfAccount):
    """How much was removed."""

    messages: int
    jobs: int
    archived: int
    media: int


class Merge(OfAccount):
    """Two contacts that turned out to be one person: `contact` was kept, `merged` went into it. Our own ids."""

    id: int
    contact: int
    merged: int
    numbers: list[str | None]
    bsuids: list[str | None]
    reason: str
    asked_at: Seconds | None
    done_at: Seconds | None
    undone_at: Seconds | None


class Merges(OfAccount):
    """The latest merges, newest first."""

    count: int
    merges: list[Merge]
