"""What a message refers to, in words; bodies themselves are tested with Meta's samples (test_webhook.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wabot.core.message_text import QUOTABLE, REFERENCE_CHARACTERS, about, is_aside, quoted

SAMPLES = Path(__file__).parents[1] / "samples"


def sample(name: str) -> dict[str, Any]:
    """The message in one of Meta's webhooks."""
    webhook = json.loads((SAMPLES / f"webhook_{name}.json").read_text())
    message: dict[str, Any] = webhook["entry"][0]["changes"][0]["value"]["messages"][0]
    return message


def test_an_advertisement_is_told_with_what_it_says() -> None:
    assert about(sample("text_from_ad"), "") == (
        '[came from the advertisement "Monsoon sale: Up to 40% off" https://fb.me/4tYkQeX2a]'
    )


def test_a_quoted_message_is_told_if_we_know_it() -> None:
    message = sample("text_reply_to_ours")
    assert quoted(message).startswith("wamid.")
    assert about(message, "Red\nor blue?") == '[answering: "Red or blue?"]'
    assert about(message, "") == ""


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({}, ""),
        ({"referral": {"source_type": "post", "headline": "Roses"}}, '[came from the post "Roses"]'),
        ({"referral": {"source_url": "https://fb.me/x"}}, "[came from the advertisement https://fb.me/x]"),
        ({"referral": {}}, ""),
        (
            {"context": {"referred_product": {"catalog_id": "c", "product_retailer_id": "SKU-7"}}},
            "[about the product SKU-7]",
        ),
        ({"referral": 7, "context": ["x"]}, ""),
        ({"referral": {"headline": {"a": 1}}, "context": {"referred_product": "x"}}, ""),
    ],
)
def test_whatever_shape_it_has_it_is_told_or_left_out(message: dict[str, Any], line: str) -> None:
    assert about(message, "") == line
    assert quoted(message) == ""


def test_what_is_long_is_cut() -> None:
    line = about({"context": {"id": "wamid.1"}}, "x" * 70_000)
    assert line == '[answering: "' + "x" * (REFERENCE_CHARACTERS - 1) + '…"]'


def test_what_only_happened_cannot_be_quoted() -> None:
    assert {"text", "image", "interactive", "button", "order"} <= QUOTABLE
    assert not {"reaction", "system", "revoke", "edit", "unsupported", "button_reply"} & QUOTABLE


def test_the_model_is_told_what_a_caption_belongs_to() -> None:
    picture = {"type": "image", "image": {"caption": "Is this in stock?", "id": "1"}}
    assert about(picture, "") == "[the text below is the caption of: image]"
    file = {"type": "document", "document": {"caption": "My order", "filename": "a\nb.pdf"}}
    assert about(file, "") == "[the text below is the caption of: document: a b.pdf]"
    assert about({"type": "image", "image": {"id": "1"}}, "") == ""


@pytest.mark.parametrize(
    ("kind", "raw", "aside"),
    [
        ("revoke", '{"revoke": {"original_message_id": "wamid.1"}}', True),
        ("system", '{"system": {"body": "User A changed from 1 to 2"}}', True),
        ("text", '{"group_id": "1203", "text": {"body": "Hi"}}', True),
        ("text", '{"group_id": "", "text": {"body": "Hi"}}', False),
        ("text", '{"text": {"body": "\\"group_id\\""}}', False),
        ("text", '{"group_id"', False),
        ("text", "{}", False),
    ],
)
def test_a_deletion_a_note_and_what_is_said_in_a_group_are_nothing_that_is_said_to_us(
    kind: str, raw: str, aside: bool
) -> None:
    assert is_aside(kind, raw) is aside
