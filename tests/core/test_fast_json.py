"""JSON by orjson: whatever the text or the value, the result is that of Python's own json."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core import fast_json, json_limits, json_values, meta_errors
from wabot.web import request_bodies

SAMPLES = [file.read_text("utf-8") for file in sorted((Path(__file__).parent.parent / "samples").glob("*.json"))]
READERS = [json_values._READER, json_values._OURS, request_bodies._READER]

signs, digits = st.sampled_from(["", "-"]), st.text("0123456789", max_size=24)
fractions = st.just("") | digits.map(".{}".format)
exponents = st.just("") | st.tuples(st.sampled_from(["e", "E", "e-", "e+"]), st.integers(0, 400)).map(
    lambda pair: f"{pair[0]}{pair[1]}"
)
numbers = st.tuples(signs, digits, fractions, exponents).map("".join) | st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "-0", "9223372036854775808", "18446744073709551616", "1.7976931348623159e308"]
)
escapes = st.sampled_from(
    [r"\ud83d\ude00", r"\ud83d", r"\ude00", r"\u0000", r"\u001f", r"\/", r"\x", "\x00", "\n", "é"]
)
strings = st.lists(st.text(max_size=5).map(lambda text: json.dumps(text)[1:-1]) | escapes, max_size=3).map(
    lambda parts: '"' + "".join(parts) + '"'
)
names = strings | st.sampled_from(['"a"', '"b"'])  # so that some stand twice in one object
words = numbers | strings | st.sampled_from(["true", "false", "null", "", " ", "\t1\r\n", "\ufeff"])
texts = st.recursive(
    words,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(names, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{name}: {item}" for name, item in pairs) + "}"
        )
    ),
    max_leaves=20,
)
floats = st.floats() | st.floats(-1, 1) | st.floats(1e-9, 1e-3)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text() | st.text('\ud800\x00\x1f\x7f\u2028é"\\/'),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


def _outcome(do: Callable[[Any], Any], what: Any) -> str:
    """The result with the types and the order of all that is in it, or the error."""
    try:
        return repr(do(what))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


@given(texts)
def test_every_text_is_read_as_by_python(text: str) -> None:
    _is_read_as_by_python(text)


@pytest.mark.parametrize("around", ["%s", " %s", "\n%s", "[%s]", "[1,%s]", '{"a":%s}', '{"a": %s}', '{"a":\t%s\r}'])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("number", ["0", "1e400", "0.1e1", *(length * "9" for length in range(16, 22))])
def test_every_number_is_read_as_by_python(number: str, sign: str, around: str) -> None:
    _is_read_as_by_python(around % (sign + number))


def _is_read_as_by_python(text: str) -> None:
    for reader in READERS:
        assert _outcome(reader.read, text) == _outcome(reader._at_once.decode, text)


@given(st.sampled_from(SAMPLES), st.randoms(use_true_random=False))
def test_every_webhook_that_is_damaged_on_its_way_is_read_as_by_python(sample: str, chance: random.Random) -> None:
    damaged = list(sample)
    for _ in range(chance.randint(0, 3)):
        start = chance.randrange(len(damaged))
        damaged[start : start + chance.randint(0, 2)] = chance.choice('{}[]",:0123456789-.e\\u \x00\ud800é')
    _is_read_as_by_python("".join(damaged))


@given(
    st.binary()
    | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | texts.map(lambda t: t.encode("utf-16"))
)
def test_every_answer_of_meta_is_read_as_by_python(body: bytes) -> None:
    assert repr(meta_errors._json_object(body)) == repr(_object(body))


def _object(body: bytes) -> Any:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@given(values)
def test_every_value_is_written_as_by_python(value: Any) -> None:
    _is_written_as_by_python(value)


@pytest.mark.parametrize("value", [1e-4, 1.5e-5, 1e-5, 1e-7, 1e16, 5e-324, math.nan, -math.inf, None, 1 << 63, 1 << 64])
def test_every_number_is_written_as_by_python(value: Any) -> None:
    _is_written_as_by_python(value)
    _is_written_as_by_python({"a": [value]})


def _is_written_as_by_python(value: Any) -> None:
    assert json_values.compact(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("depth", [200, 300, 499, 501, 700, 1010, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
def test_what_is_nested_deeply_is_read_or_refused_as_by_python(depth: int, start: str, end: str) -> None:
    text = start * depth + "1" + end * depth
    _is_read_as_by_python(text)
    if depth < 900:
        _is_written_as_by_python(json.loads(text))


def test_ordinary_webhooks_are_read_and_written_fast() -> None:
    slow = [text for text in SAMPLES if _outcome(fast_json.loads, text).startswith(("ValueError", "JSONDecodeError"))]
    slow += [text for text in SAMPLES if fast_json.dumps(json.loads(text)) is None]
    assert len(slow) <= len(SAMPLES) // 10
    assert all(len(text) <= json_limits.SMALL for text in SAMPLES)
