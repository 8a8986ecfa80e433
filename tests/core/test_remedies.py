"""What is told of a model that fails: its provider's own words, unless they may be the customer's."""

from __future__ import annotations

import pytest

from wabot.core.conversation import Prompt, Role, Turn
from wabot.core.remedies import words_of_model

SAID = "Incorrect API key provided. You can find this key, or a new token, in the console."


def words(said: str, *customer: str) -> str:
    return words_of_model(401, said, Prompt("", tuple(Turn(Role.USER, text) for text in customer)))


@pytest.mark.parametrize("customer", ["hi", "Hi", "ok", "a", "I", "?", "Where is my order 17?"])
def test_a_short_message_that_is_a_part_of_a_word_hides_nothing(customer: str) -> None:
    assert words(SAID, customer) == f"HTTP 401: {SAID}"


@pytest.mark.parametrize("customer", ["pregnancy test", "HIV", "yes", "नमस्ते"])
def test_words_that_repeat_a_message_are_not_told(customer: str) -> None:
    assert words(f"Incorrect API key provided for: {customer}", customer) == "HTTP 401"
    assert words(f"Incorrect API key provided for '{customer}'.", "Hello", customer) == "HTTP 401"
