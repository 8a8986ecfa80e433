"""What `doctor` and the hourly look at itself conclude: each function turns facts into one Check, without any I/O.

Facts are JSON from the Graph API or plain numbers. The shapes of Graph's JSON:
https://developers.facebook.com/documentation/business-messaging/whatsapp/reference (phone number, account, templates)
and https://developers.facebook.com/docs/graph-api/reference/debug_token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wabot.core.json_values import dict_of, list_of, seconds_of, text_of

NAMES = (
    "settings", "disk", "clock", "journal", "token", "number", "account",
    "subscription", "template", "webhook", "mongo", "model", "events",
)  # fmt: skip
"""The checks in their order."""

DAY = 86400.0
MEGABYTE = 1 << 20

NEEDED_SCOPES = ("whatsapp_business_messaging", "whatsapp_business_management")
NEEDED_FIELDS = ("messages",)
WANTED_FIELDS = (
    "account_alerts",
    "account_update",
    "business_capability_update",
    "message_template_status_update",
    "phone_number_quality_update",
    "template_category_update",
    "user_preferences",
)
"""Optional fields of the app's webhook: without them wabot notices problems only when requests fail."""

SYSTEM_USERS = "Business settings > System users"
TEMPLATE_MANAGER = "WhatsApp Manager > Message templates"
RENEW = f"Generate a token that never expires in {SYSTEM_USERS}, put it into whatsapp.access_token and restart wabot."


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One result: the check's name, its state, details in plain words, and a remedy ("" if there is nothing to do).

    `problem`: the name of its problem, if that differs from `name`.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""
    problem: str = ""

    def document(self) -> dict[str, str]:
        """As `--json` shows it."""
        return {"name": self.name, "state": self.state, "detail": self.detail, "remedy": self.remedy}


def ok(name: str, detail: str) -> Check:
    return Check(name, State.OK, detail)


def warning(name: str, detail: str, remedy: str) -> Check:
    return Check(name, State.WARNING, detail, remedy)


def broken(name: str, detail: str, remedy: str) -> Check:
    return Check(name, State.BROKEN, detail, remedy)


def skipped(name: str, detail: str, remedy: str = "") -> Check:
    return Check(name, State.SKIPPED, detail, remedy)


def alerts(number: str, template: str) -> Check | None:
    """Whether the owner's alerts have both that they take; None if so, or if none are wanted."""
    if bool(number) == bool(template):
        return None
    given, missing = ("number", "template") if number else ("template", "number")
    return warning(
        "settings",
        f"handoff.alert_{given} is set and handoff.alert_{missing} is not: nobody is told of a handoff",
        "Set both in [handoff], or neither.",
    )


def disk(free: int, total: int, folder: str) -> Check:
    """Free disk space for the journal; `free` and `total` in bytes."""
    detail = f"{free // MEGABYTE} MB of {total // MEGABYTE} MB are free in {folder}"
    remedy = f"Make room on the disk of {folder}: webhooks are refused while it is full."
    if free < min(64 * MEGABYTE, total // 10):
        return broken("disk", detail, remedy)
    return warning("disk", detail, remedy) if free < min(512 * MEGABYTE, total // 5) else ok("disk", detail)


def clock(skew: float | None) -> Check:
    """`skew`: seconds by which this machine's clock is ahead of Meta's `Date` header; None if Meta did not answer."""
    if skew is None:
        return skipped("clock", "Meta did not answer, so there is no time to compare with")
    detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Meta's"
    remedy = "Let this machine set its clock by the network (timedatectl set-ntp true)."
    if abs(skew) > 300:
        return broken("clock", detail, remedy)
    return warning("clock", detail, remedy) if abs(skew) > 30 else ok("clock", "agrees with Meta's")


def unanswered(name: str) -> Check:
    """The answer lacks the fields asked for: it comes from a proxy, or from a stand-in for Meta."""
    return skipped(name, "Meta's answer does not say")


def is_of_the_token(error: Mapping[str, Any]) -> bool:
    """Whether Graph's error says that the token is not valid."""
    return text_of(error.get("code")) in ("0", "102", "104", "190")


def refused(name: str, error: Mapping[str, Any]) -> Check:
    """Graph answered with an error, about the token or about the object asked for."""
    code, said = text_of(error.get("code")), text_of(error.get("message")) or "no reason given"
    said = f"{said} ({code})"
    if is_of_the_token(error):
        return broken(name, f"Meta refuses the access token: {said}", RENEW)
    if code in ("3", "10") or re.fullmatch(r"2\d\d", code):
        remedy = f"{RENEW} Give it {' and '.join(NEEDED_SCOPES)}, and this WhatsApp account."
        return broken(name, f"the access token has no right to see it: {said}", remedy)
    setting = "phone_number_id" if name == "number" else "business_account_id"
    remedy = (
        f"Compare whatsapp.{setting} with WhatsApp > API setup, and restart wabot. If it is right, assign the WhatsApp"
        f" account to the system user in {SYSTEM_USERS}."
    )
    detail = f"Meta does not know whatsapp.{setting}, or hides it from this access token: {said}"
    return broken(name, detail, remedy)


def secret_refused(app_id: str) -> Check:
    """Meta does not accept the app secret for the token's app, so Meta's webhooks are refused."""
    detail = (
        f"Meta does not accept whatsapp.app_secret as the secret of the token's app ({app_id}): webhooks are refused"
    )
    remedy = "Copy it from the app's App settings > Basic into whatsapp.app_secret, and restart wabot."
    return Check("settings", State.BROKEN, detail, remedy, problem="signature")


def token(data: Mapping[str, Any], now: float) -> Check:
    """The access token. `data`: the answer of `GET /debug_token`; `now` in Unix seconds."""
    if data.get("is_valid") is not True:
        why = text_of(dict_of(data.get("error")).get("message"))
        return broken("token", f"Meta says that it is not valid{f': {why}' if why else ''}", RENEW)
    missing = [scope for scope in NEEDED_SCOPES if scope not in list_of(data.get("scopes"))]
    if missing:
        return broken("token", f"it lacks the permission {' and '.join(missing)}", f"{RENEW} Tick these permissions.")
    ends = seconds_of(data.get("expires_at"))
    if ends is None:
        return ok("token", "valid, and never expires")
    days = (ends - now) / DAY
    if days <= 0:
        return broken("token", "it has expired", RENEW)
    detail = f"it expires in {days:.0f} days" if days >= 2 else f"it expires in {days * 24:.0f} hours"
    return warning("token", detail, RENEW)


def number(data: Mapping[str, Any]) -> Check:
    """The phone number: registration, quality, throughput, messaging limit."""
    facts = [
        f"{label} {text_of(value)}"
        for label, value in (
            ("quality", data.get("quality_rating")),
            ("throughput", dict_of(data.get("throughput")).get("level")),
            ("limit", data.get("whatsapp_business_manager_messaging_limit") or data.get("messaging_limit_tier")),
        )
        if text_of(value)
    ]
    detail, status = ", ".join(facts) or "known to Meta", text_of(data.get("status"))
    if status in (
        "BANNED",
        "RESTRICTED",
        "DELETED",
        "MIGRATED",
        "UNVERIFIED",
        "DISCONNECTED",
        "RATE_LIMITED",
        "FLAGGED",
    ):
        remedy = "See WhatsApp Manager > Phone numbers for what Meta asks of you."
        kind = warning if status in ("RATE_LIMITED", "FLAGGED") else broken
        return kind("number", f"Meta says that it is {status}; {detail}", remedy)
    if status == "PENDING" or data.get("is_registered") is False:
        return broken("number", f"it is not registered; {detail}", "Register it in WhatsApp > API setup.")
    if text_of(data.get("quality_rating")) == "RED":
        return warning("number", detail, "People block or report it: send fewer messages that nobody asked for.")
    return ok("number", detail)


def account(data: Mapping[str, Any]) -> Check:
    """The WhatsApp Business Account."""
    review = text_of(data.get("account_review_status"))
    remedy = "See WhatsApp Manager > Account overview, or Business Support Home, for what Meta asks of you."
    health = dict_of(data.get("health_status"))
    if text_of(health.get("can_send_message")) == "BLOCKED":
        return broken("account", "Meta does not let it send anything", remedy)
    if review in ("REJECTED", "DISABLED"):
        return broken("account", f"Meta's review says {review}", remedy)
    if review == "PENDING" or text_of(health.get("can_send_message")) == "LIMITED":
        return warning("account", f"limited; review {review or 'unknown'}", remedy)
    return ok("account", text_of(data.get("name")) or "known to Meta")


def subscription(apps: Sequence[Any], app_id: str, fields: Sequence[str] | None) -> Check:
    """Whether the token's app gets the account's webhooks, with all fields.

    `apps`: those of `GET /{account}/subscribed_apps`. `fields`: the app's webhook fields, None if not readable.
    """
    fix = "python run.py doctor --fix subscribes it."
    ids = {text_of(dict_of(dict_of(app).get("whatsapp_business_api_data")).get("id")) for app in apps}
    if app_id not in ids:
        others = f", but {len(ids)} other" if ids else ""
        return broken("subscription", f"the token's app is not subscribed to the account{others}: nothing arrives", fix)
    if fields is None:
        return warning(
            "subscription",
            "the app is subscribed; the fields of its webhook cannot be read",
            "See in WhatsApp > Configuration that the field messages is subscribed.",
        )
    if missing := [field for field in NEEDED_FIELDS if field not in fields]:
        return broken("subscription", f"the webhook's field {', '.join(missing)} is not subscribed", fix)
    if missing := [field for field in WANTED_FIELDS if field not in fields]:
        return warning("subscription", f"optional fields are not subscribed: {', '.join(missing)}", fix)
    return ok("subscription", "the app and all fields")


def template(found: Iterable[Any], *, name: str, language: str, given: int) -> Check:
    """The first-contact template, looked up in `found` (Graph's list). `given`: body parameters in the settings."""
    called = f"{name} ({language})"
    same_name = [dict_of(one) for one in found if dict_of(one).get("name") == name]
    mine = next((one for one in same_name if one.get("language") == language), None)
    if mine is None:
        there = ", ".join(sorted({text_of(one.get("language")) for one in same_name}))
        detail = f"{called} does not exist" + (f"; it exists in {there}" if there else "")
        remedy = (
            f"Create it in {TEMPLATE_MANAGER}, or correct first_contact.template and first_contact.language and"
            " restart wabot."
        )
        return broken("template", detail, remedy)
    status = text_of(mine.get("status"))
    if status != "APPROVED":
        remedy = f"See {TEMPLATE_MANAGER} for why, or name another in first_contact.template and restart wabot."
        return broken("template", f"{called} is {status or 'not approved'}", remedy)
    wanted = parameters_of(mine)
    if wanted != given:
        detail = f"{called} takes {wanted} body parameters, first_contact.components gives {given}"
        return broken("template", detail, "Correct first_contact.components and restart wabot.")
    return ok("template", f"{called} is approved")


def parameters_of(listed: Mapping[str, Any]) -> int:
    """Number of parameters in the body of a listed template: the distinct `{{…}}` in its text."""
    bodies = [
        text_of(dict_of(part).get("text"))
        for part in list_of(listed.get("components"))
        if text_of(dict_of(part).get("type")).upper() == "BODY"
    ]
    return len({name for body in bodies for name in re.findall(r"\{\{\s*(\w+)\s*\}\}", body)})
