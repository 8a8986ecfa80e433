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
    assert part in await Canned().answer(asked(text))


async def test_it_repeats_what_was_said_and_counts_the_turns() -> None:
    assert await Canned().answer(TALK) == "You said: “Have you got tulips?”. I have seen 3 turns of our talk."
    assert (
        await Canned().answer(asked("this\nand that")) == "You said: “this and that”. I have seen 1 turn of our talk."
    )


async def test_words_inside_of_words_are_not_taken_for_them() -> None:
    assert "You said" in await Canned().answer(asked("Chili from Philadelphia"))


async def test_a_long_message_is_quoted_in_part() -> None:
    answer = await Canned().answer(asked("x" * 5000))
    assert len(answer) < 300
    assert "x…”" in answer
