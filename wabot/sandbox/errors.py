"""Meta's errors in Meta's words: in the answer to a send, and in the `errors` of a `failed` receipt.

https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HREF = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of an error: the HTTP status of the answer, the title, the details."""

    http: int
    title: str
    details: str = ""


KNOWN: Mapping[int, Wording] = {
    0: Wording(401, "AuthException", "We were unable to authenticate the app user."),
    1: Wording(400, "API Unknown", "Invalid request or possible server error."),
    2: Wording(503, "API Service", "Temporary due to downtime or due to being overloaded."),
    3: Wording(500, "API Method", "Capability or permissions issue."),
    4: Wording(400, "Application request limit reached", "The app has reached its API call rate limit."),
    10: Wording(403, "Permission Denied", "Permission is either not granted or has been removed."),
    33: Wording(400, "Parameter value is not valid", "The business phone number has been deleted."),
    100: Wording(400, "Invalid parameter"),
    104: Wording(401, "An access token is required to request this resource."),
    101: Wording(400, "Error validating application."),
    190: Wording(401, "Error validating access token: The session is invalid or has expired."),
    200: Wording(403, "Permissions error", "The app lacks whatsapp_business_messaging for this number."),
    368: Wording(403, "Temporarily blocked for policies violations", "The account has been restricted or disabled."),
    2200: Wording(400, "Callback verification failed"),
    2500: Wording(400, "Unknown path components"),
    80007: Wording(400, "Rate limit issues", "The WhatsApp Business Account has reached its rate limit."),
    130403: Wording(400, "User is blocked by the business", "The business has blocked this user."),
    130429: Wording(429, "Rate limit hit", "Cloud API message throughput has been reached."),
    130472: Wording(400, "User's number is part of an experiment", "Message was not sent as part of an experiment."),
    130497: Wording(403, "Business account is restricted from messaging users in this country."),
    131000: Wording(500, "Something went wrong", "Message failed to send due to an unknown error."),
    131005: Wording(403, "Access denied", "Permission is either not granted or has been removed."),
    131008: Wording(400, "Required parameter is missing", "The request is missing a required parameter."),
    131009: Wording(400, "Parameter value is not valid", "One or more parameter values are invalid."),
    131016: Wording(500, "Service unavailable", "A service is temporarily unavailable."),
    131021: Wording(400, "Recipient cannot be sender", "Sender and recipient phone number is the same."),
    131026: Wording(400, "Message undeliverable", "Message Undeliverable."),
    131030: Wording(400, "Recipient phone number not in allowed list", "Add recipient phone number to recipient list."),
    131031: Wording(403, "Business Account locked", "Business account has been locked or cannot be verified."),
    131037: Wording(400, "WhatsApp provided number needs display name approval before message can be sent."),
    131042: Wording(400, "Business eligibility payment issue", "There was an error related to your payment method."),
    131045: Wording(500, "Incorrect certificate", "Message failed to send due to a phone number registration error."),
    131047: Wording(
        400,
        "Re-engagement message",
        "Message failed to send because more than 24 hours have passed since the customer last replied to this number.",
    ),
    131048: Wording(400, "Spam rate limit hit", "Too many previous messages were blocked or flagged as spam."),
    131049: Wording(
        400,
        "This message was not delivered to maintain healthy ecosystem engagement.",
        "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
    ),
    131050: Wording(400, "User has stopped marketing messages", "The recipient chose to stop your marketing messages."),
    131051: Wording(400, "Unsupported message type", "Message type is currently not supported."),
    131052: Wording(400, "Media download error", "Unable to download the media sent by the user."),
    131053: Wording(400, "Media upload error", "Unable to upload the media used in the message."),
    131055: Wording(400, "Method not allowed", "Only marketing messages are supported."),
    131056: Wording(
        429,
        "(Business Account, Consumer Account) pair rate limit hit",
        "Message failed to send because there were too many messages sent from this phone number to the same phone "
        "number in a short period of time.",
    ),
    131057: Wording(500, "Business Account in maintenance mode", "The account is being upgraded."),
    131060: Wording(400, "This message is currently unavailable."),
    131062: Wording(400, "Business-scoped User ID (BSUID) recipients are not supported for this message."),
    131063: Wording(400, "Marketing templates are disabled on Cloud API for this account."),
    131064: Wording(400, "Account limited", "The account is limited for mis-categorised templates."),
    132000: Wording(400, "Number of parameters does not match the expected number of params"),
    132001: Wording(404, "Template name does not exist in the translation"),
    132005: Wording(400, "Translated text too long", "The translated text is too long."),
    132007: Wording(400, "Template format character policy violated", "Template content violates a WhatsApp policy."),
    132008: Wording(400, "Invalid parameter value in a template."),
    132012: Wording(400, "Parameter format does not match format in the created template"),
    132015: Wording(400, "Template is paused", "Template is paused due to low quality."),
    132016: Wording(400, "Template is disabled", "Template was paused too many times due to low quality."),
    132018: Wording(400, "There was an issue with the parameters in your template."),
    132069: Wording(400, "Flow is throttled", "10 messages using this flow were already sent in the last hour."),
    133004: Wording(503, "Server Temporarily Unavailable", "Server is temporarily unavailable."),
    133010: Wording(400, "Account not registered", "Phone number is not registered on the WhatsApp platform."),
    135000: Wording(
        400, "Generic user error", "Message failed to send because of an unknown error with the parameters."
    ),
    137000: Wording(400, "Identity key hash mismatch", "The recipient's identity key has changed."),
}


def wording(code: int) -> Wording:
    """Meta's words for `code`; for one that is not in the table, a plain 400."""
    return KNOWN.get(code) or Wording(400, "Something went wrong")


def answer(
    code: int, details: str | None = None, *, message: str | None = None, subcode: int = 0, reason: str = ""
) -> dict[str, Any]:
    """The JSON that Graph answers with when it refuses: `{"error": {message, type, code, error_data?, …}}`.

    `details` and `message` replace the table's words; "" leaves the details out, as Graph does for its own errors.
    `reason` is for a person, as the routes for templates give it.
    """
    words = wording(code)
    details = words.details if details is None else details
    error: dict[str, Any] = {"message": message or f"(#{code}) {words.title}", "type": "OAuthException", "code": code}
    if code in (104, 190) and message is None:
        error["message"] = words.title
    if details:
        error["error_data"] = {"messaging_product": "whatsapp", "details": details}
    if subcode:
        error["error_subcode"] = subcode
    if reason:
        error |= {"is_transient": False, "error_user_title": words.title, "error_user_msg": reason}
    return {"error": error | {"fbtrace_id": "A" + secrets.token_urlsafe(16)}}


def in_receipt(code: int, details: str | None = None) -> dict[str, Any]:
    """The same error as a webhook words it: `{code, title, message, error_data, href}`."""
    words = wording(code)
    data = {"details": details or words.details or words.title}
    return {"code": code, "title": words.title, "message": words.title, "error_data": data, "href": HREF}
