"""Checks values against a JSON Schema. Imported only if there are tools, since the library costs time and memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from wabot.core.exceptions import InvalidInput

_REASON_CHARACTERS = 300


class Schema:
    """A JSON Schema of any draft, by default the latest. Raises InvalidInput if it is none.

    Each $ref in it must lead to a place of the schema itself: nothing is fetched.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        draft = schema.get("$schema")
        kind = Draft202012Validator if draft is None else isinstance(draft, str) and validator_for(schema, None)
        if not kind:
            raise InvalidInput("$schema: must be the address of a draft of JSON Schema, or be left out")
        try:
            json.dumps(schema, allow_nan=False)
        except (TypeError, ValueError):
            raise InvalidInput("it has a value that JSON does not have, such as a date or nan") from None
        try:
            kind.check_schema(schema)
            _follow(Resource.from_contents(schema, DRAFT202012))
        except SchemaError as error:
            raise InvalidInput(_reason(error)) from None
        self._validator = kind(schema, registry=Registry())

    def refuse(self, value: object) -> None:
        """Raise InvalidInput with the reason if `value` does not fit."""
        if (error := best_match(self._validator.iter_errors(value))) is not None:
            raise InvalidInput(_reason(error))


def _follow(schema: Resource[Any]) -> None:
    """Raise InvalidInput if a reference of the schema leads nowhere."""
    left = [(schema, Registry().resolver_with_root(schema))]
    while left:
        part, resolver = left.pop()
        for word in ("$ref", "$dynamicRef") if isinstance(part.contents, Mapping) else ():
            if isinstance(ref := part.contents.get(word), str):
                _look_up(ref, resolver.lookup)
        left += [(each, resolver.in_subresource(each)) for each in part.subresources()]


def _look_up(ref: str, lookup: Callable[[str], object]) -> None:
    try:
        lookup(ref)
    except Unresolvable:
        raise InvalidInput(f"$ref: {ref[:_REASON_CHARACTERS]} leads to no place of the schema") from None


def _reason(error: Any) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    return f"{place}: {error.message}"[:_REASON_CHARACTERS] if place else str(error.message)[:_REASON_CHARACTERS]
