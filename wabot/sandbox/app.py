"""The routes of the app: its token and permissions, and its webhook subscription.

https://developers.facebook.com/docs/graph-api/reference/debug_token
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wabot.sandbox.account import FIELDS
from wabot.sandbox.graph import Call, Json, Refusal, Routes, invalid

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta

SCOPES = ("whatsapp_business_management", "whatsapp_business_messaging")


async def debug_token(meta: Meta, call: Call) -> Json:
    """GET /debug_token?input_token=…: whether a token is valid, its app, and its permissions."""
    token = call.query.get("input_token")
    if not token:
        raise invalid("The parameter input_token is required.")
    if token != meta.access_token:
        trouble = {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}
        return {"data": {"error": trouble, "is_valid": False, "scopes": []}}
    rights = [{"scope": scope, "target_ids": [meta.account.id]} for scope in SCOPES]
    return {
        "data": {
            "app_id": meta.account.app_id, "type": "SYSTEM_USER", "application": meta.account.name,
            "data_access_expires_at": 0, "expires_at": 0, "is_valid": True, "issued_at": int(meta.now()),
            "scopes": list(SCOPES), "granular_scopes": rights, "user_id": "300000000000003",
        }
    }  # fmt: skip


async def app_token(meta: Meta, call: Call) -> Json:
    """GET /oauth/access_token?client_id=…&client_secret=…: the app's own token."""
    asked = await call.fields()
    if (asked.get("client_id"), asked.get("client_secret")) != (meta.account.app_id, meta.app_secret):
        raise Refusal(101, message="Error validating application.", http=400)
    return {"access_token": meta.app_token, "token_type": "bearer"}


async def show_app(meta: Meta, call: Call) -> Json:
    """GET /{app}."""
    return meta.account.app


async def subscriptions(meta: Meta, call: Call) -> Json:
    """GET /{app}/subscriptions: the address of the webhook, and its fields."""
    if meta.webhook_url is None:
        return {"data": []}
    fields = [{"name": name, "version": "v26.0"} for name in meta.account.fields]
    hook = {"object": "whatsapp_business_account", "callback_url": meta.webhook_url, "active": True, "fields": fields}
    return {"data": [hook]}


async def subscribe(meta: Meta, call: Call) -> Json:
    """POST /{app}/subscriptions: webhooks go to `callback_url` after it has answered the handshake."""
    asked = await call.fields()
    url, token = str(asked.get("callback_url", "")), str(asked.get("verify_token", ""))
    await meta.prove(url, token)
    meta.webhook_url, meta.verify_token = url, token
    meta.account.fields = tuple(filter(None, str(asked.get("fields", "")).split(","))) or FIELDS
    return {"success": True}


ROUTES: Routes = {
    ("debug_token", "GET", ""): debug_token,
    ("oauth", "GET", "access_token"): app_token,
    ("oauth", "POST", "access_token"): app_token,
    ("app", "GET", ""): show_app,
    ("app", "GET", "subscriptions"): subscriptions,
    ("app", "POST", "subscriptions"): subscribe,
}
