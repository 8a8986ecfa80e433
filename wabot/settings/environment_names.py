"""The short names of environment variables, beside WABOT_SECTION__KEY."""

from __future__ import annotations

from collections.abc import Mapping

FLAT_NAMES: Mapping[str, tuple[str, str]] = {
    "PORT": ("server", "port"),
    "ACCESS_TOKEN": ("whatsapp", "access_token"),
    "PHONE_NUMBER_ID": ("whatsapp", "phone_number_id"),
    "BUSINESS_ACCOUNT_ID": ("whatsapp", "business_account_id"),
    "VERIFY_TOKEN": ("whatsapp", "verify_token"),
    "APP_SECRET": ("whatsapp", "app_secret"),
    "GRAPH_API_BASE": ("whatsapp", "graph_api_base"),
    "GOOGLE_API_KEY": ("assistant", "api_key"),
    "MONGO_URI": ("mongo", "uri"),
    "DATABASE_NAME": ("mongo", "database"),
    "COLLECTION_NAME": ("mongo", "collection"),
}
"""The name → section and key."""
