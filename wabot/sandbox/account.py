"""The state of the business at Meta, and the routes of its account (WABA).

https://developers.facebook.com/documentation/business-messaging/whatsapp/business-portfolios-and-wabas
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wabot.sandbox.graph import Call, Json, Routes, select

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta

ACCOUNT_FIELDS = (
    "id", "name", "timezone_id", "message_template_namespace", "status", "business_verification_status",
    "is_enabled_for_insights", "marketing_messages_lite_api_status", "marketing_messages_onboarding_status",
    "on_behalf_of_business_info", "ownership_type", "health_status", "currency", "country", "subscribed_apps",
    "owner_business_info", "account_review_status", "disable_marketing_messages_on_cloud_api", "phone_numbers",
    "message_templates",
)  # fmt: skip
FIELDS = (
    "messages", "message_template_status_update", "message_template_quality_update", "template_category_update",
    "message_template_components_update", "account_update", "account_alerts", "account_review_update",
    "business_capability_update", "phone_number_quality_update", "phone_number_name_update", "user_preferences",
    "smb_message_echoes", "security",
)  # fmt: skip
"""The webhook fields that the app is subscribed to at the start."""
TIERS: Mapping[int | None, str] = {
    250: "TIER_250", 2_000: "TIER_2K", 10_000: "TIER_10K", 100_000: "TIER_100K", None: "TIER_UNLIMITED",
}  # fmt: skip
"""Messaging limits: unique people who may be written to outside their window in 24 hours, per portfolio.
https://developers.facebook.com/documentation/business-messaging/whatsapp/messaging-limits"""
DAY = 86400.0


@dataclass(slots=True)
class Account:
    """The state of the account, its app and its number.

    `owner_id`: the business portfolio that it belongs to. `limit`: people a day outside their windows; None: no limit.
    `reached`: when each of them, by BSUID, was last written to. `subscribed`: whether the app is subscribed to the
    account; otherwise it gets no webhooks. `fields`: the webhook fields that the app is subscribed to. `overrides`:
    other webhook addresses for the messages of the "account" or the "number". `registered`: whether the number may
    send.
    """

    id: str
    app_id: str
    display_number: str
    name: str = "wabot sandbox"
    owner_id: str = "100000000000900"
    limit: int | None = None
    subscribed: bool = True
    registered: bool = True
    fields: tuple[str, ...] = FIELDS
    overrides: dict[str, str] = field(default_factory=dict)
    number: Json = field(default_factory=dict)
    profile: Json = field(default_factory=lambda: {"about": "Hey there! I am using WhatsApp.", "vertical": "OTHER"})
    settings: Json = field(default_factory=lambda: {
        "calling": {"status": "DISABLED"}, "user_identity_change": {"enable_identity_key_check": False},
        "storage_configuration": {"status": "DEFAULT"},
    })  # fmt: skip
    codes: dict[str, Json] = field(default_factory=dict)
    reached: dict[str, float] = field(default_factory=dict)

    def may_reach(self, user_id: str, now: float) -> bool:
        """Whether the messaging limit lets the business start a conversation with this person; if so, count it."""
        self.reached = {person: at for person, at in self.reached.items() if at > now - DAY}
        if self.limit is not None and user_id not in self.reached and len(self.reached) >= self.limit:
            return False
        self.reached[user_id] = now
        return True

    @property
    def tier(self) -> str:
        """The messaging limit as Meta names it."""
        return TIERS.get(self.limit, f"TIER_{self.limit}")

    @property
    def app(self) -> Json:
        """The app as Graph shows it."""
        return {"link": f"https://www.facebook.com/games/?app_id={self.app_id}", "name": self.name, "id": self.app_id}

    def apps(self) -> list[Json]:
        """The subscribed apps: ours, or none."""
        override = {"override_callback_uri": self.overrides["account"]} if self.overrides.get("account") else {}
        return [{"whatsapp_business_api_data": self.app} | override] if self.subscribed else []

    def receives(self, field: str) -> bool:
        """Whether the app gets webhooks of this field."""
        return self.subscribed and field in self.fields

    def number_node(self, id_: str, webhook: str | None) -> Json:
        """The phone number as Graph shows it; `webhook`: the address of the app's webhook."""
        places = {"application": webhook, "whatsapp_business_account": self.overrides.get("account"),
                  "phone_number": self.overrides.get("number")}  # fmt: skip
        hooks = {name: url for name, url in places.items() if url}
        return {
            "id": id_, "verified_name": self.name, "display_phone_number": self.display_number,
            "status": "CONNECTED" if self.registered else "DISCONNECTED", "quality_rating": "GREEN",
            "quality_score": {"score": "GREEN"}, "name_status": "APPROVED", "code_verification_status": "VERIFIED",
            "account_mode": "SANDBOX", "is_official_business_account": False, "is_pin_enabled": False,
            "is_on_biz_app": False, "platform_type": "CLOUD_API" if self.registered else "NOT_APPLICABLE",
            "throughput": {"level": "STANDARD"}, "webhook_configuration": hooks or None,
            "whatsapp_business_manager_messaging_limit": self.tier, **self.number,
        }  # fmt: skip

    def node(self) -> Json:
        """The account as Graph shows it."""
        return {
            "id": self.id, "name": self.name, "timezone_id": "1", "message_template_namespace": "sandbox",
            "status": "ACTIVE", "business_verification_status": "verified", "currency": "USD", "country": "US",
            "account_review_status": "APPROVED", "ownership_type": "SELF",
            "owner_business_info": {"id": self.owner_id, "name": self.name},
            "subscribed_apps": {"data": self.apps()},
        }  # fmt: skip


async def show_account(meta: Meta, call: Call) -> Json:
    """GET /{account}."""
    shown = ("id", "name", "timezone_id", "message_template_namespace", "currency")
    return select(meta.account.node(), call.query.get("fields"), ACCOUNT_FIELDS, shown, "WhatsAppBusinessAccount")


async def list_apps(meta: Meta, call: Call) -> Json:
    """GET /{account}/subscribed_apps."""
    return {"data": meta.account.apps()}


async def subscribe(meta: Meta, call: Call) -> Json:
    """POST /{account}/subscribed_apps, optionally with another address for the account's webhooks."""
    await meta.override("account", await call.fields())
    meta.account.subscribed = True
    return {"success": True}


async def unsubscribe(meta: Meta, call: Call) -> Json:
    """DELETE /{account}/subscribed_apps: nothing arrives any more."""
    meta.account.subscribed = False
    return {"success": True}


ROUTES: Routes = {
    ("account", "GET", ""): show_account,
    ("account", "GET", "subscribed_apps"): list_apps,
    ("account", "POST", "subscribed_apps"): subscribe,
    ("account", "DELETE", "subscribed_apps"): unsubscribe,
}
