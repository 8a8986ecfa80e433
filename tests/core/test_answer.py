"""What a model's text asks for, and what of it a contact sees."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.answer import HANDOFF, HANDOFF_RULE, Answer, Spoken, read_answer, spoken
from wabot.core.message_check import complaint
from wabot.core.outgoing import Origin, text_message, with_choices
from wabot.core.quick_replies import Choices
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


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("[[buttons: Yes | No]]", Choices(("Yes", "No"))),
        ("**[[Buttons:Yes|No|Later]]**", Choices(("Yes", "No", "Later"))),
        (r"\[\[buttons: Yes | **No**\]\]", Choices(("Yes", "No"))),
        ("[[ list: Days | Monday | Tuesday ]]", Choices(("Monday", "Tuesday"), "Days")),
        ("[[list: Days | " + " | ".join(map(str, range(10))) + "]]", Choices(tuple(map(str, range(10))), "Days")),
        ("[[buttons: Wann？ ｜ नहीं]]", Choices(("Wann？", "नहीं"))),
        # What Meta would refuse.
        ("[[buttons: 1 | 2 | 3 | 4]]", None),
        ("[[buttons: Yes | Yes]]", None),
        ("[[buttons: Yes | ]]", None),
        ("[[buttons: ]]", None),
        ("[[buttons: " + "x" * 21 + "]]", None),
        ("[[list: Days]]", None),
        ("[[list: | Monday]]", None),
        ("[[list: Days | " + " | ".join(map(str, range(11))) + "]]", None),
        ("[[list: Days | " + "x" * 25 + "]]", None),
        ("[[list: " + "x" * 21 + " | Monday]]", None),
        # What has no end.
        ("[[buttons: Yes | No", None),
        ("[[buttons: Yes [or] | No]]", None),
        ("[[buttons: Yes | No]", None),
    ],
)
def test_choices_are_read_and_never_shown(line: str, choices: Choices | None) -> None:
    assert read_answer(f"Shall we?\n{line}\n") == Answer("Shall we?", choices=choices)


def test_of_several_offers_the_last_counts_and_a_person_can_be_asked_for_beside() -> None:
    text = "Shall we?\n[[buttons: Yes]]\n[[buttons: Now | Later]]\n[[handoff]]"
    assert read_answer(text, handoff=True) == Answer("Shall we?", handoff=True, choices=Choices(("Now", "Later")))


@pytest.mark.parametrize(
    ("choices", "room"),
    [(Choices(("Yes", "No", "x" * 20)), 1024), (Choices(tuple("0123456789"), "x" * 20), 4096)],
)
def test_what_is_offered_is_what_meta_accepts(choices: Choices, room: int) -> None:
    for longest in (room, 1):
        message = with_choices(text_message("x" * longest, Origin.AI, "wamid.1"), choices)
        assert message.content["context"] == {"message_id": "wamid.1"}
        assert complaint(message.content) is None
    for characters, offered in ((room, choices), (room + 1, None)):
        says = spoken(Answer("x" * characters, choices=choices), max_bubbles=2, notice="")
        assert (sum(map(len, says.texts)), says.choices) == (characters, offered if characters <= 4096 else choices)


def test_who_is_handed_over_gets_the_notice_or_else_the_models_own_words_and_nothing_to_tap() -> None:
    answer = Answer("Let me ask.", handoff=True, choices=Choices(("Yes",)))
    assert spoken(answer, max_bubbles=1, notice="A colleague will answer.") == Spoken(("A colleague will answer.",))
    assert spoken(answer, max_bubbles=1, notice="") == Spoken(("Let me ask.",))
    assert spoken(Answer("", handoff=True), max_bubbles=1, notice="") == Spoken(())


@given(
    st.lists(
        st.sampled_from(
            [
                "[[handoff]]",
                "[[buttons:",
                "[[list:",
                "|",
                "[[",
                "]]",
                "hand",
                "off",
                "\\[",
                "\\]",
                "*",
                " ",
                "\n",
                "\x00",
                "a",
            ]
        )
    )
)
def test_no_mark_survives_whatever_is_around_it(parts: list[str]) -> None:
    shown = "".join(for_whatsapp(read_answer("".join(parts), handoff=True).text))
    assert HANDOFF not in shown.lower()
    assert "[[buttons:" not in shown
    assert "[[list:" not in shown


def test_reading_takes_linear_time() -> None:
    began = time.perf_counter()
    for text in (
        "[[handoff]]" * LONGEST,
        "*_" * LONGEST,
        "[[ " * LONGEST,
        "[[hand" * LONGEST,
        "[[list:" * LONGEST,
        "[[list:a|" * 9999,
    ):
        read_answer(text, handoff=True)
    assert time.perf_counter() - began < 1


def test_the_model_is_told_the_mark_that_is_read() -> None:
    assert read_answer(f"Yes.\n{HANDOFF}", handoff=True).handoff
    assert HANDOFF in HANDOFF_RULE
