"""The English sentences in a module's source, as people get them: with a 7 in place of what varies."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

VARIES = "7"
_SQL = re.compile(r" = |\b(SELECT|PRAGMA|INSERT|UPDATE|DELETE)\b")
_WORDS = re.compile(r"[A-Za-z'’]+")


def sentences_in(module: ModuleType) -> set[str]:
    """All texts of a module that have three words or more, but for docstrings, log events, SQL, and the like."""
    tree = ast.parse(inspect.getsource(module))
    apart = {id(part) for node in ast.walk(tree) for part in _apart(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.IfExp | ast.BinOp) and id(node) not in apart:
            found |= {text for text in _variants(node, vars(module)) if _is_sentence(text)}
    return found


def _is_sentence(text: str) -> bool:
    return len(_WORDS.findall(text)) >= 3 and " " in text.strip() and not _SQL.search(text)


def _apart(node: ast.AST) -> Iterator[ast.AST]:
    """What is no text of its own: a docstring, and the parts of a longer text."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.JoinedStr | ast.BinOp):
        yield from itertools.islice(ast.walk(node), 1, None)


def _variants(node: ast.AST, names: dict[str, Any]) -> list[str]:
    """What a text can be."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(choice) for choice in itertools.product(*(_variants(part, names) for part in parts))]
        case ast.FormattedValue(value=value):
            return _variants(value, names)
        case ast.IfExp(body=body, orelse=orelse):
            return [*_variants(body, names), *_variants(orelse, names)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            pairs = itertools.product(_variants(left, names), _variants(right, names))
            return ["".join(pair) for pair in pairs]
        case ast.Name(id=name) if isinstance(names.get(name), str):
            return [names[name]]
    return [VARIES]
