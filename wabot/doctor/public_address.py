"""Checks the public address as Meta would use it: the verification request, then a signed webhook without content."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import aiohttp

from wabot.core import health_checks
from wabot.core.health_checks import Check

SECONDS = 9.0
NO_OP = b'{"object":"whatsapp_business_account","entry":[]}'
"""A webhook without content: it is accepted, and changes nothing."""

_RESTART = "Restart wabot with these settings, or correct the settings that it runs with."


async def knock(session: aiohttp.ClientSession, address: str, *, verify_token: str, app_secret: str) -> Check:
    """Whether DNS name, certificate, proxy, verify token and app secret work at `address`.

    Only Meta's own webhooks prove that Meta reaches the address and signs with the same secret.
    """
    try:
        return await _handshake(session, address, verify_token) or await _deliver(session, address, app_secret)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        detail = f"{address} cannot be reached from here ({type(error).__name__})"
        return health_checks.broken(
            "webhook", detail, "Check the name, the certificate and the proxy, and that wabot runs."
        )


async def _handshake(session: aiohttp.ClientSession, address: str, verify_token: str) -> Check | None:
    challenge = str(secrets.randbits(31))
    query = {"hub.mode": "subscribe", "hub.verify_token": verify_token, "hub.challenge": challenge}
    async with session.get(address, params=query, timeout=_timeout(), allow_redirects=False) as response:
        text = (await response.content.read(1024)).decode(errors="replace")
        if response.status == 403:
            return health_checks.broken("webhook", f"{address} does not know the verify token", _RESTART)
        if response.status != 200 or text != challenge:
            detail = f"{address} answers Meta's handshake with HTTP {response.status}, and not with the challenge"
            return health_checks.broken("webhook", detail, "Let the proxy pass GET and POST /webhook to wabot.")
    return None


async def _deliver(session: aiohttp.ClientSession, address: str, app_secret: str) -> Check:
    signature = "sha256=" + hmac.new(app_secret.encode(), NO_OP, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": signature, "Content-Type": "application/json"}
    async with session.post(
        address, data=NO_OP, headers=headers, timeout=_timeout(), allow_redirects=False
    ) as response:
        if response.status == 401:
            return health_checks.broken("webhook", f"{address} refuses what this app secret signed", _RESTART)
        if response.status != 200:
            detail = f"{address} answers a signed webhook with HTTP {response.status}"
            return health_checks.broken(
                "webhook", detail, "Let the proxy pass POST /webhook with its body and headers."
            )
    detail = f"{address} answers; that Meta reaches it and signs with the same secret, only Meta's own webhook proves"
    return health_checks.ok("webhook", detail)


def _timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=SECONDS)
