from __future__ import annotations

from typing import Any

import pytest

from wabot.core.jobs import OPEN, Kind, State
from wabot.core.waiting_reasons import why


def reason(kind: Kind = Kind.REPLY, state: State = State.QUEUED, **more: Any) -> str | None:
    known = {"due_at": 10.0, "now": 5.0, "attempts": 0, "error": None, "paused": None}
    return why(kind, state, **(known | more))


def test_a_reply_waits_for_the_person_to_finish_then_for_its_turn() -> None:
    assert reason() == "Quiet window: the person may still be writing"
    assert reason(now=10.0) == "Is due, and next as soon as the lane has room"


def test_the_last_error_is_why_it_is_tried_again_and_a_paused_lane_comes_before_it() -> None:
    assert reason(attempts=1, error="the key is refused") == "Is tried again: the key is refused"
    assert reason(attempts=1, error="quota", paused="no such model") == "The reply lane is paused: no such model"


def test_one_waits_behind_another_of_the_same_person() -> None:
    assert reason(state=State.WAITING) == "Waits behind the reply that is being made for the same person"
    assert reason(Kind.SEND, State.WAITING) == "Waits behind an older message to the same person"


def test_a_held_send_says_for_what() -> None:
    assert reason(Kind.SEND, State.HELD, error="The template is paused") == "Is held: The template is paused"


@pytest.mark.parametrize("state", State)
def test_what_waits_says_why_and_what_is_settled_says_nothing(state: State) -> None:
    for kind in Kind:
        assert (reason(kind, state) is not None) == (state in OPEN | {State.PARKED})
