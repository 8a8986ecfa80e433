import re
from collections.abc import Callable
from itertools import product

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wabot.core import phone_numbers
from wabot.core.exceptions import InvalidInput
from wabot.core.messages import Contact, Status, is_news
from wabot.core.phone_numbers import InvalidNumber, is_bsuid, mask, normalize_number, same_number

REAL = ["919216598210", "15550783881", "442079460018", "5491123456789", "390669812345", "4915123456789", "6591234567"]
OUTBOUND = [status for status in Status if status is not Status.RECEIVED]

NEWS = {
    Status.QUEUED: {Status.SENT, Status.FAILED, Status.DELIVERED, Status.READ, Status.PLAYED},
    Status.SENT: {Status.FAILED, Status.DELIVERED, Status.READ, Status.PLAYED},
    Status.FAILED: {Status.DELIVERED, Status.READ, Status.PLAYED},
    Status.DELIVERED: {Status.READ, Status.PLAYED},
    Status.READ: {Status.PLAYED},
    Status.PLAYED: set(),
}


@pytest.mark.parametrize(
    ("spelling", "digits"),
    [
        ("+91 92165-98210", "919216598210"),
        ("919216598210", "919216598210"),
        ("00919216598210", "919216598210"),
        ("+1 (555) 078-3881", "15550783881"),
        ("+44 20/7946.0018", "442079460018"),
        ("  +39 06 698 12345\t", "390669812345"),
        ("+91 92165\u201198210", "919216598210"),
        ("+1 555\u2013078\u20143881", "15550783881"),
        ("[+91] 92165\u221298210", "919216598210"),
    ],
)
def test_a_number_comes_back_as_its_digits(spelling: str, digits: str) -> None:
    assert normalize_number(spelling) == digits


@pytest.mark.parametrize(
    "text",
    ["", " ", "12", "+", "abc", "+91 9216598210 ext 5", "1" * 41, "+999123456789", "0000919216598210",
     "919216598210\0", "٩١٩٢١٦٥٩٨٢١٠", "+91921659821０", "IN.13491208655302741918", "91 9216598210; DROP TABLE"],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidNumber, match="Invalid phone number"):
        normalize_number(text)


def test_an_invalid_number_is_invalid_input() -> None:
    assert issubclass(InvalidNumber, InvalidInput)


@given(st.text() | st.text("+0123456789 ()-./٣", max_size=45))
def test_any_text_is_a_number_or_is_refused(text: str) -> None:
    try:
        digits = normalize_number(text)
    except InvalidNumber:
        return
    assert digits.isascii()
    assert digits.isdecimal()
    assert 4 <= len(digits) <= 17
    # Nothing is made up: at most a trunk zero ("0" behind the country code) and the leading "00" are left out.
    remaining = iter(re.sub(r"\D", "", text))
    assert all(digit in remaining for digit in digits)


@given(
    st.sampled_from(["+", "00", ""]),
    st.sampled_from(["1", "44", "39", "91", "999"]),
    st.text("0123456789 -", max_size=14),
)
@example("+", "44", "00000000000")
def test_normalising_twice_changes_nothing(prefix: str, country: str, rest: str) -> None:
    try:
        digits = normalize_number(prefix + country + rest)
    except InvalidNumber:
        return
    assert normalize_number(digits) == digits == normalize_number("+" + digits)


CODES = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)).map(str)


@given(st.sampled_from(["", "+"]), CODES | st.just(""), st.text("0123456789", max_size=18))
@example("+", "52", "15512345678")
@example("+", "1", "12025550123")
@example("+", "39", "0612345678")
@example("", "", "00919216598210")
def test_plain_digits_are_judged_exactly_as_the_library_does(plus: str, code: str, rest: str) -> None:
    def verdict(judge: Callable[[str], str]) -> str | None:
        try:
            return judge(f"{plus}{code}{rest}")
        except InvalidNumber:
            return None

    assert verdict(normalize_number) == verdict(phone_numbers.by_library)


def test_plain_digits_do_not_take_the_librarys_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_numbers, "by_library", None)
    assert normalize_number("+919216598210") == normalize_number("919216598210") == "919216598210"
    assert normalize_number("+4915112345678") == "4915112345678"


@given(st.sampled_from(REAL), st.sampled_from(["", "+", "00"]), st.data())
def test_every_spelling_of_a_number_is_the_same_number(number: str, prefix: str, data: st.DataObject) -> None:
    gaps = data.draw(
        st.lists(st.sampled_from(["", "", " ", "-", ".", "/"]), min_size=len(number), max_size=len(number))
    )
    spelling = prefix + "".join(digit + gap for digit, gap in zip(number, gaps, strict=True))
    assert normalize_number(spelling) == number


@pytest.mark.parametrize(("current", "told"), list(product(OUTBOUND, OUTBOUND)))
def test_a_receipt_is_news_only_forward(current: Status, told: Status) -> None:
    assert is_news(current, told) is (told in NEWS[current])


@given(st.permutations([Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED, Status.FAILED]), st.integers(1, 5))
def test_receipts_in_any_order_end_in_the_same_status(order: list[Status], count: int) -> None:
    def after(told: list[Status]) -> Status:
        status = Status.QUEUED
        for one in told:
            status = one if is_news(status, one) else status
        return status

    told = order[:count]
    assert after(told) == after(told[::-1]) == after(told + told) == after(sorted(told))


@pytest.mark.parametrize(
    ("identity", "shown"),
    [(None, "?"), ("", "?"), ("12", "…"), ("12345", "…"), ("123456", "12…56"), ("919216598210", "91…10"),
     ("IN.13491208655302741918", "IN…18")],
)  # fmt: skip
def test_a_masked_identity_shows_its_ends_only(identity: str | None, shown: str) -> None:
    assert mask(identity) == shown


@given(st.text(min_size=1))
def test_a_mask_never_shows_more_than_four_characters(identity: str) -> None:
    assert len(mask(identity)) <= 5
    assert mask(identity).count("…") >= 1


@pytest.mark.parametrize("text", ["IN.13491208655302741918", "US.a", "US.ENT.abc123", "GB." + "9" * 128])
def test_a_business_scoped_id_is_known_by_its_form(text: str) -> None:
    assert is_bsuid(text)


@pytest.mark.parametrize(
    "text", ["", "919216598210", "in.123", "IN.", "IND.123", "IN.12 3", "GB." + "9" * 129, "US.1\n"]
)
def test_other_texts_are_no_business_scoped_ids(text: str) -> None:
    assert not is_bsuid(text)


def test_the_window_is_open_for_a_day_after_the_last_word() -> None:
    contact = Contact(id=1, wa_id="919216598210", last_inbound_at=1_000.0)
    assert contact.window_is_open(1_000.0 + 86_399)
    assert not contact.window_is_open(1_000.0 + 86_400)
    assert not Contact(id=2, bsuid="IN.1").window_is_open(0.0)


def test_a_contact_is_addressed_by_number_before_id() -> None:
    assert Contact(id=1, wa_id="919216598210", bsuid="IN.1").address == "919216598210"
    assert Contact(id=2, bsuid="IN.1").address == "IN.1"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5511987654321", "551187654321", True),
        ("5215512345678", "525512345678", True),
        ("5491123456789", "541123456789", True),
        ("2250712345678", "22512345678", True),
        ("22901951234567", "22995123456", False),
        ("5511987654321", "5521987654321", False),
        ("5511987654321", "5511987654322", False),
        ("5511987654321", "11987654321", False),
        ("919216598210", "9192165982100", False),
        ("919216598210", "919216598210", True),
    ],
)
def test_spellings_of_a_number_differ_by_a_digit_or_two_before_its_end(one: str, other: str, same: bool) -> None:
    assert same_number(one, other) is same_number(other, one) is same
