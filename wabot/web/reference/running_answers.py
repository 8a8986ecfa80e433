"""The shapes of the answers about the outbox, events, templates and the state of wabot."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from wabot.core.owner_events import TYPES
from wabot.web.reference.answers import JobState, OfAccount, Seconds, Shape, Word, absent


class Job(Shape):
    """A send, a reply or an event in the outbox. Only sends have all the fields."""

    outbox_id: str
    kind: Literal["send", "reply", "event"]
    number: str | None
    state: JobState
    created_at: Seconds
    due_at: Seconds
    """When it is tried next."""
    expires_at: Seconds | None
    settled_at: Seconds | None
    attempts: int
    why: str | None
    """Why it waits, in plain words."""
    error: str | None
    error_code: int | str | None = absent()
    bsuid: str | None = absent()
    type: str = absent()
    """The message's type at Meta; of an event, its own."""
    origin: str | None = absent()
    batch_id: str | None = absent()
    message_id: str | None = absent()
    """Meta's id (wamid)."""
    message_status: str | None = absent()
    """What became of the message at the customer's: `sent`, `delivered`, `read`, `failed`, …"""
    status_times: dict[str, Any] = absent()
    pacing: str | None = absent()
    """Meta's word, where it accepted a template message and holds it back to assess the template."""
    note: str | None = absent()
    endpoint: str = absent()
    webhook_id: str = absent()


class WholeJob(Job, OfAccount):
    """One send with all details, or one reply."""

    content: dict[str, Any] = absent()
    """What Meta was asked to send."""
    response: dict[str, Any] | None = absent()
    """Meta's answer."""
    copies: list[dict[str, Any]] = absent()
    """Further messages of Meta's that this send led to, when its answer was lost and it was sent again."""


class Outbox(OfAccount):
    """A page of jobs, newest first."""

    count: int
    outbox: list[Job]
    next_cursor: str = absent()


class Retried(OfAccount):
    """How many sends are tried again, and how many were left because they may arrive twice."""

    retried: int
    left: int


class Event(OfAccount):
    """Something that happened, on its way to one of the owner's programs."""

    id: str
    endpoint: str
    type: str
    state: Literal["waiting", "queued", "running", "done", "failed", "cancelled"]
    created_at: Seconds
    due_at: Seconds
    expires_at: Seconds | None
    settled_at: Seconds | None
    attempts: int
    error: str | None
    webhook_id: str
    """The header `webhook-id`, which is the same at each try."""
    number: str | None
    """The contact that it is about, if any."""


class Events(OfAccount):
    """A page of events, newest first."""

    count: int
    events: list[Event]
    next_cursor: str = absent()


class EventBody(Shape):
    """What is posted to the endpoints of `[[events]]`, as Standard Webhooks says."""

    type: str = Field(json_schema_extra={"enum": list(TYPES)})
    timestamp: str = Field(json_schema_extra={"format": "date-time"})
    data: dict[str, Any]
    """Of `message.*`: `message` as `Message`, and `contact` as `Contact`. Of `contact.*`: `contact`. Of
    `batch.settled`: the batch's counts."""
    account: str = absent()


class Parameter(Shape):
    """A value that every send of a template must give."""

    component: str
    type: str
    name: str = absent()
    position: int = absent()
    sub_type: str = absent()
    index: int = absent()
    """Of a button."""


class TemplateShown(Shape):
    """A template in one language, in Meta's words."""

    name: str
    language: str
    status: str
    category: str
    body: str
    parameters: list[Parameter]


class Templates(OfAccount):
    """The templates of the WhatsApp Business Account."""

    count: int
    templates: list[TemplateShown]


class CostLine(Shape):
    """Messages of one of Meta's categories."""

    category: str
    billable: bool
    count: int


class Costs(OfAccount):
    """The messages of a month (UTC) that Meta put a price on."""

    month: str
    messages: list[CostLine]
    total: int


class Probed(OfAccount):
    """A lane's state after the probe was asked for."""

    lane: Literal["reply", "send", "event"]
    state: str
    reason: str | None


class Alive(Shape):
    """The process answers."""

    status: Literal["ok"]


class Trouble(Shape):
    """Something that is wrong."""

    what: str
    since: Seconds
    remedy: str
    """What to do about it."""
    next_probe: Seconds = absent()
    account: str = absent()
    accounts: list[str] = absent()


class Ready(Shape):
    """The state of wabot."""

    ready: bool
    """Whether the journal can be written and the lanes run."""
    journal: Literal["ok", "down"]
    lanes: dict[str, str]
    paused: dict[str, str]
    """Why lanes are paused, by lane."""
    mongo: Word | Literal["embedded"]
    """`embedded`: there is no MongoDB; the journal is the archive."""
    graph: Word
    llm: Word
    last_webhook_at: Seconds | None
    problems: list[Trouble]
    """Empty when all is well."""
    accounts: dict[str, dict[str, Any]] = absent()
    """The state of each account, where there are several."""


class NotReady(Ready):
    """The same beside an error."""

    error: dict[str, Any]


class Received(Shape):
    """How many messages a webhook held, and how many of them were new."""

    received: int
    stored: int
