from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.exceptions import Blocked, DeliveryError, Effect, Refused, Scope, Unavailable, Unclear
from wabot.core.messages import Contact
from wabot.core.meta_errors import ERRORS, REASON_LIMIT, Action, Rule, meaning, read_answer, regained_in, request

TABLE = Path(__file__).parents[1] / "samples" / "error_codes.csv"
"""Meta's codes as its pages describe them: one row per code or range, each read for what we may do about it."""

ACTIONS = {
    "RETRY": Action.RETRY,
    "THROTTLE": Action.THROTTLE,
    "DELAY": Action.DELAY,
    "STOP": Action.STOP,
    "MSG": Action.REFUSE,  # permanent for this message
    "RCPT": Action.REFUSE,  # permanent for this recipient
    "WINDOW": Action.REFUSE,  # needs a template
    "INFO": Action.REFUSE,  # not the result of a send
    "OPS": Action.REFUSE,  # no code of the send path
}
RAISED = {
    Action.RETRY: Unavailable,
    Action.THROTTLE: Unavailable,
    Action.DELAY: Unavailable,
    Action.STOP: Blocked,
    Action.REFUSE: Refused,
}
ACCEPTED = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": "+5511987654321", "wa_id": "551187654321"}],
    "messages": [{"id": "wamid.HBgM", "message_status": "accepted"}],
}


def described() -> Iterator[tuple[int, Rule]]:
    """Every code of the CSV with the rule that it describes."""
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            first, _, last = row["code"].partition("-")
            rule = Rule(
                ACTIONS[row["class"]],
                Scope(row["scope"]),
                float(row["wait"]) if row["wait"] else None,
                int(row["tries"]) if row["tries"] else None,
                Effect(row["effect"]) if row["effect"] else Effect.NONE,
            )
            for code in range(int(first), int(last or first) + 1):
                yield code, rule


def answer(status: int, value: object, **more: Any) -> Any:
    return read_answer(status, json.dumps(value).encode(), **more)


def refusal(status: int, value: object, **more: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as raised:
        answer(status, value, **more)
    return raised.value


def error(code: object, **more: object) -> dict[str, Any]:
    return {"error": {"message": "It failed", "type": "OAuthException", "code": code, **more}}


# The table.


def test_every_code_of_the_sheet_has_its_class_and_scope_and_there_is_no_other() -> None:
    assert dict(described()) == ERRORS


def test_no_code_stands_in_the_sheet_twice() -> None:
    codes = [code for code, _ in described()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("status", [None, 200, 400, 401, 429, 500])
def test_a_known_code_means_the_same_with_every_http_status_and_in_a_receipt(status: int | None) -> None:
    for code, rule in described():
        told = meaning({"code": code, "title": "It failed"}, status=status)
        assert type(told) is RAISED[rule.action], code
        assert (told.code, told.scope, told.reason) == (code, rule.scope, "It failed")


def test_the_wait_of_a_rule_is_at_least_what_is_waited() -> None:
    for code, rule in described():
        told = meaning({"code": code})
        assert told.wait == rule.wait, code  # type: ignore[attr-defined]
    long, short = meaning({"code": 4}, retry_after=90.0), meaning({"code": 4}, retry_after=5.0)
    assert isinstance(long, Unavailable)
    assert isinstance(short, Unavailable)
    assert (long.wait, short.wait) == (90.0, 60.0)


@pytest.mark.parametrize("code", [131026, 131050, 131021])
def test_somebody_who_does_not_get_our_messages_is_not_written_to_again(code: int) -> None:
    told = meaning({"code": code})
    assert isinstance(told, Refused)
    assert told.effect is Effect.SUPPRESS


@pytest.mark.parametrize("code", [131030, 130472, 130403, 130497])
def test_what_may_be_over_tomorrow_suppresses_nobody(code: int) -> None:
    told = meaning({"code": code})
    assert isinstance(told, Refused)
    assert told.effect is Effect.NONE


def test_a_number_restricted_for_spam_rests_with_templates_only_so_that_people_who_write_are_answered() -> None:
    told = meaning({"code": 131048})
    assert isinstance(told, Blocked)
    assert told.scope is Scope.TEMPLATES
    assert told.wait == 6 * 3600


def test_marketing_that_met_the_limit_of_a_person_waits_a_day_and_not_for_ever() -> None:
    told = meaning({"code": 131049})
    assert isinstance(told, Unavailable)
    assert (told.wait, told.tries) == (86400, 3)


@pytest.mark.parametrize("to", ["+15550001111", "15550001111"])
def test_marketing_to_the_united_states_is_given_up_at_once(to: str) -> None:
    told = meaning({"code": 131049}, to=to)
    assert isinstance(told, Refused)
    assert (told.scope, told.effect) == (Scope.CONTACT, Effect.NONE)
    assert isinstance(meaning({"code": 131049}, to="+491711234567"), Unavailable)
    with pytest.raises(Refused):
        read_answer(400, b'{"error": {"code": 131049}}', to=to)


def usage(*minutes: object) -> str:
    """Meta's header for accounts whose calls are allowed again in so many minutes."""
    return json.dumps(
        {str(n): [{"type": "messaging", "call_count": 100, "estimated_time_to_regain_access": each}]
         for n, each in enumerate(minutes)}
    )  # fmt: skip


@pytest.mark.parametrize("code", [4, 80007])
def test_an_app_that_called_too_often_waits_as_long_as_meta_says(code: int) -> None:
    body = json.dumps({"error": {"code": code}}).encode()
    with pytest.raises(Unavailable) as told:
        read_answer(400, body, usage=usage(0, 17))
    assert (told.value.wait, told.value.scope) == (17 * 60.0, Scope.NUMBER)
    with pytest.raises(Unavailable) as told:
        read_answer(400, body, usage=usage(0))
    assert told.value.wait == 60.0


def test_the_usage_of_an_app_says_nothing_of_other_troubles() -> None:
    with pytest.raises(Unavailable) as told:
        read_answer(400, b'{"error": {"code": 130429}}', usage=usage(17))
    assert told.value.wait is None


@pytest.mark.parametrize("header", ["", "{", "[]", '{"1": 5}', '{"1": ["x"]}', usage("soon"), usage(None), usage(1e9)])
def test_a_usage_that_makes_no_sense_is_none(header: str) -> None:
    assert regained_in(header) is None


# Codes that we do not know: the sheet's last row.


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, Refused, Scope.MESSAGE),
        (404, Refused, Scope.MESSAGE),
        (200, Refused, Scope.MESSAGE),
        (None, Refused, Scope.MESSAGE),
        (401, Blocked, Scope.NUMBER),
        (403, Blocked, Scope.NUMBER),
        (429, Unavailable, Scope.NUMBER),
        (500, Unavailable, Scope.META),
        (503, Unavailable, Scope.META),
    ],
)
@pytest.mark.parametrize("code", [999_999, "a word", None, 1.5, True, [], -1, 10**40])
def test_of_a_code_that_we_do_not_know_the_status_decides(
    status: int | None, kind: type[DeliveryError], scope: Scope, code: object
) -> None:
    told = meaning({"code": code, "message": "New"}, status=status)
    assert type(told) is kind
    assert told.scope is scope
    if scope is Scope.META:
        assert isinstance(told, Unavailable)
        assert told.tries == 3


def test_a_transient_failure_that_we_do_not_know_is_tried_again_a_few_times() -> None:
    told = meaning({"code": 999_999, "is_transient": True}, status=400)
    assert isinstance(told, Unavailable)
    assert told.tries == 3


@pytest.mark.parametrize("transient", [False, None, "true", 1])
def test_only_true_is_transient(transient: object) -> None:
    assert isinstance(meaning({"code": 999_999, "is_transient": transient}, status=400), Refused)


@pytest.mark.parametrize("subcode", [33, "33"])
def test_an_object_that_does_not_exist_is_our_own_number_and_no_fault_of_the_message(subcode: object) -> None:
    told = refusal(400, error(100, error_subcode=subcode))
    assert isinstance(told, Blocked)
    assert (told.scope, told.code) == (Scope.NUMBER, 100)


@pytest.mark.parametrize("subcode", [2494010, None, "odd", 0, True])
def test_other_subcodes_of_100_are_about_the_message(subcode: object) -> None:
    assert isinstance(refusal(400, error(100, error_subcode=subcode)), Refused)


def test_a_code_that_sqlite_could_not_hold_is_none() -> None:
    assert meaning({"code": 1 << 70}).code is None


@pytest.mark.parametrize("code", ["130429", " 130429 "])
def test_a_code_that_a_proxy_made_a_string_of_is_the_code(code: str) -> None:
    assert meaning({"code": code}).code == 130429


# Answers.


def test_an_acceptance_gives_the_id_and_the_number_as_meta_writes_it() -> None:
    accepted = answer(200, ACCEPTED)
    assert (accepted.wamid, accepted.wa_id, accepted.answer) == ("wamid.HBgM", "551187654321", ACCEPTED)


@pytest.mark.parametrize("contact", [{"user_id": "IN.1"}, {"wa_id": None}, {"wa_id": ""}, {"wa_id": "²"}, "odd"])
def test_an_acceptance_without_a_number_is_one_all_the_same(contact: object) -> None:
    accepted = answer(201, {**ACCEPTED, "contacts": [contact]})
    assert (accepted.wamid, accepted.wa_id) == ("wamid.HBgM", None)


@pytest.mark.parametrize("contacts", [[], None, {}, 7])
def test_contacts_may_be_missing(contacts: object) -> None:
    assert answer(200, {**ACCEPTED, "contacts": contacts}).wa_id is None


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        [ACCEPTED],
        None,
        "yes",
        {"success": True},
        {"messages": []},
        {"messages": {}},
        {"messages": ["wamid"]},
        {"messages": [{}]},
        {"messages": [{"id": ""}]},
        {"messages": [{"id": 7}]},
        {"messages": [{"id": "wamid.\ud800"}]},
        {"error": "a word"},
    ],
)
def test_a_yes_without_an_id_proves_nothing(value: object) -> None:
    assert isinstance(refusal(200, value), Unclear)


@pytest.mark.parametrize("body", [b"", b"<html>OK</html>", b"\xff\xfe", b"[" * 100_000, b'{"messages":', b"NaN"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Unclear),
        (204, Unclear),
        (408, Unclear),
        (500, Unclear),
        (502, Unclear),
        (503, Unclear),
        (504, Unclear),
        (401, Blocked),
        (403, Blocked),
        (429, Unavailable),
        (400, Unavailable),
        (404, Unavailable),
        (302, Unavailable),
    ],
)
def test_without_an_answer_of_graphs_the_status_is_all_there_is(
    status: int, kind: type[DeliveryError], body: bytes
) -> None:
    with pytest.raises(DeliveryError) as raised:
        read_answer(status, body)
    assert type(raised.value) is kind


def test_what_is_not_graphs_is_asked_again_three_times_at_the_most() -> None:
    told = refusal(404, "not found")
    assert isinstance(told, Unavailable)
    assert (told.tries, told.scope) == (3, Scope.META)


def test_throttling_without_a_code_is_for_the_whole_number_and_as_long_as_meta_says() -> None:
    told = refusal(429, {}, retry_after=17.0)
    assert isinstance(told, Unavailable)
    assert (told.scope, told.wait, told.code) == (Scope.NUMBER, 17.0, 429)


def test_an_error_counts_whatever_the_status_says() -> None:
    assert isinstance(refusal(200, error(131026)), Refused)
    assert isinstance(refusal(500, error(3)), Blocked)
    assert isinstance(refusal(400, error(131016)), Unavailable)


def test_an_error_beside_messages_is_an_error() -> None:
    assert isinstance(refusal(200, {**ACCEPTED, **error(131026)}), Refused)


# Reasons: in plain words, and without whom they are about.


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"message": "Rate limit hit", "error_data": {"details": "Too fast."}}, "Rate limit hit: Too fast."),
        ({"message": "Rate limit hit", "error_data": "Too fast."}, "Rate limit hit: Too fast."),
        ({"title": "Undeliverable", "message": "(#131026) Undeliverable"}, "Undeliverable"),
        ({"title": "Not delivered.", "error_data": {"details": "Too many."}}, "Not delivered: Too many."),
        ({"title": "Not delivered", "error_data": {"details": "Not Delivered."}}, "Not delivered"),
        ({"message": "Same", "error_data": {"details": "Same"}}, "Same"),
        ({"error_data": {"details": "Only this"}}, "Only this"),
        ({"message": " \n ", "error_data": {"details": None}}, "Meta gave no reason"),
        ({"message": {"odd": 1}, "error_data": ["odd"]}, "Meta gave no reason"),
        ({}, "Meta gave no reason"),
        ({"message": "two\nlines\tand \x1b[31mcolour\ud800"}, "two lines and [31mcolour"),
    ],
)
def test_a_reason_is_metas_in_plain_words(told: Mapping[str, Any], reason: str) -> None:
    assert meaning({"code": 100, **told}).reason == reason


@pytest.mark.parametrize(
    "secret", ["919216598210", "+919216598210", "EAAG" + "m0PX4ZCps" * 20, "wamid.HBgMOTE5MjE2NTk4MjEwFQIAERgSQTdC"]
)
def test_a_reason_does_not_tell_whom_or_with_which_token(secret: str) -> None:
    told = meaning({"code": 100, "message": f"Malformed {secret}.", "error_data": {"details": f"See {secret}"}})
    assert secret.removeprefix("+").removeprefix("wamid.") not in str(told)
    assert str(told).startswith("Malformed ")


def test_a_reason_keeps_what_helps() -> None:
    reason = (
        "body: number of localizable_params (1) does not match 3, see https://developers.facebook.com/docs/graph-api"
    )
    assert meaning({"code": 132000, "message": reason}).reason == reason


def test_a_reason_has_an_end() -> None:
    assert len(meaning({"code": 100, "message": "so long " * 10_000}).reason) == REASON_LIMIT


# Anything at all.

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_ERRORS = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from(sorted(ERRORS)) | _JSON,
        "message": _JSON,
        "title": _JSON,
        "error_data": _JSON | st.fixed_dictionaries({"details": _JSON}),
        "is_transient": _JSON,
    },
)
_ANSWERS = _JSON | st.fixed_dictionaries(
    {}, optional={"error": _ERRORS | _JSON, "messages": _JSON | st.just([{"id": "wamid.1"}]), "contacts": _JSON}
)


@given(
    status=st.integers(0, 999),
    body=st.binary() | _ANSWERS.map(lambda value: json.dumps(value).encode()),
    retry_after=st.none() | st.floats(0, 86400),
)
def test_whatever_comes_back_is_an_acceptance_or_a_delivery_error(
    status: int, body: bytes, retry_after: float | None
) -> None:
    try:
        accepted = read_answer(status, body, retry_after=retry_after)
    except DeliveryError as told:
        words, limit = told.reason, REASON_LIMIT
    else:
        words, limit = accepted.wamid, len(body)
        assert 200 <= status < 300
    words.encode()  # the journal takes it
    assert 0 < len(words) <= limit


@given(told=_ERRORS, status=st.none() | st.integers(100, 599))
def test_whatever_a_receipt_says_it_has_a_meaning_that_is_never_unclear(
    told: dict[str, Any], status: int | None
) -> None:
    assert isinstance(meaning(told, status=status), Unavailable | Blocked | Refused)


# Requests.


def test_a_number_is_written_to_with_a_plus() -> None:
    content = {"type": "text", "text": {"body": "Hi"}}
    assert request(Contact(1, wa_id="919216598210", bsuid="IN.1"), content, tag="t:1") == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+919216598210",
        "type": "text",
        "text": {"body": "Hi"},
        "biz_opaque_callback_data": "t:1",
    }


def test_a_person_without_a_number_is_written_to_by_their_id() -> None:
    asked = request(Contact(1, bsuid="IN.ab12"), {"type": "text"}, tag="t:1")
    assert asked["recipient"] == "IN.ab12"
    assert "to" not in asked
