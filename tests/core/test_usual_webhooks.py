"""The webhooks that are read the short way: whatever comes, they say what they say when they are read the long way."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks import webhooks as benchmark
from wabot.core import usual_webhooks, webhook

SAMPLES = Path(__file__).parents[1] / "samples"
OURS, OTHER = "106540352242922", "106540352242923"
ACCOUNTS = {OURS: "", OTHER: "", benchmark.PHONE_NUMBER_ID: ""}
USUAL = {
    name: (SAMPLES / f"webhook_{name}.json").read_bytes()
    for name in ("text", "status_sent", "status_delivered", "status_read")
}
USUAL |= {
    "text of the benchmarks": benchmark.requests(1)[0].partition(b"\r\n\r\n")[2],
    "receipt of the benchmarks": benchmark.receipts(b"919216598210", b"wamid.A", b"wabot:a-1:1")[0],
}

NAMES = [
    "messages", "message_echoes", "statuses", "errors", "contacts", "from_user_id", "user_id", "name", "type", "body",
    "context", "group_id", "revoke", "recipient_type", "recipient_user_id", "pricing", "category", "billable", "new",
    "biz_opaque_callback_data", "to",
]  # fmt: skip
WORDS = [
    "", "0", "+91 92165-98210", "919216598210", "15550783881", "IN.13491208655302741918", "messages", "failed", "sent",
    "group", "text", "message", "\x1f", "\x7f", "é", "😊", "\u2060", "e-1", OURS, OTHER, "9" * 70, "1e3", " 1 ",
    "1_000", "٣", "²", "nan", "-1", "1e12",
]  # fmt: skip
VALUES = [
    *map(json.dumps, WORDS),
    r'"\u0000"', r'"\ud83d"', r'"\ud83d\ude00"', r'"\/"', '"é"', '"\x7f"', "1" * 19, "-" + "1" * 19, "1" * 40, "1.5",
    "1e-7", "0", "1789000000", "1e999", "NaN", "null", "true", "[]", "{}", "[{}]", '[{"code":1}]',
    '{"a":1}', '{"a":1e-7}', "[" * 600 + "]" * 600,
]  # fmt: skip
HOLE = "a value to be put here"


def _agree(body: bytes) -> bool:
    """Whether `body` says the same either way; types and order count."""
    return repr(webhook.parse(body, ACCOUNTS)) == repr(webhook.parse_any(body, ACCOUNTS, frozenset(), frozenset()))


Place = tuple[Any, Any]
"""A container in a JSON value, and a key of it: one that it has, or one that it may get."""


def _places(value: Any) -> Iterator[Place]:
    """What could be odd in a JSON value: everything in it, and what may be beside it."""
    more: list[Any] = [name for name in NAMES if name not in value] if isinstance(value, dict) else [len(value)]
    for key in (*(value if isinstance(value, dict) else range(len(value))), *more):
        yield value, key
        if key not in more and isinstance(value[key], dict | list):
            yield from _places(value[key])


def _put(place: Place, what: Any) -> None:
    inside, key = place
    if isinstance(inside, list) and key == len(inside):
        inside.append(what)
    else:
        inside[key] = what


def _oddities(usual: bytes) -> Iterator[bytes]:
    """A webhook with each oddity that there may be at one place."""
    payload = json.loads(usual)
    for number in range(len(list(_places(payload)))):
        odd = copy.deepcopy(payload)
        inside, key = list(_places(odd))[number]
        was_there = key in (inside if isinstance(inside, dict) else range(len(inside)))
        _put((inside, key), HOLE)
        before, _, after = json.dumps(odd).partition(f'"{HOLE}"')
        for value in VALUES:
            yield f"{before}{value}{after}".encode()
        if was_there:
            del inside[key]
            yield json.dumps(odd).encode()


@pytest.mark.parametrize("name", USUAL)
def test_what_meta_sends_nearly_always_is_read_the_short_way(name: str) -> None:
    assert usual_webhooks.read(USUAL[name]) is not None
    assert _agree(USUAL[name])


@pytest.mark.parametrize("name", ["text", "status_sent"])
def test_one_oddity_anywhere_changes_nothing_of_what_is_read(name: str) -> None:
    assert [body for body in _oddities(USUAL[name]) if not _agree(body)] == []


@pytest.mark.parametrize("value", VALUES)
def test_an_odd_sender_changes_nothing_of_what_is_read(value: str) -> None:
    assert _agree(USUAL["text"].replace(b'"919216598210"', value.encode()))


@st.composite
def several_oddities(draw: st.DrawFn) -> bytes:
    """A webhook with two to four odd places."""
    payload = json.loads(draw(st.sampled_from(list(USUAL.values()))))
    for _ in range(draw(st.integers(2, 4))):
        _put(draw(st.sampled_from(list(_places(payload)))), HOLE)
    text = json.dumps(payload, ensure_ascii=draw(st.booleans()))
    while HOLE in text:
        text = text.replace(f'"{HOLE}"', draw(st.sampled_from(VALUES)), 1)
    return text.encode()


@settings(max_examples=300)
@given(several_oddities())
@example(b"")
@example(b'{"entry":{"a":1}}')
@example(b'{"entry":"a"}')
@example("\ufeff".encode() + USUAL["text"])
@example(USUAL["text"].replace(b"Hi", b"\xff"))
def test_several_oddities_change_nothing_either(body: bytes) -> None:
    assert _agree(body)


def test_of_several_accounts_the_first_is_always_named() -> None:
    body, accounts = USUAL["text"], {OTHER: "", OURS: ""}
    assert list(webhook.parse(body, accounts)) == [OTHER, OURS]
    assert webhook.parse(body, accounts) == webhook.parse_any(body, accounts, frozenset(), frozenset())


def test_a_number_that_is_not_ours_is_left_to_who_keeps_foreign_webhooks() -> None:
    assert webhook.parse(USUAL["text"], {OTHER: ""})[OTHER].foreign
