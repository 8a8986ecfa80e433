"""Makes the OpenAPI 3.1 document of the API from the models of its requests and answers.

https://spec.openapis.org/oas/v3.1.1
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from wabot import __version__
from wabot.web.reference.answers import Error
from wabot.web.reference.operation import Operation, Shapes
from wabot.web.reference.people import OPERATIONS as PEOPLE
from wabot.web.reference.running import OPERATIONS as RUNNING
from wabot.web.reference.running_answers import EventBody
from wabot.web.reference.sending import OPERATIONS as SENDING
from wabot.web.request_models import RecipientModel
from wabot.web.request_preferences import KEY_LENGTH

OPERATIONS: list[Operation] = [*SENDING, *PEOPLE, *RUNNING]

_REF = "#/components/schemas/{model}"
_ERROR = {"$ref": "#/components/schemas/Error"}
_ACCOUNT = "One of `[[accounts]]`; default: the first one. Only where there are several."
_ABOUT = """\
JSON in, JSON out. Every error is `{"error": {"code", "message", "details"}}`, and says in plain words what is wrong.
Numbers are accepted with `+`, spaces, dashes and brackets, and answered as digits; a BSUID, which stands for a person
whose number is hidden, is accepted wherever a number is. Times are Unix seconds, unless something else is said. Later
versions may add fields to answers.
"""
_PATH = {
    "number": "A phone number (write `+` as `%2B` or leave it out), or a BSUID.",
    "id": "An id that a list or an earlier answer gave.",
    "kind": "`reply`, `send` or `event`.",
    "phone_number_id": "Meta's id of one of our numbers, whose webhooks alone are taken in.",
}
_SECURITY: Mapping[str, list[dict[str, list[str]]]] = {
    "key": [{"bearer": []}, {"key": []}],
    "signature": [{"signature": []}],
    "token": [{"verifyToken": []}],
    "open": [],
}
_SCHEMES = {
    "bearer": {
        "type": "http", "scheme": "bearer",
        "description": "A key of `server.api_keys`; where none is set, the one in the file `api-key` of"
                       " `server.data_dir`. The sandbox needs none.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, without `Bearer`."},
    "signature": {
        "type": "apiKey", "in": "header", "name": "X-Hub-Signature-256",
        "description": "Meta's: `sha256=` and the HMAC-SHA256 of the raw body, keyed with the app secret, in hex.",
    },
    "verifyToken": {
        "type": "apiKey", "in": "query", "name": "hub.verify_token", "description": "`whatsapp.verify_token`.",
    },
}  # fmt: skip
_OF_KEYS = {
    401: "No key, a wrong one, or one of another account.",
    404: "There is no such account.",
    422: "Understood, but not valid: `details` names each field.",
    503: "Not now: the journal cannot be written, or too much is being received. Try again.",
}
_OF_BODIES = {
    400: "The body is not JSON.",
    408: "The body took too long.",
    413: "The body is too large.",
    415: "The body is not sent as `application/json`.",
}


class _Schemas(GenerateJsonSchema):
    """Without titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document. Takes some 0.2 s the first time."""
    paths: dict[str, dict[str, Any]] = {}
    schemas = _schemas()
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wabot",
            "version": __version__,
            "summary": "A WhatsApp auto-responder",
            "description": _ABOUT,
        },
        "servers": [{"url": "/"}],
        "security": _SECURITY["key"],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": paths,
        "webhooks": {"event": {"post": _EVENT}},
        "components": {"schemas": schemas, "securitySchemes": _SCHEMES},
    }


@cache
def encoded() -> bytes:
    """The document as JSON."""
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()


def _schemas() -> dict[str, Any]:
    bodies: set[Shapes] = {operation.body for operation in OPERATIONS if operation.body is not None} | {RecipientModel}
    answers: set[Shapes] = {
        shape for operation in OPERATIONS for shape in operation.answers.values() if shape is not None
    }
    beside: set[Shapes] = {Error, EventBody}
    models: list[Shapes] = sorted(beside | bodies | answers, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF, schema_generator=_Schemas
    )
    schemas: dict[str, Any] = found["$defs"]
    for body in bodies - {RecipientModel}:
        schemas[body.__name__]["properties"]["account"] = {"type": "string", "description": _ACCOUNT}
    return schemas


def _operation(operation: Operation, schemas: Mapping[str, Any]) -> dict[str, Any]:
    described = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": operation.details} if operation.details else {}),
        "security": _SECURITY[operation.access],
        "parameters": [*_parameters(operation)],
        "responses": {str(status): answer for status, answer in sorted(_responses(operation).items())},
    }
    if operation.body is not None:
        examples = {name: {"value": each.body} for name, each in operation.examples.items()}
        content = {"schema": _ref(operation.body), "examples": examples}
        required = not operation.body_optional
        described["requestBody"] = {"required": required, "content": {"application/json": content}}
    elif operation.access == "signature":
        described["requestBody"] = {
            "required": True,
            "description": "As Meta has it; see its documentation of webhooks.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    return described


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    first = next(iter(operation.examples.values()), None)
    for name in re.findall(r"{(\w+)}", operation.path):
        example = {"example": first.path[name]} if first and name in first.path and first.path[name] != "…" else {}
        yield {
            "name": name, "in": "path", "required": True, "description": _PATH[name],
            "schema": {"type": "string", "minLength": 1}, **example,
        }  # fmt: skip
    if operation.query is not None:
        schema = operation.query.model_json_schema(schema_generator=_Schemas, ref_template=_REF)
        for name, of_field in schema["properties"].items():
            about = {"description": of_field.pop("description")} if "description" in of_field else {}
            example = {"example": first.query[name]} if first and name in first.query else {}
            yield {"name": name, "in": "query", "schema": _without_null(of_field), **about, **example}
    if operation.access == "key":
        yield {"name": "account", "in": "query", "schema": {"type": "string"}, "description": _ACCOUNT}
    if operation.access == "token":
        for name, of_field in (("hub.mode", {"const": "subscribe"}), ("hub.challenge", {"type": "string"})):
            yield {"name": name, "in": "query", "required": True, "schema": of_field}
    if operation.queues:
        yield from _QUEUING


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a query's field: what is not given there is left out, and never null."""
    choices = [choice for choice in schema.pop("anyOf", []) if choice != {"type": "null"}]
    if schema.get("default") in (None, ""):
        schema.pop("default", None)
    return {**schema, "anyOf": choices} if len(choices) > 1 else {**schema, **next(iter(choices), {})}


_QUEUING = (
    {
        "name": "Prefer", "in": "header", "schema": {"type": "string"},
        "description": "`respond-async`, or `wait=` and seconds (RFC 7240). Default: `api.wait_seconds`.",
    },
    {
        "name": "Idempotency-Key", "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH, "pattern": "^[!-~]+$"},
        "description": "Any text of your own. The same key and body are the same request.",
    },
)  # fmt: skip


def _responses(operation: Operation) -> dict[int, dict[str, Any]]:
    common = _OF_KEYS if operation.access == "key" else {}
    may_have_body = operation.body is not None or (operation.access == "key" and operation.method != "GET")
    common = {**common, **(_OF_BODIES if may_have_body else {})}
    found: dict[int, dict[str, Any]] = {
        status: {"description": words, "content": {"application/json": {"schema": _ERROR}}}
        for status, words in {**common, **operation.refuses}.items()
    }
    for status, shape in operation.answers.items():
        content = {"schema": {"type": "object"} if shape is None else _ref(shape)}
        examples = {name: {"value": each.answer} for name, each in operation.examples.items() if each.status == status}
        shown = {"examples": examples} if examples else {}
        about = found.get(status, {}).get("description") or _SUCCESS.get(status, "Done.")
        found[status] = {"description": about, "content": {"application/json": {**content, **shown}}}
    for kind, about in operation.text.items():
        response = found.setdefault(200, {"description": about, "content": {}})
        response["content"][kind] = {"schema": {"type": "string"}}
    return found


_EVENT = {
    "operationId": "event",
    "summary": "Something happened",
    "description": "Posted to each endpoint of `[[events]]` until it answers 2xx, in order per contact, with the same"
                   " `webhook-id` each time; 410 ends it. https://www.standardwebhooks.com",
    "security": [],
    "parameters": [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": _REF.format(model=EventBody.__name__)}}},
    },
    "responses": {"2XX": {"description": "Taken."}, "410": {"description": "Nothing more is wanted until a restart."}},
}  # fmt: skip
_SUCCESS = {200: "Done.", 202: "Accepted; not done yet."}


def _ref(model: Shapes) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
