from __future__ import annotations

import pytest

from tests.adapters.assistant_contract import TALK, AssistantContract
from wabot.adapters.canned import Canned
from wabot.core.conversation import Prompt, Role, Turn


def asked(text: str) -> Prompt:
    return Prompt("", (Turn(Role.USER, text),))


class TestCanned(AssistantContract):
    @pytest.fixture
    def assistant(self) -> Canned:
        return Canned()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Hello!", "welcome"),
        ("HELP", "opening hours and prices"),
        ("hi, what are your opening hours?", "9:00"),
        ("How much is it?", "25 €"),
        ("I want a human", "colleague"),
        ("thank you", "You are welcome"),
    ],
)
async def test_it_knows_a_few_words(text: str, part: str) -> None:
    assert part in (await Canned().answer(asked(text))).text


@pytest.mark.parametrize(
    "text",
    [
        "agent", "HUMAN", "I need help from a human, please", "a real person!", "operator",
        "persona", "¿Puedo hablar con una persona?", "humano", "agente", "asesor", "persona reale", "operatore",
        "pessoa", "atendente", "Quero falar com um atendente.", "humain", "conseiller", "conseille\u0300re",
        "quelqu’un", "Mensch", "mit einem Menschen sprechen", "Mitarbeiter", "MITARBEITERIN", "medewerker",
        "человек", "Позовите человека", "оператор", "ОПЕРАТОРА!", "людина", "temsilci", "إنسان", "נציג",
        "व्यक्ति", "इंसान से",
        "人工", "我要人工服务", "客服", "担当者をお願いします", "상담원 연결",
    ],
)  # fmt: skip
async def test_in_many_languages_it_knows_who_asks_for_a_person(text: str) -> None:
    assert (await Canned().answer(asked(text))).text == "Of course, a colleague will write to you here shortly."


@pytest.mark.parametrize(
    "text", ["personal training", "reagent", "agency", "humanity", "Menschheit", "impersonate", "personality"]
)
async def test_a_word_that_only_contains_one_of_these_asks_for_nobody(text: str) -> None:
    assert "You said" in (await Canned().answer(asked(text))).text


async def test_a_price_per_person_is_a_price() -> None:
    assert "25 €" in (await Canned().answer(asked("How much is it per person?"))).text


async def test_it_repeats_what_was_said_and_counts_the_turns() -> None:
    assert (await Canned().answer(TALK)).text == "You said: “Have you got tulips?”. I have seen 3 turns of our talk."
    assert (
        await Canned().answer(asked("this\nand that"))
    ).text == "You said: “this and that”. I have seen 1 turn of our talk."


async def test_words_inside_of_words_are_not_taken_for_them() -> None:
    assert "You said" in (await Canned().answer(asked("Chili from Philadelphia"))).text


async def test_a_long_message_is_quoted_in_part() -> None:
    answer = (await Canned().answer(asked("x" * 5000))).text
    assert len(answer) < 300
    assert "x…”" in answer
