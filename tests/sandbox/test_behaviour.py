"""What the stand-in decides to do with a send."""

from __future__ import annotations

import pytest

from wabot.sandbox import behaviour, errors
from wabot.sandbox.behaviour import ANY, BY_ENDING, Behaviour, Limit, accept, cut_after, error

PHONE = "919876543210"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_script_is_used_up_in_order_and_then_all_is_as_before() -> None:
    does = Behaviour()
    does.script(PHONE, [error(131016), cut_after()])
    assert [does.answer(PHONE) for _ in range(3)] == [error(131016), cut_after(), accept()]


def test_a_script_for_one_number_goes_before_that_for_any_and_scripts_before_always() -> None:
    does = Behaviour()
    does.always(ANY, error(1))
    does.always(PHONE, error(2))
    does.script(ANY, [error(4)])
    does.script(PHONE, [error(10)])
    assert [does.answer(PHONE).code for _ in range(4)] == [10, 4, 2, 2]
    assert does.answer("919000000000").code == 1


def test_clear_forgets_scripts_and_counts() -> None:
    does = Behaviour(throughput=1, clock=Clock())
    does.always(ANY, error(1))
    does.script(PHONE, [error(2)])
    does.answer(PHONE)
    does.answer(PHONE)
    does.clear()
    assert does.answer(PHONE) == accept()
    assert not does.breaches


def test_a_number_misbehaves_by_its_ending_and_may_recover() -> None:
    does = Behaviour()
    assert [does.answer("15550130003").code for _ in range(3)] == [130429, None, None]
    assert does.answer("15550140003").code == 130429
    assert does.answer("15550130010").code == 190
    assert does.answer("15550130010").code == 190


def test_what_is_mended_accepts_what_it_refused_and_still_misbehaves_otherwise_until_it_is_cleared() -> None:
    does = Behaviour()
    does.always(ANY, error(131042))
    assert does.refuses("15550130010")
    does.mend()
    assert not does.refuses("15550130010")
    assert [does.answer(f"1555013{ending}").accepts for ending in sorted(BY_ENDING)] == [True] * len(BY_ENDING)
    assert does.answer(PHONE) == accept()
    assert does.answer("15550130001") == BY_ENDING["0001"][0]
    does.clear()
    assert does.answer("15550130010").code == 190
    assert [ending for ending in BY_ENDING if does.refuses(ending)] == ["0004", "0007", "0008", "0010"]


def test_endings_can_be_switched_off() -> None:
    assert Behaviour(by_number=False).answer("15550130003") == accept()


def test_above_the_throughput_it_is_a_breach() -> None:
    clock = Clock()
    does = Behaviour(throughput=10, clock=clock)
    codes = [does.answer(PHONE).code for _ in range(12)]
    assert codes == [None] * 10 + [130429] * 2
    clock.now += 0.1
    assert [does.answer(PHONE).code for _ in range(2)] == [None, 130429]
    assert does.breaches == {Limit.THROUGHPUT: 3}


def test_at_just_the_throughput_there_is_no_breach() -> None:
    clock = Clock()
    does = Behaviour(throughput=80, clock=clock)
    for _ in range(1000):
        assert does.answer(PHONE).code is None
        clock.now += 1 / 80
    assert not does.breaches


def test_what_people_write_counts_against_the_throughput_and_is_never_refused() -> None:
    clock = Clock()
    does = Behaviour(throughput=10, clock=clock)
    for _ in range(15):
        does.hear()
    assert does.answer(PHONE).code == 130429
    clock.now += 0.6
    assert does.answer(PHONE).code is None
    Behaviour().hear()


def test_forty_five_at_once_to_one_person_are_borrowed_from_the_future() -> None:
    clock = Clock()
    does = Behaviour(pair_limit=True, clock=clock)
    assert [does.answer(PHONE).code for _ in range(46)] == [None] * 45 + [131056]
    assert does.answer("919000000000").code is None
    clock.now += 6
    assert [does.answer(PHONE).code for _ in range(2)] == [None, 131056]
    assert does.breaches == {Limit.PAIR: 2}


def test_every_scripted_code_is_one_that_meta_words() -> None:
    codes = {answer.code for answers in BY_ENDING.values() for answer in answers if answer.code}
    codes |= {a.receipts.code for answers in BY_ENDING.values() for a in answers if a.receipts and a.receipts.code}
    assert codes <= errors.KNOWN.keys()


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("5511987654321", "551187654321"),
        ("525512345678", "5215512345678"),
        (PHONE, PHONE),
        ("551187654321", "551187654321"),
    ],
)
def test_brazil_and_mexico_are_rewritten(given: str, written: str) -> None:
    assert behaviour.rewritten(given) == written
    assert Behaviour(rewrite=True).wa_id(given, accept()) == written
    assert Behaviour().wa_id(given, accept()) == given
    assert Behaviour(rewrite=True).wa_id(given, accept(wa_id="1")) == "1"
