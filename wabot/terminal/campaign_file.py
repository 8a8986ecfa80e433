"""The CSV file of a campaign: one line for each recipient."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wabot.core.exceptions import WabotError

NUMBER = "number"


class UnusableFile(WabotError):
    """The file is no table with a column of numbers; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Row:
    """A recipient: the number as written, the other columns by name, and the line of the file."""

    number: str
    values: Mapping[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file. `digest` is that of its bytes."""

    rows: Sequence[Row]
    digest: str


def read(file: Path) -> Table:
    """A CSV file in UTF-8, with commas, semicolons or tabs. Raises UnusableFile, OSError."""
    raw = file.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
        lines = text.splitlines()
        delimiter = max(",;\t", key=lines[0].count) if lines else ","
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        found = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except UnicodeDecodeError as error:
        raise UnusableFile(f"{file}: is not UTF-8: save it as “CSV UTF-8”") from error
    except csv.Error as error:
        raise UnusableFile(f"{file}: is no CSV: {error}") from error
    if not found:
        raise UnusableFile(f"{file}: is empty; its first line names the columns, one of them {NUMBER}")
    columns = found[0][1]
    at = next((place for place, name in enumerate(columns) if name.casefold() == NUMBER), None)
    if at is None:
        raise UnusableFile(f"{file}: has no column {NUMBER}; its first line says: {', '.join(columns)}")
    rows = []
    for line, cells in found[1:]:
        if len(cells) != len(columns):
            raise UnusableFile(f"{file}, line {line}: has {len(cells)} columns, the first line {len(columns)}")
        rows.append(Row(cells[at], {c: v for c, v in zip(columns, cells, strict=True) if c != columns[at]}, line))
    if not rows:
        raise UnusableFile(f"{file}: has no lines under the names of its columns")
    return Table(rows, hashlib.sha256(raw).hexdigest())
