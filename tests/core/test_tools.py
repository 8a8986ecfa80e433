from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from wabot.core.exceptions import InvalidInput
from wabot.core.tools import gemini_schema
from wabot.json_schema import Schema


def test_what_a_schema_refers_to_is_told_to_gemini_in_its_place() -> None:
    size = {"type": "integer", "description": "In cm"}
    found = gemini_schema(
        {
            "type": "object",
            "properties": {
                "size": {"$ref": "#/$defs/a~1size"},
                "own": {"$ref": "#/$defs/alias", "description": "Of the box"},
                "one": {"anyOf": [{"$ref": "#/$defs/alias"}, {"type": "null"}]},
                "away": {"$ref": "#elsewhere"},
            },
            "$defs": {"a/size": size, "alias": {"$ref": "#/$defs/a~1size"}},
        }
    )
    told = {"type_": "INTEGER", "description": "In cm"}
    assert found["properties"] == {
        "size": told, "own": {**told, "description": "Of the box"}, "one": told, "away": {"type_": "STRING"},
    }  # fmt: skip


def test_a_schema_that_contains_itself_is_told_to_some_depth() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}, "self": {"$ref": "#/$defs/self"}}}
    told = json.dumps(gemini_schema({**tree, "$defs": {"tree": tree, "self": {"$ref": "#/$defs/self"}}}))
    assert 5 < told.count("left") < 20


@pytest.mark.parametrize(
    ("schema", "geminis"),
    [
        ({"type": "string", "minLength": 2, "description": "A name"}, {"type_": "STRING", "description": "A name"}),
        ({"enum": ["S", "M"], "type": "string"}, {"type_": "STRING", "enum": ["S", "M"], "format_": "enum"}),
        ({"type": "string", "format": "date"}, {"type_": "STRING"}),
        ({"type": "integer", "format": "int64"}, {"type_": "INTEGER", "format_": "int64"}),
        ({"type": ["null", "number"]}, {"type_": "NUMBER", "nullable": True}),
        ({"type": "array", "items": {"type": "boolean"}}, {"type_": "ARRAY", "items": {"type_": "BOOLEAN"}}),
        ({"type": "array"}, {"type_": "ARRAY", "items": {"type_": "STRING"}}),
        (
            {"anyOf": [{"$ref": "#/x"}, {"type": "integer"}], "description": "x"},
            {"type_": "INTEGER", "description": "x"},
        ),
        ({"oneOf": [{"const": 1}]}, {"type_": "STRING"}),
        (True, {"type_": "STRING"}),
        (
            {"properties": {"a": {"type": "string"}}, "required": ["a", "b"]},
            {"type_": "OBJECT", "properties": {"a": {"type_": "STRING"}}, "required": ["a"]},
        ),
    ],
)
def test_a_json_schema_is_told_to_gemini_as_far_as_it_reads_one(schema: Any, geminis: dict[str, Any]) -> None:
    assert gemini_schema(schema) == geminis


@pytest.mark.parametrize("ref", ["http://127.0.0.1:9/schema.json", "#/nowhere", "#nobody", "::"])
def test_a_reference_that_leads_nowhere_is_refused_and_nothing_is_fetched(ref: str) -> None:
    for schema in ({"$ref": ref}, {"properties": {"a": {"items": {"$ref": ref}}}}, {"$dynamicRef": ref}):
        with pytest.raises(InvalidInput, match=r"\$ref: .* leads to no place"):
            Schema(schema)


def test_references_within_a_schema_are_followed() -> None:
    size = {"$id": "http://shop/size", "type": "integer", "$anchor": "s"}
    schema = Schema(
        {"properties": {"a": {"$ref": "#/$defs/size"}, "b": {"$ref": "http://shop/size"}}, "$defs": {"size": size}}
    )
    schema.refuse({"a": 1, "b": 2})
    for wrong in ({"a": "x"}, {"b": "x"}):
        with pytest.raises(InvalidInput, match="is not of type"):
            schema.refuse(wrong)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "objekt"}, "type"),
        ({"$schema": 5}, r"\$schema"),
        ({"$schema": {"a": 1}}, r"\$schema"),
        ({"$schema": "http://nobody/knows"}, r"\$schema"),
        ({"properties": {"a": {"default": date(2026, 1, 1)}}}, "a date or nan"),
        ({"properties": {"a": {"default": float("nan")}}}, "a date or nan"),
        ({"properties": {"a": {"pattern": "("}}}, "regex"),
    ],
)
def test_what_is_no_schema_is_refused(schema: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        Schema(schema)


@pytest.mark.parametrize(
    "draft", ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"]
)
def test_a_schema_may_name_its_draft(draft: str) -> None:
    Schema({"$schema": draft, "definitions": {"n": {"type": "null"}}, "$ref": "#/definitions/n"}).refuse(None)
