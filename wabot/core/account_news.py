"""What Meta reports about our account and number, reduced to one question: what may we send, and how fast?

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference (account_update,
account_alerts, business_capability_update, phone_number_quality_update, template_category_update)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wabot.core.json_values import dict_of, list_of, seconds_of, text_of

Object = Mapping[str, Any]

UPGRADED_RATE = 1000.0
"""Messages per second after Meta's upgrade; 80 before.
https://developers.facebook.com/documentation/business-messaging/whatsapp/throughput"""


_LIMIT = "max_daily_conversations_per_business"

_TIER = re.compile(r"(?:TIER_)?([0-9]+)(K?)", re.ASCII)

WARNING_SECONDS = 86400.0
"""How long a warning counts as a problem, since Meta does not report its end."""


class Standing(StrEnum):
    """What a report changes for us."""

    BLOCKED = "blocked"  # nothing gets through until Meta lifts the block
    RESTRICTED = "restricted"  # until a time we may only answer, and start no conversation
    LIFTED = "lifted"  # no block and no restriction any more
    FASTER = "faster"  # the number may send UPGRADED_RATE
    WARNED = "warned"  # nothing changes yet, but a person should act
    NOTED = "noted"  # nothing changes for us


@dataclass(frozen=True, slots=True)
class AccountNews:
    """One report of Meta's, in plain words. `at`: when Meta sent it; `until`: when a restriction ends; Unix seconds.

    `most_people`: the messaging limit, if it names one; `inf` if there is none any more.
    """

    standing: Standing
    reason: str
    at: float
    until: float | None = None
    most_people: float | None = None


def most_people(value: Any) -> float | None:
    """A messaging limit as Meta names it: 2000, "TIER_2K", and for none (`inf`) -1 or "TIER_UNLIMITED".

    None if it is none of these, such as "TIER_NOT_SET".
    """
    text = str(value).upper()
    if text in ("-1", "TIER_UNLIMITED"):
        return math.inf
    found = _TIER.fullmatch(text)
    return float(found[1]) * (1000 if found[2] else 1) or None if found else None


def read(field: str, value: Object, at: float) -> AccountNews | None:
    """What a webhook change of one of these fields reports; None for a field or an event that we do not know."""
    reader = _READERS.get(field)
    return reader(value, at) if reader is not None else None


def _update(value: Object, at: float) -> AccountNews | None:
    event = text_of(value.get("event"))
    if event == "DISABLED_UPDATE" or "ban_info" in value:
        return _ban(dict_of(value.get("ban_info")), at)
    if event == "ACCOUNT_RESTRICTION":
        return _restriction(list_of(value.get("restriction_info")), at)
    if event == "ACCOUNT_VIOLATION":
        kind = text_of(dict_of(value.get("violation_info")).get("violation_type")) or "unknown"
        return AccountNews(Standing.WARNED, f"Meta sees a violation of its policies by the account: {kind}", at)
    if event in ("ACCOUNT_DELETED", "ACCOUNT_OFFBOARDED"):
        return AccountNews(Standing.BLOCKED, f"Meta says that the account is {event[8:].lower()}", at)
    return (
        AccountNews(Standing.LIFTED, "The account is connected again", at) if event == "ACCOUNT_RECONNECTED" else None
    )


def _ban(ban: Object, at: float) -> AccountNews | None:
    found = ban.get("waba_ban_state")
    states = {text_of(state) for state in (found if isinstance(found, list) else [found])}
    if "REINSTATE" in states:
        return AccountNews(Standing.LIFTED, "Meta has reinstated the account", at)
    if "DISABLE" in states:
        return AccountNews(Standing.BLOCKED, "Meta has disabled the account", at)
    if "SCHEDULE_FOR_DISABLE" in states:
        day = text_of(ban.get("waba_ban_date"))
        return AccountNews(Standing.WARNED, f"Meta is going to disable the account{f' on {day}' if day else ''}", at)
    return None


def _restriction(info: list[Any], at: float) -> AccountNews:
    until = {text_of(dict_of(each).get("restriction_type")): dict_of(each).get("expiration") for each in info}
    ends = [seconds for seconds in map(seconds_of, until.values()) if seconds is not None]
    last = max(ends, default=None)
    if "RESTRICTED_CUSTOMER_INITIATED_MESSAGING" in until:
        return AccountNews(Standing.BLOCKED, "Meta lets the account answer nobody", at, last)
    if "RESTRICTED_BIZ_INITIATED_MESSAGING" in until:
        return AccountNews(Standing.RESTRICTED, "Meta lets the account only answer, and begin nothing", at, last)
    kinds = ", ".join(sorted(filter(None, until))) or "unknown"
    return AccountNews(Standing.WARNED, f"Meta restricts the account: {kinds}", at, last)


def _alert(value: Object, at: float) -> AccountNews:
    info = dict_of(value.get("alert_info")) or value
    kind = text_of(info.get("alert_type")) or "unknown"
    said = text_of(info.get("alert_description"))
    return AccountNews(Standing.WARNED, f"Meta warns: {kind}{f' ({said})' if said else ''}"[:500], at)


def _category(value: Object, at: float) -> AccountNews | None:
    name, language = text_of(value.get("message_template_name")), text_of(value.get("message_template_language"))
    category = text_of(value.get("new_category")) or text_of(value.get("correct_category"))
    if not name or not category:
        return None
    becomes = "is" if value.get("new_category") else "will be"
    reason = f"The template {name} ({language}) {becomes} {category}: that decides what it costs and who gets it"
    return AccountNews(Standing.WARNED, reason[:500], at)


def _quality(value: Object, at: float) -> AccountNews | None:
    event, tier = text_of(value.get("event")), value.get(_LIMIT) or value.get("current_limit")
    most = most_people(tier)
    if event == "THROUGHPUT_UPGRADE":
        reason = f"Meta takes up to {UPGRADED_RATE:g} messages a second"
        return AccountNews(Standing.FASTER, reason, at, most_people=most)
    said = f" ({text_of(tier)})" if text_of(tier) else ""
    standing = Standing.WARNED if event in ("FLAGGED", "DOWNGRADE") else Standing.NOTED
    return AccountNews(standing, f"Meta says of the number: {event}{said}", at, most_people=most) if event else None


def _capability(value: Object, at: float) -> AccountNews | None:
    limit = text_of(value.get(_LIMIT))
    reason = f"People whom the business may write to first in 24 hours: {limit}"
    return AccountNews(Standing.NOTED, reason, at, most_people=most_people(limit)) if limit else None


_READERS: Mapping[str, Callable[[Object, float], AccountNews | None]] = {
    "account_update": _update,
    "account_alerts": _alert,
    "template_category_update": _category,
    "phone_number_quality_update": _quality,
    "business_capability_update": _capability,
}
