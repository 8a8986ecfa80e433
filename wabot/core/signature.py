"""Meta's signature of a webhook.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint
"""

from __future__ import annotations

import hmac
import re

from wabot.core.exceptions import InvalidInput

_SIGNATURE = re.compile("sha256=([0-9a-f]{64})")


class BadSignature(InvalidInput):
    """The webhook is not signed with the app secret of any account that it may be for."""

    def __init__(self) -> None:
        super().__init__("the signature is missing or wrong: check whatsapp.app_secret")


def looks_signed(header: str | None) -> bool:
    """Whether `header` (X-Hub-Signature-256) is well-formed."""
    return _SIGNATURE.fullmatch(header or "") is not None


def is_signed(body: bytes, header: str | None, secret: bytes) -> bool:
    """Whether `header` (X-Hub-Signature-256) is Meta's signature of exactly these bytes; never without a secret."""
    found = _SIGNATURE.fullmatch(header or "")
    if not secret or found is None:
        return False
    return hmac.compare_digest(hmac.digest(secret, body, "sha256").hex(), found[1])
