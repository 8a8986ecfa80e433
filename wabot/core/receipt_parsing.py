"""One status object of a webhook → `Receipt`: what became of a message of ours.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wabot.core.json_values import compact, dict_of, list_of, loads, seconds_of, text_of
from wabot.core.message_parsing import person_of
from wabot.core.messages import Receipt, Status

Object = Mapping[str, Any]

STATUSES = {status.value: status for status in Status if status not in (Status.RECEIVED, Status.QUEUED)}
"""What Meta may say of a message of ours."""
_LONGEST_WORD = 64


def receipt_of(status: Object, at: float) -> Receipt | None:
    """An entry of `statuses[]`; None for an unknown status, or for the status of a payment.

    `at`: when Meta sent the webhook, in Unix seconds, or 0.0.
    """
    wamid, known = text_of(status.get("id")), STATUSES.get(text_of(status.get("status")))
    if not wamid or known is None or status.get("type", "message") != "message":
        return None
    errors = list_of(status.get("errors"))
    in_group = status.get("recipient_type") == "group"
    who = "recipient_participant" if in_group else "recipient"
    return Receipt(
        wamid=wamid,
        status=known,
        timestamp=seconds_of(status.get("timestamp")) or at,
        tag=text_of(status.get("biz_opaque_callback_data")) or None,
        person=person_of(status.get(f"{who}_id"), status.get(f"{who}_user_id"), {}),
        error=loads(compact(errors[0])) if errors and isinstance(errors[0], dict) else None,
        pricing=pricing_of(dict_of(status.get("pricing"))),
    )


def pricing_of(said: Object) -> Object | None:
    """The readable fields of a receipt's `pricing`; None if there are none.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/pricing
    """
    words = {key: text_of(said.get(key))[:_LONGEST_WORD] for key in ("category", "type", "pricing_model")}
    billable = {"billable": said["billable"]} if isinstance(said.get("billable"), bool) else {}
    return {**billable, **{key: word for key, word in words.items() if word}} or None
