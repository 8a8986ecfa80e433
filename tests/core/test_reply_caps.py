"""Caps on answers to one contact."""

from __future__ import annotations

import pytest

from wabot.core.outgoing import Origin
from wabot.core.reply_caps import DAY, HOUR, ReplyCaps

NOW = 1_790_000_000.0


def said(*seconds_ago: float, origin: Origin = Origin.AI) -> list[tuple[float, Origin]]:
    return [(NOW - ago, origin) for ago in seconds_ago]


@pytest.mark.parametrize(
    ("answers", "cap"),
    [
        (said(), None),
        (said(1), None),
        (said(1, HOUR - 1), "hour"),
        (said(1, HOUR), None),
        (said(1, HOUR, 2 * HOUR), "day"),
        (said(1, HOUR, DAY), None),
        (said(1, origin=Origin.TEMPLATE) + said(2, origin=Origin.FALLBACK), "hour"),
        (
            said(1, 2, 3, origin=Origin.BULK) + said(1, 2, 3, origin=Origin.STAFF) + said(1, 2, origin=Origin.LIMIT),
            None,
        ),
    ],
)
def test_answers_of_the_last_hour_and_of_the_last_day_count(
    answers: list[tuple[float, Origin]], cap: str | None
) -> None:
    assert ReplyCaps(per_hour=2, per_day=3).reached(answers, NOW) == cap


def test_a_cap_of_zero_bounds_nothing() -> None:
    assert ReplyCaps(per_hour=0, per_day=0).reached(said(*range(1000)), NOW) is None


def test_the_notice_is_due_once_a_day_if_there_is_one() -> None:
    caps = ReplyCaps(1, 1, "Until tomorrow.")
    assert caps.notice_is_due(said(5), NOW)
    assert not caps.notice_is_due(said(DAY - 1, origin=Origin.LIMIT), NOW)
    assert caps.notice_is_due(said(DAY, origin=Origin.LIMIT), NOW)
    assert not ReplyCaps(1, 1).notice_is_due(said(5), NOW)
