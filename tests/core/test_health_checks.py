from __future__ import annotations

import pytest

from wabot.core import credential_shapes, health_checks
from wabot.core.credential_shapes import Credentials
from wabot.core.health_checks import DAY, State

NOW = 1_790_000_000.0
SCOPES = ["whatsapp_business_management", "whatsapp_business_messaging"]
GOOD = {"is_valid": True, "scopes": SCOPES, "expires_at": 0, "app_id": "1"}


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        ({}, State.OK, "never expires"),
        ({"expires_at": NOW + 20 * DAY}, State.WARNING, "20 days"),
        ({"expires_at": NOW + 3600}, State.WARNING, "1 hours"),
        ({"expires_at": NOW - 1}, State.BROKEN, "expired"),
        ({"is_valid": False, "error": {"message": "Session has expired"}}, State.BROKEN, "Session has expired"),
        ({"scopes": SCOPES[:1]}, State.BROKEN, "whatsapp_business_messaging"),
        ({"scopes": None}, State.BROKEN, "whatsapp_business_messaging"),
    ],
)
def test_a_token_is_judged_by_what_meta_says_of_it(change: dict[str, object], state: State, says: str) -> None:
    check = health_checks.token(GOOD | change, NOW)
    assert (check.state, says in check.detail) == (state, True)
    assert bool(check.remedy) == (state is not State.OK)


@pytest.mark.parametrize(
    ("data", "state"),
    [
        ({"status": "CONNECTED", "quality_rating": "GREEN", "throughput": {"level": "STANDARD"}}, State.OK),
        ({"status": "CONNECTED", "quality_rating": "RED"}, State.WARNING),
        ({"status": "FLAGGED"}, State.WARNING),
        ({"status": "BANNED"}, State.BROKEN),
        ({"status": "PENDING"}, State.BROKEN),
        ({}, State.OK),
    ],
)
def test_a_number_is_judged_by_its_status_and_quality(data: dict[str, object], state: State) -> None:
    assert health_checks.number(data).state is state


@pytest.mark.parametrize(
    ("data", "state"),
    [
        ({"name": "Bakery", "account_review_status": "APPROVED"}, State.OK),
        ({"account_review_status": "REJECTED"}, State.BROKEN),
        ({"account_review_status": "PENDING"}, State.WARNING),
        ({"health_status": {"can_send_message": "BLOCKED"}}, State.BROKEN),
        ({"health_status": {"can_send_message": "LIMITED"}}, State.WARNING),
    ],
)
def test_an_account_is_judged_by_its_review_and_health(data: dict[str, object], state: State) -> None:
    assert health_checks.account(data).state is state


def test_another_app_that_is_subscribed_does_not_help() -> None:
    apps = [{"whatsapp_business_api_data": {"id": "2"}}]
    assert health_checks.subscription(apps, "1", health_checks.WANTED_FIELDS).state is State.BROKEN
    assert health_checks.subscription(apps, "2", None).state is State.WARNING


def test_a_template_is_found_in_its_language_with_its_parameters() -> None:
    body = {"type": "BODY", "text": "Hello {{1}}, your order {{2}} of {{1}}"}
    listed = [{"name": "hi", "language": "de", "status": "APPROVED", "components": [body]}]
    assert health_checks.template(listed, name="hi", language="de", given=2).state is State.OK
    assert "takes 2" in health_checks.template(listed, name="hi", language="de", given=0).detail
    assert "it exists in de" in health_checks.template(listed, name="hi", language="en", given=2).detail


@pytest.mark.parametrize(
    ("code", "place"), [(190, "token"), (10, "whatsapp_business_messaging"), (100, "phone_number_id")]
)
def test_what_graph_refuses_names_the_place_to_mend_it(code: int, place: str) -> None:
    assert place in health_checks.refused("number", {"code": code, "message": "no"}).remedy


def test_nothing_of_a_secret_is_shown() -> None:
    given = Credentials("EAAGshort", "1", "1", "not-a-secret-of-metas", "")
    check = credential_shapes.check(given)
    assert check.state is State.BROKEN
    assert "EAAGshort" not in check.detail + check.remedy
    assert "not-a-secret" not in check.detail + check.remedy
