from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wabot.core.answer import HANDOFF
from wabot.core.conversation import (
    MESSAGE_CHARACTERS,
    TALK_CHARACTERS,
    FirstContact,
    Plan,
    Prompt,
    Role,
    Said,
    Turn,
    plan,
    prompt,
)
from wabot.core.outgoing import Origin
from wabot.core.quick_replies import RULE as QUICK_REPLIES_RULE
from wabot.core.system_prompt import DEFAULT_PROMPT, system_prompt
from wabot.core.whatsapp_text import MAX_BODY

USER, ASSISTANT = Role.USER, Role.ASSISTANT


def heard(body: str) -> Said:
    return Said(Origin.PERSON, body)


def asked(body: str) -> Said:
    return Said(Origin.PERSON, body, asked=True)


def turns(*history: Said, limit: int = 20) -> list[tuple[Role, str]]:
    shown = prompt(history, system="s", limit=limit)
    assert shown is not None
    return [(turn.role, turn.text) for turn in shown.turns]


@pytest.mark.parametrize(
    ("first", "answer", "planned"),
    [
        (True, FirstContact.TEMPLATE, Plan(template=True)),
        (True, FirstContact.AI, Plan(ai=True)),
        (True, FirstContact.TEMPLATE_THEN_AI, Plan(template=True, ai=True)),
        (False, FirstContact.TEMPLATE, Plan(ai=True)),
        (False, FirstContact.AI, Plan(ai=True)),
        (False, FirstContact.TEMPLATE_THEN_AI, Plan(ai=True)),
    ],
)
def test_a_new_contact_is_answered_as_set_and_a_known_one_by_the_model(
    first: bool, answer: FirstContact, planned: Plan
) -> None:
    assert plan(first=first, answer=answer, answering=True) == planned
    assert plan(first=first, answer=answer, answering=False) == Plan(template=False, ai=False)


def test_the_talk_is_told_in_roles_oldest_first() -> None:
    shown = prompt(
        [Said(Origin.TEMPLATE, "Welcome!"), heard("Hi"), Said(Origin.AI, "Hello"), asked("Tulips?")],
        system="You sell flowers.",
        limit=20,
    )
    told = (Turn(ASSISTANT, "Welcome!"), Turn(USER, "Hi"), Turn(ASSISTANT, "Hello"), Turn(USER, "Tulips?"))
    assert shown == Prompt("You sell flowers.", told)


def test_neighbours_of_one_role_become_one_turn() -> None:
    history = [heard("Hi"), Said(Origin.TEMPLATE, "A"), Said(Origin.BULK, "B"), Said(Origin.STAFF, "C")]
    assert turns(*history, asked("one"), asked("two")) == [(USER, "Hi"), (ASSISTANT, "A\nB\nC"), (USER, "one\ntwo")]


def test_stopgaps_are_not_shown_as_the_models_own_words() -> None:
    history = [heard("Hi"), Said(Origin.FALLBACK, "One moment"), Said(Origin.SERVICE, "You are signed off")]
    assert turns(*history, asked("Hello?")) == [(USER, "Hi\nHello?")]


def test_what_was_deleted_is_skipped_and_does_not_count() -> None:
    assert turns(heard("one"), heard(" \n"), asked("two"), limit=2) == [(USER, "one\ntwo")]


def test_what_json_cannot_carry_is_left_out() -> None:
    assert turns(heard("\ud83d"), asked("a\x00b\ud83d")) == [(USER, "ab")]


@pytest.mark.parametrize("history", [[], [heard("Hi")], [heard("Hi"), asked("")], [Said(Origin.AI, "Hello")]])
def test_nothing_asked_is_no_prompt(history: list[Said]) -> None:
    assert prompt(history, system="s", limit=20) is None


def test_only_the_newest_messages_are_shown() -> None:
    history = [heard("1"), Said(Origin.AI, "2"), heard("3"), Said(Origin.AI, "4"), asked("5")]
    assert turns(*history, limit=3) == [(USER, "3"), (ASSISTANT, "4"), (USER, "5")]
    assert turns(*history, limit=1) == [(USER, "5")]


@pytest.mark.parametrize("limit", [-1, 0, 1, 2])
def test_what_is_being_answered_is_never_dropped(limit: int) -> None:
    assert turns(heard("old"), asked("1"), asked("2"), asked("3"), limit=limit) == [(USER, "1\n2\n3")]


def test_a_bulk_send_after_the_question_does_not_come_last() -> None:
    assert turns(asked("Tulips?"), Said(Origin.BULK, "Sale!")) == [(ASSISTANT, "Sale!"), (USER, "Tulips?")]


def test_bubbles_that_came_while_another_was_answered_are_all_asked_after_that_answer() -> None:
    history = [heard("Open?"), asked("And tulips?"), asked("Roses?"), Said(Origin.AI, "Until six.")]
    assert turns(*history) == [(USER, "Open?"), (ASSISTANT, "Until six."), (USER, "And tulips?\nRoses?")]


def test_a_colleagues_answer_in_between_keeps_its_place() -> None:
    history = [asked("Open?"), Said(Origin.STAFF, "Yes"), asked("And tulips?")]
    assert turns(*history) == [(USER, "Open?"), (ASSISTANT, "Yes"), (USER, "And tulips?")]


def test_a_long_message_is_cut_where_the_model_sees_it() -> None:
    ((_, text),) = turns(asked("x" * (MESSAGE_CHARACTERS + 1)))
    assert text == "x" * (MESSAGE_CHARACTERS - 1) + "…"
    ((_, text),) = turns(asked("x" * MESSAGE_CHARACTERS))
    assert text == "x" * MESSAGE_CHARACTERS


def test_of_a_long_talk_the_newest_is_shown() -> None:
    history = [asked(f"{number} " + "x" * 5000) for number in range(20)]
    ((_, text),) = turns(*history)
    assert text.startswith("…\n6 x")
    assert "\n19 x" in text
    assert TALK_CHARACTERS - MESSAGE_CHARACTERS < len(text) <= TALK_CHARACTERS


def test_however_short_a_prompt_is_to_be_the_last_message_is_shown() -> None:
    made = prompt([heard("x" * 3000), asked("y" * 3000)], system="", limit=9, characters=1000)
    assert made is not None
    assert [turn.text for turn in made.turns] == ["…\n" + "y" * 3000]


def test_our_own_longest_message_is_shown_whole() -> None:
    ours = Said(Origin.AI, "x" * MAX_BODY)
    assert turns(ours, asked("Really?"))[0] == (ASSISTANT, "x" * MAX_BODY)


def test_what_a_message_refers_to_stands_before_it() -> None:
    history = [Said(Origin.PERSON, "Is it free?", asked=True, about="[about the product 7]\x07")]
    assert turns(*history) == [(USER, "[about the product 7]\nIs it free?")]
    assert turns(Said(Origin.PERSON, "", about="[about the product 7]"), asked("Hi")) == [(USER, "Hi")]


histories = st.lists(
    st.one_of(
        st.builds(Said, st.just(Origin.PERSON), st.text(max_size=5), st.booleans()),
        st.builds(Said, st.sampled_from(Origin), st.text(max_size=5)),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(histories, st.integers(-1, 40))
def test_turns_alternate_and_end_with_the_person(history: list[Said], limit: int) -> None:
    shown = prompt(history, system="s", limit=limit)
    if shown is None:
        return
    roles = [turn.role for turn in shown.turns]
    assert roles[-1] is USER
    assert all(one is not other for one, other in pairwise(roles))
    assert all(turn.text.strip() for turn in shown.turns)


def test_without_instructions_the_default_speaks_for_the_business_only() -> None:
    assert system_prompt(None, {}) == system_prompt(" \n", {})
    assert system_prompt(None, {}).startswith(DEFAULT_PROMPT)
    assert "not a general-purpose assistant" in DEFAULT_PROMPT


def test_instructions_replace_the_default_and_knowledge_follows_under_headings() -> None:
    told = system_prompt("Sell flowers.\n", {"prices.md": "Tulips 3 €\n", "blank.txt": " ", "hours.md": "9-18"})
    assert told == (
        "Sell flowers.\n\n"
        "Your whole answer must fit into one message of at most 4096 characters; what is longer is cut off.\n\n"
        f"{QUICK_REPLIES_RULE}\n\n"
        "# What you know about the business\n\n## hours.md\n\n9-18\n\n## prices.md\n\nTulips 3 €\n"
    )


def test_a_model_that_may_ask_for_a_person_is_told_how() -> None:
    assert HANDOFF in system_prompt("Sell flowers.", {}, handoff=True)
    assert HANDOFF not in system_prompt(None, {})


def test_a_model_that_may_fill_several_messages_is_told_how_many() -> None:
    assert "must fit into 3 messages, each of at most 4096 characters" in system_prompt("Sell flowers.", {}, 3)
