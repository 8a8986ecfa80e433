"""The OpenAPI document as a page: plain HTML and one style sheet, without scripts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from wabot.web.reference.document import document

HERE = Path(__file__).parent
_LARGEST = 100
"""Characters of a JSON value that stands on one line."""


@cache
def page() -> bytes:
    """The page, in UTF-8."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(marked=marked, type=type_of, pretty=pretty)
    return environment.get_template("page.html").render(api=document(), tags=_tags(), curl=curl).encode()


@cache
def style() -> bytes:
    """The style sheet."""
    return (HERE / "page.css").read_bytes()


def marked(text: str) -> Markup:
    """Text of the document as HTML: of CommonMark it uses only `code`."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  it is escaped


def type_of(schema: Mapping[str, Any]) -> Markup:
    """What a value is, in a few words; shapes are links."""
    return Markup(" or ").join(dict.fromkeys(_types(schema)))


def _types(schema: Mapping[str, Any]) -> Iterator[Markup]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield Markup('<a href="#{0}">{0}</a>').format(name)
    elif "anyOf" in schema:
        for choice in schema["anyOf"]:
            yield from _types(choice)
    elif "enum" in schema:
        yield from (Markup("<code>{}</code>").format(value) for value in schema["enum"])
    elif "const" in schema:
        yield Markup("<code>{}</code>").format(schema["const"])
    elif schema.get("type") == "array":
        yield Markup("list of ") + type_of(schema.get("items", {}))
    else:
        yield escape(schema.get("format", schema.get("type", "anything")))


def pretty(value: Any, indent: str = "") -> str:
    """JSON for people: whatever fits on a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + len(indent) <= _LARGEST or not isinstance(value, dict | list) or not value:
        return line
    inner = f"{indent}  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {pretty(item, inner)}" for key, item in value.items()]
    else:
        parts = [pretty(item, inner) for item in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{end}"


def curl(method: str, path: str, operation: Mapping[str, Any], body: Any) -> str:
    """The command that makes a request like the example."""
    query = []
    for parameter in operation["parameters"]:
        if "example" in parameter and parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        elif "example" in parameter and parameter["in"] == "query":
            query.append(f"{parameter['name']}={parameter['example']}")
    address = f"http://127.0.0.1:8080{path}" + (f"?{'&'.join(query)}" if query else "")
    parts = ["curl -s" + ("" if method in ("get", "post") else f" -X {method.upper()}")]
    if method == "post" and body is None:
        parts = ["curl -s -X POST"]
    parts.append(shlex.quote(address))
    if operation["security"]:
        parts.append('-H "Authorization: Bearer $KEY"')
    if body is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(pretty(body))}"]
    return parts[0] + " " + " \\\n  ".join(parts[1:])


def _tags() -> list[tuple[str, list[tuple[str, str, Mapping[str, Any]]]]]:
    """The operations as (method, path, operation), by tag."""
    found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {tag["name"]: [] for tag in document()["tags"]}
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            found[operation["tags"][0]].append((method, path, operation))
    return list(found.items())
