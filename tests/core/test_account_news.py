from __future__ import annotations

from typing import Any

import pytest

from wabot.core.account_news import Standing, read

AT = 1_789_000_001.0


def ban(state: Any) -> dict[str, Any]:
    return {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": state, "waba_ban_date": "March 3"}}


def restriction(*kinds: str) -> dict[str, Any]:
    info = [{"restriction_type": kind, "expiration": 1_789_086_400 + n} for n, kind in enumerate(kinds)]
    return {"event": "ACCOUNT_RESTRICTION", "restriction_info": info}


BEGIN, ANSWER = "RESTRICTED_BIZ_INITIATED_MESSAGING", "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"


@pytest.mark.parametrize(
    ("field", "value", "standing"),
    [
        ("account_update", ban("DISABLE"), Standing.BLOCKED),
        ("account_update", ban(["DISABLE"]), Standing.BLOCKED),
        ("account_update", ban("SCHEDULE_FOR_DISABLE"), Standing.WARNED),
        ("account_update", ban("REINSTATE"), Standing.LIFTED),
        ("account_update", restriction(BEGIN), Standing.RESTRICTED),
        ("account_update", restriction(BEGIN, ANSWER), Standing.BLOCKED),
        ("account_update", restriction("RESTRICTED_ADD_PHONE_NUMBER_ACTION"), Standing.WARNED),
        ("account_update", restriction(), Standing.WARNED),
        ("account_update", {"event": "ACCOUNT_DELETED"}, Standing.BLOCKED),
        ("account_update", {"event": "ACCOUNT_OFFBOARDED"}, Standing.BLOCKED),
        ("account_update", {"event": "ACCOUNT_RECONNECTED"}, Standing.LIFTED),
        (
            "account_update",
            {"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "SCAM"}},
            Standing.WARNED,
        ),
        (
            "account_alerts",
            {"alert_info": {"alert_type": "INCREASED_CAPABILITIES_FAILED"}},
            Standing.WARNED,
        ),
        ("phone_number_quality_update", {"event": "THROUGHPUT_UPGRADE", "current_limit": "TIER_10K"}, Standing.FASTER),
        ("phone_number_quality_update", {"event": "UPGRADE", "current_limit": "TIER_1K"}, Standing.NOTED),
        ("phone_number_quality_update", {"event": "FLAGGED", "current_limit": "TIER_1K"}, Standing.WARNED),
        ("business_capability_update", {"max_daily_conversations_per_business": 2000}, Standing.NOTED),
        (
            "template_category_update",
            {"message_template_name": "sale", "message_template_language": "de", "new_category": "MARKETING"},
            Standing.WARNED,
        ),
    ],
)
def test_what_follows_from_the_news(field: str, value: dict[str, Any], standing: Standing) -> None:
    news = read(field, value, AT)
    assert news is not None
    assert (news.standing, news.at, bool(news.reason)) == (standing, AT, True)


def test_a_restriction_lasts_until_the_last_of_its_kinds_ends() -> None:
    news = read("account_update", restriction(BEGIN, ANSWER), AT)
    assert news is not None
    assert news.until == 1_789_086_401


@pytest.mark.parametrize(
    "value", [{}, {"event": "PARTNER_ADDED"}, {"event": "DISABLED_UPDATE"}, ban("SOMETHING"), ban(5)]
)
def test_what_we_do_not_know_is_no_news(value: dict[str, Any]) -> None:
    assert read("account_update", value, AT) is None


def test_other_fields_are_not_read_here() -> None:
    assert read("security", {"event": "DISABLE"}, AT) is None


@pytest.mark.parametrize("odd", [None, 5, "x", [], ["x"], {"a": 1}])
def test_any_shape_is_survived(odd: Any) -> None:
    names = ("event", "ban_info", "restriction_info", "violation_info", "alert_info", "current_limit", "new_category")
    for field in ("account_update", "account_alerts", "phone_number_quality_update", "template_category_update"):
        for event in ("DISABLED_UPDATE", "ACCOUNT_RESTRICTION", "ACCOUNT_VIOLATION", odd):
            read(field, dict.fromkeys(names, odd) | {"event": event}, AT)
