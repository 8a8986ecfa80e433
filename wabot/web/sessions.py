"""Console sessions: a signed cookie that stands for the API key by which somebody signed in.

Nothing is stored: whatever process has the key can check the cookie, and without the key it is worth nothing any more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer, TimestampSigner

COOKIE = "wabot_session"
SESSION_SECONDS = 7 * 86400


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, and the accounts that it opens; None = all."""

    secret: bytes
    accounts: frozenset[str] | None = None


class Sessions:
    """The sessions of those who know one of `keys`."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = tuple(keys)
        self._without_key = secrets.token_bytes(32)  # in the sandbox nobody signs in

    def begin(self, key: ApiKey) -> str:
        """The cookie of a new session."""
        return _of_session(key.secret).sign(secrets.token_urlsafe(12)).decode()

    def key_of(self, cookie: str | None) -> ApiKey | None:
        """The key that a cookie stands for; None if it is not one of ours, or too old."""
        for key in self._keys if cookie else ():
            try:
                _of_session(key.secret).unsign(cookie or "", max_age=SESSION_SECONDS)
            except BadSignature:
                continue
            return key
        return None

    def form_token(self, cookie: str | None) -> str:
        """What the forms of a session carry, and no page of another site knows."""
        return _of_forms(self._secret_of(cookie)).get_signature(cookie or "").decode()

    def is_form_token(self, cookie: str | None, token: str) -> bool:
        """Whether a form was made for this session."""
        return _of_forms(self._secret_of(cookie)).verify_signature(cookie or "", token)

    def _secret_of(self, cookie: str | None) -> bytes:
        key = self.key_of(cookie)
        return key.secret if key is not None else self._without_key


def _of_session(secret: bytes) -> TimestampSigner:
    return TimestampSigner(secret, salt="wabot.session", key_derivation="hmac", digest_method=hashlib.sha256)


def _of_forms(secret: bytes) -> Signer:
    return Signer(secret, salt="wabot.form", key_derivation="hmac", digest_method=hashlib.sha256)
