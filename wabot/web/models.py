"""The shapes of requests. What does not fit is refused with the place and the reason."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MAX_RECIPIENTS, MAX_HISTORIES = 10_000, 1_000


def _digits(value: object) -> object:
    """A number may be a JSON integer; a fraction must not: its point and zero would become part of the number."""
    return str(value) if type(value) is int else value


def _parameters(component: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(component.get("parameters", []), list):
        raise ValueError("parameters must be a list")
    return component


Number = Annotated[str, BeforeValidator(_digits), Field(max_length=200)]
Component = Annotated[dict[str, Any], AfterValidator(_parameters)]


class Model(BaseModel):
    """Unknown fields are errors: a misspelt one would silently do something else than asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Template(Model):
    """A template of the WhatsApp Business Account."""

    name: Annotated[str, Field(min_length=1, max_length=512)]
    language: Annotated[str, Field(min_length=1, max_length=20)] = "en_US"
    components: list[Component] = []


class RecipientModel(Model):
    """One recipient with parameters of their own; none = the template's."""

    number: Number
    components: list[Component] | None = None


class InitiateBulk(Model):
    """`POST /initiate-bulk`: either `numbers` or `recipients`."""

    numbers: list[Number] = []
    recipients: list[RecipientModel] = []
    template: Template | None = None

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if bool(self.numbers) == bool(self.recipients):
            raise ValueError("give either numbers or recipients, and at least one")
        if len(self.numbers) + len(self.recipients) > MAX_RECIPIENTS:
            raise ValueError(f"at most {MAX_RECIPIENTS} recipients per request")
        return self


class Get(Model):
    """`POST /get`: `limit` 0 = all."""

    number: Number
    limit: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    include: list[Literal["queued", "failed"]] = []


class GetBulk(Model):
    """`POST /get-bulk`: `limit` messages of each number."""

    numbers: Annotated[list[Number], Field(min_length=1, max_length=MAX_HISTORIES)]
    limit: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class OutboxQuery(Model):
    """`GET /outbox`: all optional; `cursor` is the outbox id after which to go on."""

    state: (
        Literal["waiting", "queued", "running", "in_doubt", "held", "done", "failed", "cancelled", "expired", "parked"]
        | None
    ) = None
    number: Number = ""
    batch_id: Annotated[str, Field(max_length=100)] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    cursor: Annotated[str, Field(max_length=100)] = ""
