"""What a model's text asks for, and what of it a contact sees."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.answer import HANDOFF, HANDOFF_RULE, Answer, read_answer
from wabot.core.whatsapp_text import LONGEST, for_whatsapp


@pytest.mark.parametrize(
    "text",
    [
        "A colleague will write.\n[[handoff]]",
        "A colleague will write.\n\n  [[ HandOff ]]  \n",
        "[[HANDOFF]]\nA colleague will write.",
        "A colleague will write.\r\n**[[handoff]]**",
        "A colleague will write.\n`[[handoff]]`.",
        "A colleague will write.\n> [[hand-off]]\n",
        "A colleague will write. [[handoff]]",
        r"A colleague will write. \[\[handoff\]\]",
        "A colleague will write.\n[[hand_off]]\n[[handoff]]",
        "A colleague will write.\n[[hand\x00off]]",
    ],
)
def test_the_mark_asks_for_a_person_and_is_not_shown(text: str) -> None:
    assert read_answer(text, handoff=True) == Answer("A colleague will write.", handoff=True)


def test_a_mark_in_the_middle_is_not_shown_either() -> None:
    assert read_answer("One.\n[[handoff]]\nTwo.", handoff=True) == Answer("One.\nTwo.", handoff=True)
    assert read_answer("One [[handoff]] two.", handoff=True).text.split() == ["One", "two."]


def test_where_the_model_may_not_ask_for_a_person_the_mark_is_only_removed() -> None:
    assert read_answer("Yes.\n[[handoff]]") == Answer("Yes.")


def test_the_mark_alone_is_an_answer_without_words() -> None:
    assert read_answer(" [[handoff]]\n", handoff=True) == Answer("", handoff=True)


@pytest.mark.parametrize("text", ["Yes.", "We do handoffs.", "See [handoff] and [[1]].", "hand off"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert read_answer(text, handoff=True) == Answer(text)


@given(st.lists(st.sampled_from(["[[handoff]]", "[[", "]]", "hand", "off", "\\[", "\\]", "*", " ", "\n", "\x00", "a"])))
def test_no_mark_survives_whatever_is_around_it(parts: list[str]) -> None:
    shown = "".join(for_whatsapp(read_answer("".join(parts), handoff=True).text))
    assert HANDOFF not in shown.lower()


def test_reading_takes_linear_time() -> None:
    began = time.perf_counter()
    for text in ("[[handoff]]" * LONGEST, "*_" * LONGEST, "[[ " * LONGEST, "[[hand" * LONGEST):
        read_answer(text, handoff=True)
    assert time.perf_counter() - began < 1


def test_the_model_is_told_the_mark_that_is_read() -> None:
    assert read_answer(f"Yes.\n{HANDOFF}", handoff=True).handoff
    assert HANDOFF in HANDOFF_RULE
