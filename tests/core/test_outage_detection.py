from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.exceptions import Blocked, DeliveryError, Refused, Scope, Unavailable, Unclear
from wabot.core.meta_errors import ERRORS, Action, meaning
from wabot.core.outage_detection import (
    PATIENT_REQUESTS,
    REMEMBERED,
    SEVERAL,
    TOGETHER_SECONDS,
    TROUBLE_SECONDS,
    Blame,
    Outages,
    concerns,
)

NOW = 1_700_000_000.0


def failed(outages: Outages, person: int, *, attempt: int = 1, now: float = NOW) -> Blame:
    return outages.failed(person, attempt=attempt, now=now)


def test_several_people_in_a_row_make_an_outage_and_it_lasts_until_somebody_gets_through() -> None:
    outages = Outages()
    assert [failed(outages, person) for person in (1, 2, 3, 1, 4)] == [Blame.UNKNOWN] * 2 + [Blame.META] * 3
    outages.accepted(5)
    assert failed(outages, 6) is Blame.UNKNOWN


def test_one_person_makes_no_outage_however_often_they_are_not_served() -> None:
    outages = Outages()
    assert {failed(outages, 1) for _ in range(1000)} == {Blame.UNKNOWN}


def test_an_answer_that_does_not_come_is_metas_trouble_only_where_meta_said_that_it_has_trouble() -> None:
    outages = Outages()

    def lost(now: float) -> Blame:
        return outages.failed(1, attempt=1, now=now, unclear=True)

    assert lost(NOW) is Blame.UNKNOWN, "what is cut may be cut for this message alone"
    failed(outages, 2)
    assert [lost(NOW), lost(NOW + TROUBLE_SECONDS - 1)] == [Blame.TROUBLE] * 2
    assert lost(NOW + TROUBLE_SECONDS) is Blame.UNKNOWN, "nothing was heard for too long"
    failed(outages, 2, now=NOW + TROUBLE_SECONDS)
    outages.accepted(3)
    assert lost(NOW + TROUBLE_SECONDS) is not Blame.TROUBLE


def test_who_fails_again_while_others_are_served_is_the_trouble() -> None:
    outages = Outages()
    blamed = []
    for other in range(2, 6):
        blamed.append(failed(outages, 1))
        outages.accepted(other)
    assert blamed == [Blame.UNKNOWN] + [Blame.MESSAGE] * 3


def half_an_outage(outages: Outages) -> None:
    """Three people are in trouble, and somebody else is served after each."""
    for person in (1, 2, 3):
        failed(outages, person)
        outages.accepted(9)


def test_what_several_have_though_others_are_served_is_nobodys_trouble_for_a_while() -> None:
    outages = Outages()
    half_an_outage(outages)
    assert failed(outages, 1, attempt=PATIENT_REQUESTS - 1) is Blame.UNKNOWN
    outages.accepted(9)
    assert failed(outages, 1, attempt=PATIENT_REQUESTS) is Blame.MESSAGE


def test_who_had_trouble_long_ago_has_it_no_more() -> None:
    outages = Outages()
    half_an_outage(outages)
    assert failed(outages, 1, attempt=5, now=NOW + TOGETHER_SECONDS) is Blame.MESSAGE


def test_whose_message_is_over_is_in_trouble_no_more() -> None:
    outages = Outages()
    half_an_outage(outages)
    outages.over(2)
    assert failed(outages, 1) is Blame.MESSAGE


def test_who_was_served_begins_anew() -> None:
    outages = Outages()
    for person in (1, 1, 2):
        failed(outages, 1)
        outages.accepted(person)
    outages.accepted(1)
    assert failed(outages, 1) is Blame.UNKNOWN
    outages.accepted(2)
    outages.over(1)
    assert failed(outages, 1) is Blame.UNKNOWN


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6)), max_size=60))
def test_a_failure_is_blamed_on_the_message_only_where_meta_took_another_since_the_last(
    steps: list[tuple[bool, int]],
) -> None:
    outages, history = Outages(), list[tuple[bool, int]]()
    for works, person in steps:
        if works:
            outages.accepted(person)
        elif failed(outages, person) is Blame.MESSAGE:
            last = max(at for at, step in enumerate(history) if step == (False, person))
            between = history[last + 1 :]
            assert any(worked and who != person for worked, who in between)
            assert (True, person) not in between
        history.append((works, person))


def test_it_remembers_no_more_than_it_must() -> None:
    outages = Outages()
    for person in range(REMEMBERED + 50):
        failed(outages, person)
    assert len(outages._failed) == REMEMBERED
    assert len(outages._in_a_row) == SEVERAL


@pytest.mark.parametrize("code", [1, 2, 131000, 131016, 133004])
def test_trouble_on_metas_side_may_be_an_outage(code: int) -> None:
    assert concerns(meaning({"code": code}, status=400))


@pytest.mark.parametrize(
    "error",
    [
        Unclear("gateway", code=502),
        Unclear("no answer", code="timeout"),
        Unavailable("out of reach", code="connect", scope=Scope.NUMBER),
        meaning({"code": 999_999}, status=500),
        meaning({"code": 999_999, "is_transient": True}, status=400),
    ],
)
def test_so_may_what_is_no_plain_answer(error: DeliveryError) -> None:
    assert concerns(error)


@pytest.mark.parametrize(
    "error",
    [
        Blocked("token", code=190, scope=Scope.NUMBER),
        Refused("undeliverable", code=131026),
        Unavailable("too fast", code=130429, scope=Scope.NUMBER),
        Unavailable("too fast", code=429, scope=Scope.NUMBER),
        Unavailable("pair", code=131056, scope=Scope.CONTACT),
    ],
)
def test_what_meta_says_plainly_is_none(error: DeliveryError) -> None:
    assert not concerns(error)


def test_every_code_that_only_says_try_again_concerns_outages_or_names_a_time_or_a_few_tries() -> None:
    for code, rule in ERRORS.items():
        if rule.action is Action.RETRY:
            assert concerns(meaning({"code": code})) or rule.wait or rule.tries, code
