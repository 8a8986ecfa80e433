"""Large JSON: what is counted, and that reading it step by step gives what reading it at once does."""

from __future__ import annotations

import gc
import json
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core import json_limits, json_values
from wabot.core.answer_size import Room, TooLong
from wabot.core.json_limits import Reader, TooManyValues, values_in

READER = Reader(parse_int=int, parse_float=float, parse_constant=float)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


@given(values)
def test_step_by_step_reads_what_at_once_reads(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert READER._in_steps.decode(text) == READER._at_once.decode(text) == json.loads(text)


@given(st.lists(st.text(), max_size=20), st.integers(1, 9))
def test_what_stands_inside_of_strings_counts_for_nothing(texts: list[str], stretch: int) -> None:
    json_limits._STRETCH, before = stretch, json_limits._STRETCH
    try:
        assert values_in(json.dumps(texts, ensure_ascii=False)) == max(len(texts), 1)
    finally:
        json_limits._STRETCH = before


@pytest.mark.parametrize("text", ["[1, ", '{"a": }', '["a', "[1] 2", "\x00", '["\x00"]'])
def test_what_is_no_json_is_none_however_large(text: str) -> None:
    for padding in ("", " " * json_limits.SMALL, "[" + "0," * json_limits.AT_ONCE + "0]"):
        with pytest.raises(ValueError, match=r"."):
            READER.read(padding + text)


def test_absurdly_many_values_are_refused_before_any_is_read() -> None:
    text = "[" + "{}," * json_limits.MOST + "{}]"
    started = time.thread_time()
    with pytest.raises(TooManyValues):
        READER.read(text)
    assert time.thread_time() - started < 0.5


@pytest.mark.parametrize("part", ["[]", "{}", '""', "[[[[]]]]", "0.25", '{"k%d":""}'])
def test_while_very_many_values_are_read_others_run(part: str) -> None:
    """A thread that wants to run every millisecond, beside the worst that is read at all.

    Of the wall's time and this process's CPU time the lesser counts: what others on this machine do shall not.
    """
    body = ",".join(
        part % n if "%" in part else part
        for n in range(json_limits.MOST // 4 // part.count("[") if "[" in part else json_limits.MOST // 4)
    )
    gc.collect()
    gc.freeze()  # as the service does; a test's own heap is larger than what is measured here
    longest, stop = 0.0, threading.Event()

    def live() -> None:
        nonlocal longest
        while not stop.is_set():
            wall, cpu = time.perf_counter(), time.process_time()
            time.sleep(0.001)
            longest = max(longest, min(time.perf_counter() - wall, time.process_time() - cpu))

    def worst() -> float:
        nonlocal longest
        longest = 0.0
        stop.clear()
        other = threading.Thread(target=live, daemon=True)
        other.start()
        try:
            READER.read(f"[{body}]")
        finally:
            stop.set()
            other.join()
        return longest

    try:
        assert min(worst() for _ in range(3)) < 0.1
    finally:
        gc.unfreeze()


def test_an_answer_has_room_for_so_much() -> None:
    room = Room(messages=2, size=10)
    room.take(1, 10)
    room.take(1, 0)
    with pytest.raises(TooLong, match="limit"):
        room.take(0, 1)


@pytest.mark.parametrize(
    "many", [[[]] * 150_000, {"a": {str(n): [n, "\u00fc"] for n in range(60_000)}}], ids=["list", "dict"]
)
def test_what_has_many_values_is_written_in_steps_and_reads_the_same(many: object) -> None:
    assert not json_limits.are_few(many)
    assert json_values.compact(many) == json.dumps(many, ensure_ascii=False, separators=(",", ":"))


def test_few_values_are_written_at_once() -> None:
    assert json_limits.are_few({"a": [1, 2, {"b": "x" * 1_000_000}]})
    assert json_limits.are_few("x")
    assert json_limits.are_few([1] * 100_000)


def test_a_long_text_of_halves_is_mended_like_a_short_one() -> None:
    assert json_values.storable("\ud83da" * 100_000) == "\ufffda" * 100_000
