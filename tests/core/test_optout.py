from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.optout import Consent, Wish, fold, word_of
from wabot.settings.sections import OptOut

WORDS = OptOut()
CONSENT = Consent.of(WORDS.stop_words, WORDS.start_words, WORDS.confirmation, WORDS.welcome_back)


@pytest.mark.parametrize(
    "body",
    [
        "STOP", "stop", " Stop!! ", "stop.", "*STOP*", "“Stop”", "S\u0074op", "ＳＴＯＰ", "𝐒𝐓𝐎𝐏", "stop\n", "STOP 🛑",
        "🛑️ stop", "opt out", "OPT-OUT", "Opt  Out", "opt_out", "Unsubscribe", "baja", "Parar", "Arrêt", "ARRET",
        "arre\u0302t", "Abmelden", "रोकें", "बंद करें।", "توقف",
    ],
)  # fmt: skip
def test_stop_is_heard_however_it_is_written(body: str) -> None:
    assert CONSENT.wish(word_of("text", body)) is Wish.STOP


@pytest.mark.parametrize("body", ["START", "unstop", "Subscribe.", "Alta", "शुरू करें", "ابدأ", "opt in"])
def test_start_is_heard_too(body: str) -> None:
    assert CONSENT.wish(word_of("text", body)) is Wish.START


@pytest.mark.parametrize(
    "body",
    [
        "", " ", "🛑", "Do you stop at the station?", "stop it", "please stop", "non-stop", "stopped", "s t o p",
        "st.op", "Where does the bus stop", "start stop", "रुक", "STOP" * 20, "stop " * 20,
    ],
)  # fmt: skip
def test_the_word_counts_only_when_it_is_the_whole_message(body: str) -> None:
    assert CONSENT.wish(word_of("text", body)) is None


def test_a_turkish_capital_is_the_letter_that_it_looks_like() -> None:
    assert Consent.of(["iptal"], [], "", "").wish(word_of("text", "İptal")) is Wish.STOP


def test_each_wish_has_its_answer() -> None:
    assert CONSENT.answer(Wish.STOP) == WORDS.confirmation
    assert CONSENT.answer(Wish.START) == WORDS.welcome_back
    assert Consent().answer(Wish.STOP) == ""


def test_without_words_nobody_wishes_anything() -> None:
    assert Consent().wish(word_of("text", "stop")) is None


@given(body=st.text())
def test_whatever_is_said_has_a_wish_or_none(body: str) -> None:
    CONSENT.wish(word_of("text", body))


@given(text=st.text() | st.text("stopşİéＳ ̂!_-"))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(text=st.text(st.characters(max_codepoint=127)))
def test_the_short_way_for_ascii_leads_to_the_same_place(text: str) -> None:
    assert fold(text + "…") == fold(text)


def test_a_word_of_signs_alone_is_none_so_that_no_other_message_is_it() -> None:
    consent = Consent.of(["✋", "stop"], [], "", "")
    assert consent.wish(word_of("text", "x" * 100)) is None
    assert consent.wish(word_of("image", "stop")) is None
    assert consent.wish(word_of("text", "stop")) is Wish.STOP
