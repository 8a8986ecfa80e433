"""Tools that a model may call while it makes an answer: what it is told of them, its calls, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, as a model is told of it. `parameters`: a JSON Schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A model's call of a tool. `id`: the model's own. `arguments`: None if they are no JSON object."""

    id: str
    name: str
    arguments: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Result:
    """What a call led to, as the model is told: the tool's words, or, if it `failed`, why there are none.

    `logged`: why, in words that repeat nothing of the conversation; "": as in `text`.
    """

    text: str
    failed: bool = False
    logged: str = ""

    @property
    def for_model(self) -> str:
        """Its text, where a protocol does not tell failures from other results."""
        return f"Error: {self.text}" if self.failed else self.text


@dataclass(frozen=True, slots=True)
class Round:
    """One answer of a model with calls, and their results in the same order.

    `said`: the answer as the adapter had it, which is repeated to the model in the next request.
    """

    calls: tuple[Call, ...]
    results: tuple[Result, ...]
    said: Any


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools, and what the model did with them so far. `may_call`: whether it may call (again) now."""

    tools: tuple[Tool, ...] = ()
    rounds: tuple[Round, ...] = ()
    may_call: bool = True


NO_TOOLS = ToolUse()


_GEMINI_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object"})
_GEMINI_FORMATS = {
    "number": frozenset({"float", "double"}), "integer": frozenset({"int32", "int64"}),
    "string": frozenset({"enum", "date-time"}),
}  # fmt: skip


_DEEPEST = 10
"""Levels of a schema that Gemini is told: one may contain itself."""


def gemini_schema(schema: Any) -> dict[str, Any]:
    """A JSON Schema in the part of OpenAPI that Gemini reads; the rest is left out, as we check arguments ourselves.

    https://ai.google.dev/api/caching#Schema
    """
    return _of_part(schema, schema, _DEEPEST)


def _of_part(schema: Any, root: Any, levels: int) -> dict[str, Any]:
    schema = _referred(schema, root) if levels else {}
    kinds = schema.get("type")
    listed = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind in _GEMINI_TYPES]
    if not listed and (choices := [*schema.get("anyOf", ()), *schema.get("oneOf", ())]):
        parts = [_referred(choice, root) for choice in choices]
        typed = [part for part in parts if part.get("type") in _GEMINI_TYPES]
        return _of_part({**(typed[0] if typed else {"type": "string"}), **_described(schema)}, root, levels)
    kind = listed[0] if listed else "object" if "properties" in schema else "string"
    found: dict[str, Any] = {"type_": kind.upper(), **_described(schema)}
    if isinstance(kinds, list) and "null" in kinds:
        found["nullable"] = True
    if kind == "string" and (words := [word for word in schema.get("enum", ()) if isinstance(word, str)]):
        found["enum"], found["format_"] = words, "enum"
    elif schema.get("format") in _GEMINI_FORMATS.get(kind, ()):
        found["format_"] = schema["format"]
    if kind == "array":
        found["items"] = _of_part(schema.get("items", {}), root, levels - 1)
    if kind == "object" and schema.get("properties"):
        found["properties"] = {name: _of_part(part, root, levels - 1) for name, part in schema["properties"].items()}
        found["required"] = [name for name in schema.get("required", ()) if name in found["properties"]]
    return found


def _referred(schema: Any, root: Any) -> Mapping[str, Any]:
    """The part of a schema, or of `root` the part to which its $ref points, with what stands beside it."""
    for _ in range(_DEEPEST):
        pointer = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not isinstance(pointer, str) or not pointer.startswith("#/"):
            break
        target = root
        for name in pointer[2:].split("/"):
            target = target.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**target, **beside} if isinstance(target, Mapping) else beside
    return schema if isinstance(schema, Mapping) else {}


def _described(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": schema["description"]} if isinstance(schema.get("description"), str) else {}
