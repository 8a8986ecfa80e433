"""The request models. Invalid requests are refused, with the field and the reason."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wabot.core.whatsapp_text import MAX_BODY
from wabot.web.request_fields import Components, Cursor, ErrorCode, Hours, Instant, Limit, Message, Month, Number

MAX_RECIPIENTS, MAX_HISTORIES = 10_000, 1_000


class Model(BaseModel):
    """The base of all models. Unknown fields are errors: a misspelt one would be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Template(Model):
    """A template of the WhatsApp Business Account."""

    name: Annotated[str, Field(min_length=1, max_length=512)]
    language: Annotated[str, Field(min_length=1, max_length=20)] = "en_US"
    components: Components = []


class RecipientModel(Model):
    """One recipient, with their own parameters or (None) those of the template."""

    number: Number
    components: Components | None = None


class InitiateBulk(Model):
    """`POST /initiate-bulk`: either `numbers` or `recipients` (each a RecipientModel, validated one by one)."""

    numbers: Annotated[list[Number], Field(max_length=MAX_RECIPIENTS)] = []
    recipients: Annotated[
        list[Any],
        Field(
            max_length=MAX_RECIPIENTS,
            description="Instead of `numbers`: each with parameters of their own",
            json_schema_extra={"items": {"$ref": "#/components/schemas/RecipientModel"}},
        ),
    ] = []
    template: Annotated[Template | None, Field(description="Default: the one of [first_contact]")] = None
    send_at: Annotated[Instant, Field(description="When, at most 30 days ahead; with an offset")] = None
    dry_run: Annotated[bool, Field(strict=True, description="Queue nothing; say what would be sent")] = False

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if bool(self.numbers) == bool(self.recipients):
            raise ValueError("give either numbers or recipients, and at least one")
        return self


class SendMessage(Model):
    """`POST /messages`: exactly one of `text`, `template` and `message`, which is Meta's own object."""

    number: Number
    text: Annotated[str, Field(max_length=MAX_BODY)] | None = None
    template: Template | None = None
    message: Annotated[
        Message | None,
        Field(description="A message object of Meta's, of any type"),
    ] = None
    reply_to: Annotated[
        Annotated[str, Field(min_length=1, max_length=300)] | None,
        Field(description="The id (wamid) of a message of that talk, which is quoted"),
    ] = None
    takeover: Annotated[
        bool, Field(strict=True, description="Pause the assistant for this contact, as if a colleague had written")
    ] = False

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if sum(given is not None for given in (self.text, self.template, self.message)) != 1:
            raise ValueError("give exactly one of text, template and message")
        return self


class Pause(Model):
    """`POST /contacts/{number}/pause`: `hours` None = until resumed."""

    hours: Annotated[Hours | None, Field(description="null: until it is resumed")] = 12
    reason: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class Get(Model):
    """`POST /get`: `limit` 0 = all."""

    number: Number
    limit: Limit = 0
    include: Annotated[
        list[Literal["queued", "failed"]], Field(description="Also messages that Meta has not accepted")
    ] = []
    before: Annotated[
        Annotated[str, Field(min_length=1, max_length=300)] | None,
        Field(description="The `id` of the last message of the page before: those that are older"),
    ] = None


class GetBulk(Model):
    """`POST /get-bulk`: `limit` messages of each number."""

    numbers: Annotated[list[Number], Field(min_length=1, max_length=MAX_HISTORIES)]
    limit: Limit = 0


class ReadyQuery(Model):
    """`GET /readyz`."""

    strict: Annotated[bool, Field(description="Answer 503 while there is any problem")] = False


class TemplatesQuery(Model):
    """`GET /templates`."""

    refresh: Annotated[bool, Field(description="Ask Meta now")] = False


class CostsQuery(Model):
    """`GET /costs`: `month` as 2026-10; None is this one, in UTC."""

    month: Annotated[
        Month | None,
        Field(description="As 2026-10, in UTC; default: this one"),
    ] = None


class ContactsQuery(Model):
    """`GET /contacts`: all optional. `cursor`: where to continue."""

    search: Annotated[str, Field(max_length=200, description="In names, numbers and the newest texts")] = ""
    attention: Annotated[bool, Field(description="Only those who wait for a person")] = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[
        Annotated[str, Field(pattern=r"^-?[0-9]{1,18}$")] | None,
        Field(description="The `next_cursor` of the page before"),
    ] = None


class MergesQuery(Model):
    """`GET /merges`."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class OutboxQuery(Model):
    """`GET /outbox`: all optional. `cursor`: the outbox id after which to continue. `message`: for sends only."""

    kind: Literal["send", "reply", "event"] = "send"
    message: Annotated[
        Literal["undelivered", "unread"] | None, Field(description="What became of it at the customer's; for sends")
    ] = None
    state: (
        Literal["waiting", "queued", "running", "in_doubt", "held", "done", "failed", "cancelled", "expired", "parked"]
        | None
    ) = None
    number: Number = ""
    batch_id: Annotated[str, Field(max_length=100)] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    cursor: Cursor = ""

    @model_validator(mode="after")
    def _what_the_kind_has(self) -> Self:
        if self.message and self.kind != "send":
            raise ValueError("message: only for sends; leave out kind")
        if self.batch_id and self.kind == "event":
            raise ValueError("batch_id: no event belongs to a batch")
        return self


class EventsQuery(Model):
    """`GET /events`: all optional. `cursor`: the id of the event after which to continue."""

    state: Literal["waiting", "queued", "running", "done", "failed", "cancelled"] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    cursor: Cursor = ""


class RetryAll(Model):
    """`POST /outbox/retry`: which sends to retry. Without `may_repeat` none that may arrive twice."""

    batch_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    error_code: ErrorCode | None = None
    may_repeat: Annotated[bool, Field(strict=True, description="Also those that may then arrive twice")] = False


class BatchQuery(Model):
    """`GET /batches/{id}`."""

    format: Annotated[Literal["json", "csv"], Field(description="csv: the results as a table")] = "json"


class BatchesQuery(Model):
    """`GET /batches`: `cursor` is the batch id after which to continue."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor = ""
