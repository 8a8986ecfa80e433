"""The routes of the business phone number: profile, settings, registration, QR codes, and blocked people.

https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/phone-numbers
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from wabot.core.complaint import parts
from wabot.core.phone_numbers import is_bsuid
from wabot.sandbox.checks import unfolded
from wabot.sandbox.graph import Call, Json, Refusal, Routes, invalid, page, select, unknown_object

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta

NUMBER_FIELDS = (
    "id", "verified_name", "display_phone_number", "conversational_automation", "status", "quality_rating",
    "quality_score", "webhook_configuration", "name_status", "new_name_status", "code_verification_status",
    "account_mode", "is_on_biz_app", "is_official_business_account", "is_pin_enabled", "is_preverified_number",
    "search_visibility", "platform_type", "throughput", "eligibility_for_api_business_global_search", "health_status",
    "certificate", "new_certificate", "last_onboarded_time", "country_code", "country_dial_code",
    "whatsapp_business_manager_messaging_limit", "messaging_limit_tier", "username",
)  # fmt: skip
NUMBER_SHOWN = (
    "verified_name", "code_verification_status", "display_phone_number", "quality_rating", "platform_type",
    "throughput", "webhook_configuration", "id",
)  # fmt: skip
PROFILE_FIELDS = ("about", "address", "vertical", "description", "email", "profile_picture_url", "websites")


async def show_number(meta: Meta, call: Call) -> Json:
    """GET /{number}."""
    node = meta.account.number_node(meta.phone_number_id, meta.webhook_url)
    return select(node, call.query.get("fields"), NUMBER_FIELDS, NUMBER_SHOWN, "WhatsAppBusinessPhoneNumber")


async def list_numbers(meta: Meta, call: Call) -> Json:
    """GET /{account}/phone_numbers."""
    return page([await show_number(meta, call)], call)


async def change_number(meta: Meta, call: Call) -> Json:
    """POST /{number}: another display name, or another address for its webhooks."""
    asked = unfolded(await call.fields(), ("webhook_configuration",))
    hook = asked.get("webhook_configuration")
    if isinstance(hook, dict):
        await meta.override("number", hook)
    elif "new_display_name" in asked:
        meta.account.number |= {"new_display_name": asked["new_display_name"], "new_name_status": "PENDING_REVIEW"}
    else:
        raise invalid("Nothing that could be changed was given.")
    return {"success": True}


async def register(meta: Meta, call: Call) -> Json:
    """POST /{number}/register, with a PIN of six digits."""
    pin = str((await call.fields()).get("pin", ""))
    if not (pin.isdecimal() and len(pin) == 6):
        raise Refusal(100, "Param pin must be 6 digits long.")
    meta.account.registered = True
    return {"success": True}


async def deregister(meta: Meta, call: Call) -> Json:
    """POST /{number}/deregister: from then on sends are refused with 133010."""
    meta.account.registered = False
    return {"success": True}


async def show_profile(meta: Meta, call: Call) -> Json:
    """GET /{number}/whatsapp_business_profile."""
    fields, shown = call.query.get("fields"), ("messaging_product",)
    node = meta.account.profile | {"messaging_product": "whatsapp"}
    return {"data": [select(node, fields, (*PROFILE_FIELDS, *shown), shown, "WhatsAppBusinessProfile") | {
        "messaging_product": "whatsapp"}]}  # fmt: skip


async def change_profile(meta: Meta, call: Call) -> Json:
    """POST /{number}/whatsapp_business_profile."""
    asked = await call.fields()
    for name, longest in (("about", 139), ("address", 256), ("description", 512), ("email", 128)):
        if len(str(asked.get(name) or "")) > longest:
            raise invalid(f"Param {name} must be at most {longest} characters long.")
    meta.account.profile |= {name: asked[name] for name in PROFILE_FIELDS if name in asked}
    if asked.get("profile_picture_handle"):
        meta.account.profile["profile_picture_url"] = f"{meta.media.base}/pictures/{meta.phone_number_id}"
    return {"success": True}


async def automate(meta: Meta, call: Call) -> Json:
    """POST /{number}/conversational_automation: ice breakers and commands."""
    asked = unfolded(await call.fields(), ("prompts", "commands"))
    offered = {name: asked[name] for name in ("prompts", "commands", "enable_welcome_message") if name in asked}
    meta.account.number["conversational_automation"] = offered | {"id": meta.phone_number_id}
    return {"success": True}


async def show_settings(meta: Meta, call: Call) -> Json:
    """GET /{number}/settings."""
    known = tuple(meta.account.settings)
    return select(meta.account.settings, call.query.get("fields"), known, known, "WhatsAppBusinessPhoneNumberSettings")


async def change_settings(meta: Meta, call: Call) -> Json:
    """POST /{number}/settings."""
    asked = await call.fields()
    if not asked.keys() & meta.account.settings.keys():
        raise invalid(f"One of {', '.join(meta.account.settings)} is required.")
    meta.account.settings |= {name: asked[name] for name in meta.account.settings if name in asked}
    return {"success": True}


async def block(meta: Meta, call: Call) -> Json:
    """POST or DELETE /{number}/block_users."""
    asked = unfolded(await call.fields(), ("block_users",))
    changed: list[Json] = []
    for entry in parts(asked, "block_users"):
        given = str(entry.get("user") or entry.get("user_id") or "")
        address = given if is_bsuid(given) else "".join(sign for sign in given if sign in "0123456789")
        if address:
            meta.people.of(address).blocked = call.method == "POST"
            changed.append({"input": given, "user_id" if is_bsuid(given) else "wa_id": address})
    if not changed:
        raise invalid("The parameter block_users is required.")
    done = "added_users" if call.method == "POST" else "removed_users"
    return {"messaging_product": "whatsapp", "block_users": {done: changed}}


async def list_blocked(meta: Meta, call: Call) -> Json:
    """GET /{number}/block_users."""
    blocked = [customer for customer in meta.people if customer.blocked]
    return page(
        [
            {"messaging_product": "whatsapp", "user_id": customer.user_id}
            | ({"wa_id": customer.number} if customer.number else {})
            for customer in blocked
        ],
        call,
    )


async def list_codes(meta: Meta, call: Call) -> Json:
    """GET /{number}/message_qrdls[/{code}]."""
    codes = meta.account.codes
    if call.rest and call.rest not in codes:
        raise unknown_object(call)
    return page([codes[call.rest]] if call.rest else list(codes.values()), call)


async def make_code(meta: Meta, call: Call) -> Json:
    """POST /{number}/message_qrdls[/{code}]: a new QR code, or other words for one."""
    asked = await call.fields()
    code = call.rest or str(asked.get("code") or secrets.token_hex(7).upper())
    if not asked.get("prefilled_message"):
        raise invalid("The parameter prefilled_message is required.")
    made = {
        "code": code,
        "prefilled_message": asked["prefilled_message"],
        "deep_link_url": f"https://wa.me/message/{code}",
    }
    if asked.get("generate_qr_image"):
        made["qr_image_url"] = f"{meta.media.base}/qr/{code}"
    meta.account.codes[code] = made
    return made


async def delete_code(meta: Meta, call: Call) -> Json:
    """DELETE /{number}/message_qrdls/{code}."""
    if meta.account.codes.pop(call.rest, None) is None:
        raise unknown_object(call)
    return {"success": True}


ROUTES: Routes = {
    ("number", "GET", ""): show_number,
    ("number", "POST", ""): change_number,
    ("number", "POST", "register"): register,
    ("number", "POST", "deregister"): deregister,
    ("number", "GET", "whatsapp_business_profile"): show_profile,
    ("number", "POST", "whatsapp_business_profile"): change_profile,
    ("number", "POST", "conversational_automation"): automate,
    ("number", "GET", "settings"): show_settings,
    ("number", "POST", "settings"): change_settings,
    ("number", "GET", "block_users"): list_blocked,
    ("number", "POST", "block_users"): block,
    ("number", "DELETE", "block_users"): block,
    ("number", "GET", "message_qrdls"): list_codes,
    ("number", "POST", "message_qrdls"): make_code,
    ("number", "DELETE", "message_qrdls"): delete_code,
    ("account", "GET", "phone_numbers"): list_numbers,
}
