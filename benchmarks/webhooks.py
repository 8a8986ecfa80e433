"""Webhooks as Meta posts them: whole HTTP requests, ready to be written to a socket."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from functools import cache

from wabot.sandbox import payloads

APP_SECRET, ACCESS_TOKEN, PHONE_NUMBER_ID = "benchmark-secret", "benchmark-token", "100000000000001"
API_KEY = "benchmark-key-of-the-api"
PEOPLE = 2000
"""Who write, one after the other."""
NAME = "Ana Kumar"

_TEXT = "Are you open tomorrow, and is the blue one left?"
_HEAD = (
    b"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\nAccept: */*\r\n"
    b"Content-Type: application/json\r\nX-Hub-Signature-256: %s\r\nContent-Length: %d\r\n\r\n"
)


def number(person: int) -> str:
    """The phone number of one of all people."""
    return f"9198{person:08d}"


def requests(
    count: int, *, people: int = PEOPLE, first: int = 0, to: Sequence[str] = (PHONE_NUMBER_ID,)
) -> list[bytes]:
    """`count` signed deliveries of a short text each (some 580 bytes of JSON); no wamid is ever used twice.

    `to`: the phone number ids that get them in turn.
    """
    run, shapes = secrets.token_hex(8).upper(), [_shape(one) for one in to]
    return [
        _request(shapes[i % len(shapes)], number(first + i % people), f"wamid.HBgM{run}{i:012d}AA==")
        for i in range(count)
    ]


def signed(body: bytes) -> bytes:
    """The whole request that delivers a body."""
    return _HEAD % (payloads.sign(body, APP_SECRET).encode(), len(body)) + body


def receipts(person: bytes, wamid: bytes, tag: bytes) -> list[bytes]:
    """The bodies that say that a message was sent, delivered and read."""
    facts = {b"number": person, b"wamid": wamid, b"tag": tag, b"time": b"%d" % time.time()}
    return [shape % facts for shape in _receipt_shapes()]


def _request(shape: bytes, person: str, wamid: str) -> bytes:
    return signed(shape % {b"number": person.encode(), b"wamid": wamid.encode()})


@cache
def _receipt_shapes() -> list[bytes]:
    who, user_id = "%(number)s", "IN.%(number)s"
    shapes = []
    for status in ("sent", "delivered", "read"):
        receipt = payloads.receipt(
            "%(wamid)s", status, time.time(), wa_id=who, user_id=user_id, tag="%(tag)s", category="marketing"
        )
        receipt["timestamp"] = "%(time)s"
        contact = payloads.contact(who, user_id)
        value = payloads.value("15550001111", PHONE_NUMBER_ID, contacts=[contact], statuses=[receipt])
        shapes.append(payloads.encode(payloads.envelope(value)))
    return shapes


def _shape(phone_number_id: str) -> bytes:
    """The JSON of a delivery, with holes for the number and the wamid."""
    who, user_id = "%(number)s", "IN.%(number)s"
    message = payloads.inbound(payloads.text(_TEXT), "%(wamid)s", time.time(), from_=who, user_id=user_id)
    contact = payloads.contact(who, user_id, NAME)
    value = payloads.value("15550001111", phone_number_id, contacts=[contact], messages=[message])
    return payloads.encode(payloads.envelope(value))
