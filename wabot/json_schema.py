"""Checks values against a JSON Schema. Imported only if there are tools, since the library costs time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import validator_for
from referencing import Registry

from wabot.core.exceptions import InvalidInput

_REASON_CHARACTERS = 300


class Schema:
    """A JSON Schema of any draft, by default the latest. Raises InvalidInput if it is none."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        kind = validator_for(schema)
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            raise InvalidInput(_reason(error)) from None
        # An empty registry: nothing is fetched for a $ref.
        self._validator = kind(schema, registry=Registry())

    def refuse(self, value: object) -> None:
        """Raise InvalidInput with the reason if `value` does not fit."""
        if (error := best_match(self._validator.iter_errors(value))) is not None:
            raise InvalidInput(_reason(error))


def _reason(error: Any) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    return f"{place}: {error.message}"[:_REASON_CHARACTERS] if place else str(error.message)[:_REASON_CHARACTERS]
