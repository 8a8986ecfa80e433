"""The request that sends a message through Meta's Graph API, and what Graph's answers mean.

Errors are classified here and nowhere else, by Meta's `code` and never by the HTTP status alone. The answer to a send
and the `errors` of a `failed` receipt use the same table, which gives a `Rule` for each code of
https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
An answer that is not Graph's own JSON proves nothing, so a 5xx without it is Unclear.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wabot.core import fast_json
from wabot.core.exceptions import Blocked, DeliveryError, Effect, Refused, Scope, Unavailable, Unclear
from wabot.core.messages import Contact
from wabot.core.phone_numbers import mask
from wabot.core.whatsapp_text import sendable

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

REASON_LIMIT = 500
"""Characters of Meta's reason that are kept."""

_SENSITIVE = re.compile(r"\d{7,}|[A-Za-z0-9_=+-]{32,}")
"""Phone numbers, tokens and wamids (base64 of a number): Meta quotes them in its reasons, which we log."""


def request(contact: Contact, content: Mapping[str, Any], *, tag: str) -> dict[str, Any]:
    """The body of `POST /{phone_number_id}/messages` that sends `content` (`{"type": …, …}`) to `contact`.

    A phone number goes into `to` with a "+" (without it Meta may prepend our own country code), a BSUID into
    `recipient`; `tag` comes back in every receipt.
    https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages
    """
    address = {"to": f"+{contact.wa_id}"} if contact.wa_id else {"recipient": contact.bsuid}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **address,
        **content,
        "biz_opaque_callback_data": tag,
    }


@dataclass(frozen=True, slots=True)
class Accepted:
    """Meta accepted the message: its id, the number as Meta writes it (None for a BSUID), and the whole answer."""

    wamid: str
    wa_id: str | None
    answer: Mapping[str, Any]


class Action(StrEnum):
    """How we react to an error."""

    RETRY = "retry"
    THROTTLE = "throttle"
    DELAY = "delay"
    STOP = "stop"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one of Meta's codes means. `wait`: seconds to wait at least; `tries`: how often to try at most."""

    action: Action
    scope: Scope = Scope.MESSAGE
    wait: float | None = None
    tries: int | None = None
    effect: Effect = Effect.NONE


RETRY = Rule(Action.RETRY, Scope.META)
RETRY_FEW = Rule(Action.RETRY, Scope.META, tries=3)
THROTTLE = Rule(Action.THROTTLE, Scope.NUMBER)
THROTTLE_APP = Rule(Action.THROTTLE, Scope.NUMBER, wait=MINUTE)
STOP = Rule(Action.STOP, Scope.NUMBER)
REFUSE = Rule(Action.REFUSE)
LATER = Rule(Action.DELAY, Scope.CONTACT, wait=DAY, tries=3)
SUPPRESS = Rule(Action.REFUSE, Scope.CONTACT, effect=Effect.SUPPRESS)


def _rules(rule: Rule, *codes: int | Iterable[int]) -> dict[int, Rule]:
    flat = [code for item in codes for code in ([item] if isinstance(item, int) else item)]
    return dict.fromkeys(flat, rule)


ERRORS: Mapping[int, Rule] = {
    # Nothing gets through until a person acts: token, permission, number, account, billing.
    **_rules(STOP, 0, 3, 10, 33, 104, 190, range(200, 300), 368),
    **_rules(STOP, 131005, 131031, 131037, 131042, 131045, 133010, 141008, 141014),
    # Rate limits: calls of the app per hour; messages of the number; messages to one person.
    **_rules(THROTTLE_APP, 4, 17, 32, 341, 613, 80007),
    130429: THROTTLE,
    131056: Rule(Action.THROTTLE, Scope.CONTACT),
    132069: Rule(Action.THROTTLE, Scope.MESSAGE, wait=HOUR),
    # Errors on Meta's side. The last three name a time to wait, or concern this message alone.
    **_rules(RETRY, 2, 131016, 133004),
    **_rules(RETRY_FEW, 1, 131000),
    131057: Rule(Action.RETRY, Scope.NUMBER, wait=MINUTE),
    2494100: Rule(Action.RETRY, Scope.NUMBER, wait=5 * MINUTE),
    135000: Rule(Action.RETRY, tries=2),
    # Not now, and an early retry makes it worse.
    131049: LATER,
    134101: Rule(Action.DELAY, Scope.TEMPLATE, wait=10 * MINUTE),
    # This person cannot or does not want to get our messages, or marketing.
    **_rules(SUPPRESS, 131021, 131026, 131050),
    # This message is declined, but later ones may get through: Meta's marketing experiment (130472); a number that is
    # not on the test account's list (131030); a person whom we have blocked (130403); a country in which our account is
    # restricted, which says nothing about the person (130497).
    **_rules(Rule(Action.REFUSE, Scope.CONTACT), 130472, 131030, 130403, 130497),
    # The template.
    132001: Rule(Action.REFUSE, Scope.TEMPLATE, wait=MINUTE, effect=Effect.PAUSE_TEMPLATE),
    132007: Rule(Action.REFUSE, Scope.TEMPLATE, wait=MINUTE, effect=Effect.PAUSE_TEMPLATE),
    132016: Rule(Action.REFUSE, Scope.TEMPLATE, wait=DAY, effect=Effect.PAUSE_TEMPLATE),
    132015: Rule(Action.STOP, Scope.TEMPLATE, wait=3 * HOUR),
    131063: Rule(Action.STOP, Scope.TEMPLATE, wait=6 * HOUR),
    # All templates: bulk sends wait, replies go on.
    **_rules(Rule(Action.STOP, Scope.TEMPLATES, wait=6 * HOUR), 131048, 131064),
    # This message: a retry would be declined again.
    **_rules(REFUSE, 100, 131008, 131009, 131020, 131041, 131047, 131051, 131052, 131053, 131055, 131060, 131062),
    **_rules(REFUSE, 132000, 132005, 132008, 132012, 132018, 132068, 134011, 134100, 134102, 137000, 139200),
    # Codes of other endpoints; if a send gets one all the same, its message is declined.
    **_rules(REFUSE, 131044, 131059, range(131201, 131216), 133000, 133005, 133006, 133008, 133009, 133015, 133016),
    **_rules(REFUSE, range(138000, 139000), range(139000, 139005), range(139100, 139104), range(147001, 147006)),
    **_rules(REFUSE, 1752041, range(2388000, 2389000), 2593107, 2593108),
}  # fmt: skip

SUBCODES: Mapping[tuple[int, int], Rule] = {
    # "Object with ID … does not exist, cannot be loaded due to missing permissions": the only object that a send names
    # is our own number. So the number or the token is wrong, not the message.
    (100, 33): STOP,
}
"""Codes to which Meta gives two meanings. Otherwise the deprecated subcodes are ignored."""


def read_answer(
    status: int, body: bytes, *, to: str | None = None, retry_after: float | None = None, usage: str | None = None
) -> Accepted:
    """Meta's answer to a send. Raises Unavailable, Blocked, Refused or Unclear unless Meta accepted the message.

    `to`: the number, with or without "+". `retry_after`: the header of that name, in seconds. `usage`: the header
    X-Business-Use-Case-Usage.
    """
    answer = _json_object(body)
    error = answer.get("error")
    if isinstance(error, Mapping):
        raise meaning(error, to=to, status=status, retry_after=retry_after, regained_in=regained_in(usage))
    if 200 <= status < 300:
        return _accepted(answer)
    if status == 429:
        raise Unavailable("Meta limits the rate without giving a code", code=429, scope=Scope.NUMBER, wait=retry_after)
    if status in (401, 403):
        raise Blocked(f"HTTP {status} without an answer from Graph", code=status, scope=Scope.NUMBER)
    if status >= 500 or status == 408:
        raise Unclear(f"HTTP {status} without an answer from Graph", code=status)
    reason = f"HTTP {status} without an answer from Graph"
    raise Unavailable(reason, code=status, scope=Scope.META, tries=3, wait=retry_after)


def regained_in(usage: str | None) -> float | None:
    """Seconds until all calls are allowed again, from the header X-Business-Use-Case-Usage; None if it does not say.

    The header counts in minutes: `{"<account>": [{"type": "messaging", …, "estimated_time_to_regain_access": 5}]}`.
    https://developers.facebook.com/docs/graph-api/overview/rate-limiting
    """
    accounts = _json_object((usage or "").encode())
    uses = [use for listed in accounts.values() if isinstance(listed, list) for use in listed]
    minutes = [use.get("estimated_time_to_regain_access") for use in uses if isinstance(use, Mapping)]
    known = [float(each) for each in minutes if isinstance(each, int | float) and 0 < each < DAY / MINUTE]
    return max(known) * MINUTE if known else None


def meaning(
    error: Mapping[str, Any],
    *,
    to: str | None = None,
    status: int | None = None,
    retry_after: float | None = None,
    regained_in: float | None = None,
) -> DeliveryError:
    """What one of Meta's error objects (an answer's `error`, or one of a receipt's `errors`) means for the send.

    `to`: the recipient's number, if the send had one. `status`: the HTTP status of the answer (None for a receipt),
    used only for unknown codes. `regained_in`: seconds, used only if the app made too many calls.
    """
    code = _code(error.get("code"))
    rule = None
    if code is not None:
        rule = SUBCODES.get((code, _code(error.get("error_subcode")) or 0)) or ERRORS.get(code)
    if rule is None:
        rule = _rule_of_unknown(status, transient=error.get("is_transient") is True)
    if rule is LATER and (to or "").removeprefix("+").startswith("1"):
        rule = Rule(Action.REFUSE, Scope.CONTACT)  # Meta delivers no marketing at all to +1 numbers
    reason = _reason(error)
    wait = max(rule.wait or 0.0, retry_after or 0.0, (regained_in or 0.0) if rule is THROTTLE_APP else 0.0) or None
    match rule.action:
        case Action.STOP:
            return Blocked(reason, code, rule.scope, wait)
        case Action.REFUSE:
            return Refused(reason, code, rule.scope, rule.effect, wait)
    return Unavailable(reason, code, rule.scope, wait, rule.tries)


def _rule_of_unknown(status: int | None, *, transient: bool) -> Rule:
    if transient or (status is not None and status >= 500):
        return RETRY_FEW
    if status in (401, 403):
        return STOP
    return THROTTLE if status == 429 else REFUSE


def _accepted(answer: Mapping[str, Any]) -> Accepted:
    wamid = _first(answer, "messages").get("id")
    if not isinstance(wamid, str) or not wamid or sendable(wamid) != wamid:
        raise Unclear("Meta accepted the message but returned no message id")
    wa_id = _first(answer, "contacts").get("wa_id")
    return Accepted(wamid, wa_id if isinstance(wa_id, str) and wa_id.isascii() and wa_id.isdigit() else None, answer)


def _first(answer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    items = answer.get(key)
    return items[0] if isinstance(items, list) and items and isinstance(items[0], Mapping) else {}


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = _loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _loads(body: bytes) -> Any:
    try:
        return fast_json.loads(body)
    except ValueError:  # not JSON, or what only Python's own json reads
        return json.loads(body)


def _code(value: object) -> int | None:
    """Meta's code as a number; some proxies turn it into a string. None for anything that cannot be a code."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        code = int(value)
    except ValueError:
        return None
    return code if 0 <= code < 1 << 31 else None


def _reason(error: Mapping[str, Any]) -> str:
    """Meta's reason in plain words: the title or message, and the details if they add something.

    Logs and answers show it, so phone numbers, tokens and ids in it are masked.
    """
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, Mapping) else data
    parts: list[str] = []
    for value in (error.get("title") or error.get("message"), details):
        text = " ".join(sendable(value).split()) if isinstance(value, str) else ""
        if text and text.rstrip(".").casefold() not in (part.rstrip(".").casefold() for part in parts):
            parts.append(text)
    whole = ": ".join([*(part.rstrip(".") for part in parts[:-1]), *parts[-1:]])
    masked = _SENSITIVE.sub(lambda found: mask(found[0]), whole)
    return masked[:REASON_LIMIT] or "Meta gave no reason"
