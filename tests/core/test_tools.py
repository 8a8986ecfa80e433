from __future__ import annotations

from typing import Any

import pytest

from wabot.core.exceptions import InvalidInput
from wabot.core.tools import gemini_schema
from wabot.json_schema import Schema


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


def test_nothing_is_fetched_for_a_schema() -> None:
    with pytest.raises(Exception, match="Unresolvable"):
        Schema({"$ref": "http://127.0.0.1:9/schema.json"}).refuse({})


def test_what_is_no_schema_is_refused() -> None:
    with pytest.raises(InvalidInput, match="type"):
        Schema({"type": "objekt"})
