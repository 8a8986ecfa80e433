"""Validates what was asked against a model, and says in words which fields are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

FIELD_LENGTH, PROBLEMS = 100, 50
"""The most characters of a field's name in an error, and errors that are listed."""

M = TypeVar("M", bound=BaseModel)


class InvalidFields(Exception):
    """What a model refuses: `problems` has the `field` and the `message` of each; the text is the first."""

    def __init__(self, problems: Sequence[Mapping[str, Any]]) -> None:
        first = problems[0]
        super().__init__(f"{first['field']}: {first['message']}" if first["field"] else first["message"])
        self.problems = problems


def validated(model: type[M], value: Any, *above: object) -> M:
    """`value` as a `model`; `above`: the fields within which it stands. Raises InvalidFields."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidFields(_problems(error, above)) from None


def _problems(error: ValidationError, above: Sequence[object]) -> list[dict[str, str]]:
    return [
        {
            "field": ".".join(map(str, (*above, *problem["loc"])))[:FIELD_LENGTH],
            "message": problem["msg"].removeprefix("Value error, "),
        }
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:PROBLEMS]
    ]
