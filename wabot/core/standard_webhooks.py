"""How we sign what we post to the owner's own programs, and how their secrets are written.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

from wabot.core.exceptions import InvalidInput

PREFIX = "whsec_"
SHORTEST_KEY = 16
"""Bytes of a secret, so that it cannot be guessed. The convention says 24 to 64, and its libraries accept all."""


def key_of(secret: str) -> bytes:
    """The key within "whsec_" and base64, which may lack its padding. Raises InvalidInput, without the secret."""
    try:
        encoded = secret.removeprefix(PREFIX)
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(PREFIX) or len(key) < SHORTEST_KEY:
        raise InvalidInput(
            f'must be "{PREFIX}" and the base64 of at least {SHORTEST_KEY} bytes'
            f' (`echo "{PREFIX}$(openssl rand -base64 32)"` makes a good one)'
        )
    return key


def signed_headers(secret: str, id_: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The headers that prove that a body is ours, and was sent at this time (Unix seconds)."""
    signed = hmac.digest(key_of(secret), b"%s.%d.%s" % (id_.encode(), timestamp, body), "sha256")
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
