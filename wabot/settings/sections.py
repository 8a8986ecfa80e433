"""The sections of config.toml: keys, types, ranges, defaults. `config.toml.example` explains every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    ValidationInfo,
    field_validator,
)

from wabot.core import optout
from wabot.core.conversation import LEAST_PROMPT, TALK_CHARACTERS
from wabot.core.exceptions import InvalidInput
from wabot.core.reply_caps import HIGHEST
from wabot.core.sends_in_flight import MOST
from wabot.core.standard_webhooks import key_of
from wabot.core.whatsapp_text import MAX_BODY, MOST_BUBBLES
from wabot.settings.time_zones import OptionalTimezone


def _http_url(text: str) -> str:
    if text and not (text.startswith(("http://", "https://")) and _has_host(text)):
        raise ValueError("must be an address that starts with http:// or https://")
    return text.rstrip("/")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:  # a port that is none, or a bracket without its other one
        return False


MOST_FALLBACKS = 5
"""Each of them lengthens the time for which a contact waits."""

SHORTEST_KEY = 16
"""The fewest characters of an API key, so that it cannot be guessed."""


def _long_enough(secret: SecretStr) -> SecretStr:
    key = secret.get_secret_value().strip()  # a header cannot carry spaces around it
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"must have at least {SHORTEST_KEY} characters (`openssl rand -hex 32` makes a good one)")
    return SecretStr(key)


ApiKeys = Annotated[tuple[Annotated[SecretStr, AfterValidator(_long_enough)], ...], Strict(False)]
Count = Annotated[int, Field(ge=1)]
Cap = Annotated[int, Field(ge=0, le=HIGHEST)]
Seconds = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Said = Annotated[str, Field(max_length=MAX_BODY)]
"""What people are told in one message."""
Url = Annotated[str, AfterValidator(_http_url)]
Words = Annotated[tuple[Text, ...], Strict(False)]
OptionalPath = Annotated[
    Annotated[Path, Strict(False)] | None, BeforeValidator(lambda value: None if value == "" else value)
]


class Section(BaseModel):
    """A table of config.toml. Strict, since TOML has types; text from the environment is converted before."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        str_strip_whitespace=True,
        hide_input_in_errors=True,
    )


class Server(Section):
    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    api_keys: ApiKeys = ()
    data_dir: Annotated[Path, Strict(False)] = Path("data")
    retention_days: Count = 30
    public_url: Url = ""


class Api(Section):
    wait_seconds: NotNegative = 20


class WhatsApp(Section):
    access_token: SecretStr = SecretStr("")
    phone_number_id: str = ""
    business_account_id: str = ""
    verify_token: SecretStr = SecretStr("")
    app_secret: SecretStr = SecretStr("")
    graph_api_base: Annotated[Url, Field(min_length=1)] = "https://graph.facebook.com/v26.0"
    allow_unsigned: bool = False
    ignore_phone_number_ids: Words = ()


class FirstContact(Section):
    answer: Literal["template", "ai", "template_then_ai"] = "template"
    template: Text = "hello_world"
    language: Text = "en_US"
    components: Annotated[tuple[dict[str, Any], ...], Strict(False)] = ()


def _usual_model(model: str, info: ValidationInfo) -> str:
    return model or ("gemini-2.5-flash" if info.data.get("provider") == "gemini" else "")


ModelText = Annotated[str, AfterValidator(_usual_model)]


class ModelSettings(Section):
    """One model, and how to reach it."""

    provider: Literal["gemini", "openai", "canned"] = "gemini"
    model: ModelText = ""
    api_key: SecretStr = SecretStr("")
    base_url: Url = ""
    timeout_seconds: Seconds = 30


def _one_object(schema: dict[str, Any]) -> dict[str, Any]:
    from wabot.json_schema import Schema  # noqa: PLC0415  its library costs memory

    try:
        Schema(schema)
    except InvalidInput as error:
        raise ValueError(f"must be a JSON Schema: {error}") from None
    if schema.get("type") != "object":
        raise ValueError('must be a JSON Schema with type = "object"')
    return schema


def _signs(secret: SecretStr) -> SecretStr:
    try:
        key_of(secret.get_secret_value())
    except InvalidInput as error:
        raise ValueError(str(error)) from None
    return secret


WebhookSecret = Annotated[SecretStr, AfterValidator(_signs)]
NeededUrl = Annotated[Url, Field(min_length=1)]


class ToolSettings(Section):
    """An HTTP endpoint of the owner's that a model may call."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
    description: Text
    url: NeededUrl
    secret: WebhookSecret
    parameters: Annotated[dict[str, Any], AfterValidator(_one_object)] = {"type": "object", "properties": {}}
    timeout_seconds: Seconds = 5


class Assistant(Section):
    provider: Literal["gemini", "openai", "canned"] = "gemini"
    model: ModelText = ""
    api_key: SecretStr = SecretStr("")
    base_url: Url = ""
    fallbacks: Annotated[tuple[ModelSettings, ...], Strict(False), Field(max_length=MOST_FALLBACKS)] = ()
    tools: Annotated[tuple[ToolSettings, ...], Strict(False)] = ()
    prompt_file: OptionalPath = None
    prompt_characters: Annotated[int, Field(ge=LEAST_PROMPT)] = TALK_CHARACTERS
    knowledge_dir: OptionalPath = None
    knowledge_characters: Annotated[int, Field(ge=0)] = 24_000
    timezone: OptionalTimezone = ""
    history_messages: Annotated[int, Field(ge=0)] = 20
    history_hours: NotNegative = 0
    max_age_hours: Annotated[float, Field(gt=0, le=24)] = 12
    timeout_seconds: Seconds = 30
    quiet_seconds: NotNegative = 2
    quiet_max_seconds: NotNegative = 15
    replies_per_contact_hour: Cap = 30
    replies_per_contact_day: Cap = 150
    calls_per_day: Annotated[int, Field(ge=0)] = 0
    limit_notice: Said = ""
    max_bubbles: Annotated[int, Field(ge=1, le=MOST_BUBBLES)] = 1
    typing: bool = True
    media: bool = True
    fallback_text: Said = "Thank you for your message! Someone from our team will get back to you soon."

    @field_validator("tools")
    @classmethod
    def _of_different_names(cls, tools: tuple[ToolSettings, ...]) -> tuple[ToolSettings, ...]:
        if len({tool.name for tool in tools}) < len(tools):
            raise ValueError("must have different names")
        return tools

    @field_validator("quiet_max_seconds")
    @classmethod
    def _not_below_quiet(cls, longest: float, info: ValidationInfo) -> float:
        if longest < info.data.get("quiet_seconds", 0):
            raise ValueError("must not be less than quiet_seconds")
        return longest

    @property
    def first_model(self) -> ModelSettings:
        """The model that is asked first."""
        return ModelSettings(**{key: getattr(self, key) for key in ModelSettings.model_fields})


class Mongo(Section):
    uri: SecretStr = SecretStr("")
    database: Text = "chat_db"
    collection: Text = "user_chat"

    @field_validator("uri")
    @classmethod
    def _mongo_scheme(cls, uri: SecretStr) -> SecretStr:
        if uri and not uri.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("must start with mongodb:// or mongodb+srv:// (or be empty: the embedded archive)")
        return uri


class Delivery(Section):
    messages_per_second: Annotated[float, Field(ge=0)] = 80
    pair_interval_seconds: Seconds = 6
    pair_burst: Count = 45
    concurrency: Count = 32
    attempts: Count = 8
    backoff_base_seconds: Seconds = 1
    backoff_max_seconds: Seconds = 300
    hold_seconds: Seconds = 90
    in_doubt: Literal["resend", "park"] = "resend"
    reply_expires_seconds: Seconds = 3600

    @property
    def sends_at_once(self) -> int:
        """The most requests to Graph in flight: `concurrency` if it is set, for the rate decides otherwise."""
        return self.concurrency if "concurrency" in self.model_fields_set else MOST

    @field_validator("backoff_max_seconds")
    @classmethod
    def _not_below_base(cls, longest: float, info: ValidationInfo) -> float:
        if longest < info.data.get("backoff_base_seconds", 0):
            raise ValueError("must not be less than backoff_base_seconds")
        return longest


class OptOut(Section):
    """A word counts only if it is the whole message; case does not matter."""

    stop_words: Words = optout.STOP_WORDS
    start_words: Words = optout.START_WORDS
    confirmation: Said = "You will get no more messages from us. Send START if you change your mind."
    welcome_back: Said = "Welcome back! You will hear from us again."
    shared: bool = False


class Log(Section):
    format: Literal["console", "json"] = "console"
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    ] = "info"
    bodies: bool = False


TABLES: dict[str, type[Section]] = {"fallbacks": ModelSettings, "tools": ToolSettings}
"""The keys that are arrays of tables."""

SANDBOX_TAKES = frozenset(
    {"api", "bulk", "first_contact", "assistant", "handoff", "delivery", "media", "optout", "log"}
)
"""The sections that the sandbox reads: how to answer and how to retry, but no addresses and no credentials."""

SANDBOX: dict[str, dict[str, Any]] = {
    "server": {"data_dir": "data/sandbox"},
    "whatsapp": {
        "access_token": "sandbox-token",
        "phone_number_id": "100000000000001",
        "business_account_id": "200000000000002",
        "verify_token": "sandbox-verify",
        "app_secret": "sandbox-secret",
        "graph_api_base": "http://127.0.0.1:9/v26.0",  # replaced by the stand-in's address later
    },
}
SANDBOX_DEFAULTS: dict[str, dict[str, Any]] = {"assistant": {"provider": "canned", "quiet_seconds": 1}}
