import copy
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wabot.core import webhook
from wabot.core.account_news import Standing
from wabot.core.messages import (
    Direction,
    Inbound,
    Notice,
    Person,
    Preference,
    Status,
    TemplateNews,
    Webhook,
)
from wabot.core.signature import is_signed, looks_signed
from wabot.core.webhook import MOST_NUMBERS
from wabot.core.webhook import parse as parse_all

SAMPLES = Path(__file__).parents[1] / "samples"
OURS = "106540352242922"
SENT_AT = 1_789_000_000.0
ASHA = Person("919216598210", "IN.13491208655302741918", "Asha Verma")
UNNAMED = ASHA._replace(name="")
NEW = Person("919876543210", "IN.55501208655302740000")

BODIES = {
    "text": ("text", "Hi, is the blue kurta still available in size M? 😊", True),
    "text_reply_to_ours": ("text", "Yes, that one please", True),
    "text_from_ad": ("text", "Tell me more about this offer", True),
    "text_without_number": ("text", "Hello from a username", True),
    "text_in_group": ("text", "Anyone up for lunch?", False),
    "image": ("image", "[image]", True),
    "image_with_caption": ("image", "Do you have this in red?", True),
    "video": ("video", "[video]", True),
    "document": ("document", "[document: invoice-0417.pdf]", True),
    "document_with_caption": ("document", "The total looks wrong", True),
    "sticker": ("sticker", "[sticker]", True),
    "audio": ("audio", "[audio]", True),
    "voice": ("audio", "[voice message]", True),
    "location": ("location", "Location: MG Road Metro, MG Road, Bengaluru 560001 (12.9757, 77.6056)", True),
    "location_pin": ("location", "Location: 12.9757, 77.6056", True),
    "contacts": ("contacts", "Contact: Ann Smith (+1 555-010-0100), Bob Roe", True),
    "button_reply": ("interactive", "Yes, book it", True),
    "list_reply": ("interactive", "Express (Next day by noon)", True),
    "flow_reply": ("interactive", "name: Asha, guests: 3, outdoor: true", True),
    "call_permission": ("interactive", "[call permission: accept]", False),
    "interactive_with_error": ("interactive", "[unsupported message]", False),
    "template_button": ("button", "No more offers", True),
    "order": ("order", "Order: 2 × KURTA-M-BLUE at 10 USD, 1 × SCARF at 5.5 USD. Please gift-wrap it", True),
    "reaction": ("reaction", "👍", False),
    "reaction_removed": ("reaction", "[reaction removed]", False),
    "unsupported": ("unsupported", "[unsupported message: poll_creation]", False),
    "unknown": ("unknown", "[unsupported message]", False),
    "edit": ("edit", "Hi, is the GREEN kurta still available?", False),
    "revoke": ("revoke", "[message deleted]", False),
    "request_welcome": ("request_welcome", "[opened the chat]", False),
    "new_type": ("hologram", "[hologram]", False),
    "number_changed": ("system", "Asha Verma changed from 919216598210 to 919876543210", False),
    "user_id_changed": ("system", f"Asha Verma changed from {ASHA.bsuid} to {NEW.bsuid}", False),
    "user_id_changed_in_words": ("system", f"Asha Verma changed from {ASHA.bsuid} to {NEW.bsuid}", False),
    "identity_changed": ("system", "Asha Verma's security code changed", False),
    "echo": ("text", "This is Meera from the shop, I take over.", False),
    "echo_among_messages": ("text", "This is Meera from the shop, I take over.", False),
}
STATUSES = {
    "status_sent": Status.SENT,
    "status_delivered": Status.DELIVERED,
    "status_read": Status.READ,
    "status_played": Status.PLAYED,
    "status_failed": Status.FAILED,
    "status_in_group": Status.DELIVERED,
}
OTHERS = {
    "batch", "errors", "for_another_number", "marketing_stopped", "marketing_resumed", "template_paused",
    "account_restricted", "status_of_payment", "status_new_word",
}  # fmt: skip


def parse(body: bytes, *, phone_number_id: str, account_id: str = "", ignored: Set[str] = frozenset()) -> Webhook:
    """The contents of a webhook for the only number."""
    return parse_all(body, {phone_number_id: account_id}, ignored=ignored)[phone_number_id]


def sample(name: str) -> bytes:
    return (SAMPLES / f"webhook_{name}.json").read_bytes()


def read(payload: Any) -> Webhook:
    return parse(payload if isinstance(payload, bytes) else json.dumps(payload).encode(), phone_number_id=OURS)


def only_message(payload: Any) -> Inbound:
    delivery = read(payload)
    (message,) = delivery.messages
    assert delivery.count == 1
    return message


def change(value: Any, field: Any = "messages", time: Any = 1_789_000_001) -> dict[str, Any]:
    return {
        "object": "whatsapp_business_account",
        "entry": [{"time": time, "changes": [{"field": field, "value": value}]}],
    }


def said(**fields: Any) -> dict[str, Any]:
    """A change with one message like the plainest one, with other `fields`; None takes a field away."""
    message = {"from": ASHA.wa_id, "id": "wamid.1", "timestamp": "1789000000", "type": "text", "text": {"body": "Hi"}}
    message |= fields
    return change({"messages": [{key: value for key, value in message.items() if value is not None}]})


def strings(value: Any) -> Iterator[str]:
    """Every string in a delivery, and in what its JSON texts say."""
    fields = value._fields if hasattr(value, "_fields") else getattr(value, "__dataclass_fields__", ())
    if fields:
        value = {field: getattr(value, field) for field in fields}
        if isinstance(raw := value.get("raw"), str) and value.get("field") != "unreadable":
            yield from strings(json.loads(raw, parse_constant=pytest.fail))
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(key)
            yield from strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)


def assert_storable(delivery: Webhook) -> None:
    for text in strings(delivery):
        text.encode()
        assert "\0" not in text
    for message in delivery.messages:
        assert message.wamid
        assert message.person.wa_id or message.person.bsuid
        assert 0 <= message.timestamp <= 1e11
    for receipt in delivery.receipts:
        assert receipt.wamid
        assert 0 <= receipt.timestamp <= 1e11


# --- the signature


def signature(body: bytes, secret: bytes = b"s3cret") -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def test_metas_signature_is_recognised() -> None:
    body = sample("text")
    assert is_signed(body, signature(body), b"s3cret")


def test_a_known_signature_is_recognised() -> None:
    header = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    assert is_signed(b"The quick brown fox jumps over the lazy dog", header, b"key")


@pytest.mark.parametrize(
    ("signed", "received"),
    [
        (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode()),
        (b'{"a":"\\/"}', b'{"a":"/"}'),
        (b'{"a":1}', b'{"a": 1}'),
        (b'{"a":1}', b'{"a":1}\n'),
    ],
)
def test_the_same_json_in_other_bytes_is_not_signed(signed: bytes, received: bytes) -> None:
    assert json.loads(signed) == json.loads(received)
    assert is_signed(signed, signature(signed), b"s3cret")
    assert not is_signed(received, signature(signed), b"s3cret")


@given(st.binary(max_size=200), st.data())
def test_one_changed_bit_breaks_the_signature(body: bytes, data: st.DataObject) -> None:
    header = signature(body)
    assert is_signed(body, header, b"s3cret")
    assert not is_signed(body, header, b"another")
    if body:
        bit = data.draw(st.integers(0, len(body) * 8 - 1))
        forged = bytearray(body)
        forged[bit // 8] ^= 1 << bit % 8
        assert not is_signed(bytes(forged), header, b"s3cret")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: None,
        lambda good: "",
        lambda good: "sha256=",
        lambda good: good.removeprefix("sha256="),
        lambda good: good.replace("sha256=", "sha1="),
        lambda good: good[:-1],
        lambda good: good + "0",
        lambda good: good + " ",
        lambda good: " " + good,
        lambda good: good[:-1] + "é",
        lambda good: good[:-1] + "\udce9",
        lambda good: "sha256=" + good,
    ],
)
def test_a_malformed_signature_is_none_and_looks_like_none(spoil: Any) -> None:
    assert not is_signed(b"{}", spoil(signature(b"{}")), b"s3cret")
    assert not looks_signed(spoil(signature(b"{}")))
    assert looks_signed(signature(b"{}"))


@given(st.text(st.characters()) | st.text(st.characters()).map("sha256=".__add__))
def test_no_header_makes_the_check_raise(header: str) -> None:
    assert not is_signed(b"{}", header, b"s3cret")


def test_without_a_secret_nothing_is_signed() -> None:
    assert not is_signed(b"{}", signature(b"{}", b""), b"")


# --- every sample


def test_every_sample_is_told_about() -> None:
    names = {path.stem.removeprefix("webhook_") for path in SAMPLES.glob("webhook_*.json")}
    assert names == BODIES.keys() | STATUSES.keys() | OTHERS


@pytest.mark.parametrize("name", BODIES)
def test_a_message_of_any_type_has_a_readable_body(name: str) -> None:
    message = only_message(sample(name))
    assert (message.type, message.body, message.answerable) == BODIES[name]
    assert message.timestamp == SENT_AT
    assert message.business_number == "15550783881"
    assert message.direction is (Direction.OUT if name.startswith("echo") else Direction.IN)


@pytest.mark.parametrize("name", sorted(BODIES.keys() - {"interactive_with_error"}))
def test_a_message_leaves_nothing_else_behind(name: str) -> None:
    delivery = read(sample(name))
    assert delivery == Webhook(count=1, messages=delivery.messages)


@pytest.mark.parametrize("name", BODIES)
def test_the_raw_message_is_metas_object(name: str) -> None:
    value = json.loads(sample(name))["entry"][0]["changes"][0]["value"]
    (theirs,) = value.get("messages") or value["message_echoes"]
    raw = only_message(sample(name)).raw
    assert json.loads(raw) == theirs
    assert raw == json.dumps(theirs, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("name", STATUSES)
def test_a_status_is_a_receipt(name: str) -> None:
    delivery = read(sample(name))
    (receipt,) = delivery.receipts
    assert delivery == Webhook(receipts=(receipt,))
    assert receipt.status is STATUSES[name]
    assert receipt.timestamp == SENT_AT
    assert receipt.wamid.startswith("wamid.")


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("webhook_*.json")), ids=lambda path: path.stem)
def test_every_sample_can_be_stored(path: Path) -> None:
    assert_storable(read(path.read_bytes()))


# --- people


@pytest.mark.parametrize(
    ("name", "person", "moved_to"),
    [
        ("text", ASHA, None),
        ("text_without_number", Person(None, ASHA.bsuid, "Ravi"), None),
        ("text_in_group", ASHA, None),
        ("echo", ASHA, None),
        ("echo_among_messages", ASHA, None),
        ("number_changed", UNNAMED, NEW),
        ("user_id_changed", Person(None, ASHA.bsuid), NEW),
        ("user_id_changed_in_words", Person(None, NEW.bsuid), None),
        ("identity_changed", UNNAMED, None),
    ],
)
def test_who_it_was_is_known_by_number_and_id(name: str, person: Person, moved_to: Person | None) -> None:
    message = only_message(sample(name))
    assert (message.person, message.moved_to) == (person, moved_to)


def test_names_are_joined_by_id_and_not_by_place() -> None:
    people = [(message.person.name, message.body) for message in read(sample("batch")).messages]
    assert people == [("Bob Roe", "Second person"), ("Asha Verma", "First person"), ("Asha Verma", "And once more")]


def test_a_plus_before_the_number_is_left_out() -> None:
    assert only_message(said(**{"from": "+919216598210"})).person == Person("919216598210")


def test_an_echo_to_nobody_is_kept_as_a_notice() -> None:
    payload = json.loads(sample("echo_among_messages"))
    del payload["entry"][0]["changes"][0]["value"]["messages"][0]["to"]
    del payload["entry"][0]["changes"][0]["value"]["messages"][0]["to_user_id"]
    delivery = read(payload)
    assert (delivery.count, delivery.messages) == (1, ())
    assert [(notice.field, notice.reason) for notice in delivery.notices] == [("messages", "malformed")]


@pytest.mark.parametrize(
    ("recipient", "person"), [("+91 9216598210", Person("919216598210")), ("IN.7", Person(None, "IN.7"))]
)
def test_our_own_message_may_name_its_recipient_instead(recipient: str, person: Person) -> None:
    payload = said(**{"from": "15550783881", "recipient": recipient})
    payload["entry"][0]["changes"][0]["value"]["metadata"] = {"display_phone_number": "+1 555-078-3881"}
    message = only_message(payload)
    assert (message.person, message.direction, message.answerable) == (person, Direction.OUT, False)


def system(text: str = "", **fields: Any) -> dict[str, Any]:
    told = {"type": "user_changed_user_id", "body": text, "user_id": "IN.2"} | fields
    return said(**{"from": None, "type": "system", "system": told})


def test_a_new_id_without_the_old_one_is_the_person() -> None:
    message = only_message(system("Somebody changed"))
    assert (message.person, message.moved_to) == (Person(None, "IN.2"), None)


@pytest.mark.parametrize("name", ["Mallory IN.1", "IN.1", "Mallory IN.1 changed from IN.3"])
def test_a_name_that_somebody_chose_makes_nobody_of_them(name: str) -> None:
    message = only_message(system(f"{name} changed from IN.3 to IN.2"))
    assert (message.person, message.moved_to) == (Person(None, "IN.2"), None)


def test_the_old_id_may_be_that_of_the_sender_but_not_if_it_is_the_new_one() -> None:
    payload = system("Ann changed")
    message = payload["entry"][0]["changes"][0]["value"]["messages"][0]
    message["from_user_id"] = "IN.1"
    moved = only_message(payload)
    assert (moved.person, moved.moved_to) == (Person(None, "IN.1"), Person(None, "IN.2"))
    message["from_user_id"] = "IN.2"
    stayed = only_message(payload)
    assert (stayed.person, stayed.moved_to) == (Person(None, "IN.2"), None)


@pytest.mark.parametrize(("sender", "contact"), [("IN.7", None), ("IN.7", {"wa_id": "IN.7"})])
def test_a_bsuid_in_the_place_of_a_number_is_one(sender: str, contact: dict[str, str] | None) -> None:
    payload = said(**{"from": sender})
    payload["entry"][0]["changes"][0]["value"]["contacts"] = [contact] if contact else []
    assert only_message(payload).person == Person(None, "IN.7")


def test_somebody_whom_only_the_one_entry_of_contacts_names_is_known_by_it() -> None:
    payload = said(**{"from": None})
    value = payload["entry"][0]["changes"][0]["value"]
    value["contacts"] = [{"wa_id": ASHA.wa_id, "user_id": ASHA.bsuid, "profile": {"name": ASHA.name}}]
    assert only_message(payload).person == ASHA
    value["contacts"] = [{"wa_id": "IN.7"}]
    assert only_message(payload).person == Person(None, "IN.7")


def test_a_message_says_in_which_group_it_was_said() -> None:
    assert only_message(sample("text_in_group")).group == "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjAZD"
    assert only_message(sample("text")).group == ""


def test_of_several_in_contacts_nobody_is_guessed() -> None:
    payload = said(**{"from": None})
    payload["entry"][0]["changes"][0]["value"]["contacts"] = [{"wa_id": ASHA.wa_id}, {"wa_id": NEW.wa_id}]
    delivery = read(payload)
    assert (delivery.messages, [notice.reason for notice in delivery.notices]) == ((), ["malformed"])


def test_echoes_are_read_in_the_field_messages_too() -> None:
    payload = json.loads(sample("echo"))
    payload["entry"][0]["changes"][0]["field"] = "messages"
    message = only_message(payload)
    assert (message.person, message.direction, message.answerable) == (ASHA, Direction.OUT, False)


def test_contacts_with_the_new_ids_do_not_hide_the_old_ones() -> None:
    payload = json.loads(sample("number_changed"))
    contact = {"wa_id": NEW.wa_id, "user_id": ASHA.bsuid, "profile": {"name": "Asha"}}
    payload["entry"][0]["changes"][0]["value"]["contacts"] = [contact]
    assert only_message(payload).person == UNNAMED


# --- times


@pytest.mark.parametrize("told", [None, "", "soon", "-5", -5, "99999999999999", "9" * 400, "nan", True, [], {}])
def test_a_message_without_a_sane_time_gets_that_of_its_entry(told: Any) -> None:
    payload = said(timestamp=told)
    assert only_message(payload).timestamp == 1_789_000_001.0
    payload["entry"][0]["time"] = told
    assert only_message(payload).timestamp == 0.0


@pytest.mark.parametrize("told", ["1789000000", 1789000000, 1789000000.0])
def test_the_time_may_be_a_string_or_a_number(told: Any) -> None:
    assert only_message(said(timestamp=told)).timestamp == SENT_AT


# --- bodies


def interactive(kind: str, part: Any) -> dict[str, Any]:
    return said(type="interactive", interactive={"type": kind, kind: part})


@pytest.mark.parametrize(
    ("payload", "body", "answerable"),
    [
        (said(type="document", document={"id": "1"}), "[document]", True),
        (said(type="audio", audio={"id": "1", "voice": "yes"}), "[audio]", True),
        (said(type="location", location={"name": "Here"}), "Location: Here", True),
        (said(type="contacts", contacts=[{"phones": [{"wa_id": "1555"}]}]), "Contact: +1555", True),
        (said(type="contacts", contacts=[{"name": {"first_name": "A", "last_name": "B"}}]), "Contact: A B", True),
        (said(type="button", button={"payload": "YES"}), "YES", True),
        (said(type="order", order={"text": "As last time"}), "As last time", True),
        (said(type="order", order={"product_items": [{"product_retailer_id": "A"}]}), "Order: A", True),
        (said(type="reaction", reaction={"emoji": ""}), "[reaction removed]", False),
        (said(type="unsupported"), "[unsupported message]", False),
        (said(type="system"), "[system]", False),
        (said(type="image", image=None), "[image]", False),
        (said(text={"body": ""}), "[text]", False),
        (said(text={"body": " \u200b\u2060\u2800\n"}), " \u200b\u2060\u2800\n", False),
        (said(type="image", image={"caption": "\u200b"}), "[image]", True),
        (said(text={"body": "\U0001fae9"}), "\U0001fae9", True),  # newer than Python 3.11
        (said(text=None), "[text]", False),
        (said(type=None), "[unsupported message]", False),
        (said(type="edit", edit={"message": {"type": "edit", "edit": {}}}), "[edit]", False),
        (said(type="edit", edit={"message": {"type": "image", "image": {"caption": "New"}}}), "New", False),
        (interactive("list_reply", {"title": "Only"}), "Only", True),
        (interactive("nfm_reply", {"body": "Sent", "response_json": "{"}), "Sent", True),
        (interactive("nfm_reply", {"body": "Sent", "response_json": "[" * 100_000}), "Sent", True),
        (interactive("nfm_reply", {"body": "Sent", "response_json": '{"flow_token":"x"}'}), "Sent", True),
        (
            interactive("nfm_reply", {"name": "flow", "response_json": '{"a":[1,{"b":null}]}'}),
            'a: [1,{"b":null}]',
            True,
        ),
        (interactive("nfm_reply", {"name": "address_message"}), "address_message", True),
        (interactive("call_permission_reply", {}), "[call permission: unknown]", False),
        (interactive("poll_reply", {"title": "x"}), "[poll_reply]", False),
    ],
)
def test_a_body_is_made_of_what_is_there(payload: Any, body: str, answerable: bool) -> None:
    message = only_message(payload)
    assert (message.body, message.answerable) == (body, answerable)


# --- receipts


def test_a_receipt_brings_back_our_tag_and_says_who() -> None:
    (receipt,) = read(sample("status_sent")).receipts
    assert (receipt.tag, receipt.person, receipt.error) == ("ob1:6f1c:1", UNNAMED, None)


def test_a_failed_receipt_says_why() -> None:
    (receipt,) = read(sample("status_failed")).receipts
    assert receipt.person == Person(ASHA.wa_id)
    assert receipt.error is not None
    assert receipt.error["code"] == 131026
    assert receipt.error["error_data"] == {"details": "Message Undeliverable."}


def priced(pricing: Any) -> Any:
    status = {"id": "wamid.2", "status": "sent", "timestamp": "1789000000", "pricing": pricing}
    (receipt,) = read(change({"statuses": [status]})).receipts
    return receipt.pricing


def test_a_receipt_says_what_is_charged_for() -> None:
    said = {"category": "marketing", "billable": True, "type": "regular", "pricing_model": "PMP"}
    assert priced({**said, "tomorrow": {"more": 1}}) == said
    assert priced({"category": "service", "billable": False}) == {"category": "service", "billable": False}


@pytest.mark.parametrize("junk", [None, 5, "x", [], {}, {"category": []}, {"billable": "yes"}], ids=json.dumps)
def test_a_pricing_that_makes_no_sense_leaves_its_receipt_alone(junk: Any) -> None:
    assert priced(junk) is None


def test_a_receipt_from_a_group_is_about_the_participant() -> None:
    (receipt,) = read(sample("status_in_group")).receipts
    assert receipt.person == UNNAMED


@pytest.mark.parametrize("name", ["status_of_payment", "status_new_word"])
def test_a_status_that_we_do_not_know_is_a_notice(name: str) -> None:
    delivery = read(sample(name))
    (notice,) = delivery.notices
    assert delivery == Webhook(notices=(notice,))
    assert (notice.field, notice.reason) == ("statuses", "malformed")


def test_a_payment_that_failed_is_no_message_that_failed() -> None:
    delivery = read(change({"statuses": [{"id": "wamid.1", "status": "failed", "type": "payment"}]}))
    assert (len(delivery.receipts), len(delivery.notices)) == (0, 1)


@pytest.mark.parametrize("word", ["received", "queued", "SENT", "", None, 5, [], {}])
def test_only_metas_words_are_statuses(word: Any) -> None:
    delivery = read(change({"statuses": [{"id": "wamid.1", "status": word}]}))
    assert (len(delivery.receipts), len(delivery.notices)) == (0, 1)


# --- the other fields


def test_the_other_fields_are_read_or_kept() -> None:
    assert read(sample("marketing_stopped")) == Webhook(preferences=(Preference(ASHA, True, SENT_AT),))
    assert read(sample("marketing_resumed")) == Webhook(preferences=(Preference(ASHA, False, SENT_AT),))
    assert read(sample("template_paused")) == Webhook(templates=(TemplateNews("order_update", "en_US", "PAUSED"),))


def test_what_is_said_of_the_account_is_read_and_kept_whole() -> None:
    delivery = read(sample("account_restricted"))
    (news,), (notice,) = delivery.account, delivery.notices
    assert (news.standing, news.until, news.at) == (Standing.RESTRICTED, 1789086400, 1789000001)
    assert (notice.field, notice.reason) == ("account_update", news.reason)
    assert json.loads(notice.raw) == json.loads(sample("account_restricted"))["entry"][0]["changes"][0]


def test_what_is_said_of_another_account_changes_nothing() -> None:
    for name in ("account_restricted", "template_paused"):
        body = sample(name)
        account = json.loads(body)["entry"][0]["id"]
        ours = parse(body, phone_number_id=OURS, account_id=account)
        theirs = parse(body, phone_number_id=OURS, account_id="1")
        assert (bool(ours.account or ours.templates), bool(theirs.account or theirs.templates)) == (True, False)
        assert [notice.reason for notice in theirs.notices] == ["for another account"]
    assert parse(sample("text"), phone_number_id=OURS, account_id="1").messages, "messages name their number"


def test_a_field_that_we_do_not_handle_is_kept_whole() -> None:
    odd = {"field": "account_update", "value": {"event": "SOMETHING_NEW"}}
    body = json.dumps({"entry": [{"id": "1", "time": 1789000001, "changes": [odd]}]}).encode()
    (notice,) = read(body).notices
    assert (notice.field, notice.reason) == ("account_update", "not handled")
    assert json.loads(notice.raw) == odd


@pytest.mark.parametrize("name", ["errors", "interactive_with_error"])
def test_metas_own_errors_are_notices(name: str) -> None:
    (notice,) = read(sample(name)).notices
    assert notice.field == "errors"
    assert notice.reason in ("130429 Rate limit hit", "131000 Something went wrong")
    assert "error_data" in json.loads(notice.raw)


@pytest.mark.parametrize(
    "wish", [{"value": "maybe"}, {"category": "utility"}, {"wa_id": None, "user_id": None}, {"value": []}]
)
def test_another_wish_is_a_notice(wish: dict[str, Any]) -> None:
    item = {"wa_id": "919216598210", "category": "marketing_messages", "value": "stop", "timestamp": 1} | wish
    delivery = read(change({"user_preferences": [item]}, "user_preferences"))
    assert (delivery.preferences, [notice.field for notice in delivery.notices]) == ((), ["user_preferences"])


# --- whose number


THEIRS = "999000999000999"


def for_number(payload: Any, number: str) -> Any:
    """The payload of a sample, said to another number."""
    payload = json.loads(payload) if isinstance(payload, bytes) else payload
    payload["entry"][0]["changes"][0]["value"].setdefault("metadata", {})["phone_number_id"] = number
    return payload


@pytest.mark.parametrize("name", ["text", "echo", "status_sent", "marketing_stopped", "edit", "new_type"])
def test_what_is_for_another_number_is_not_ours_and_whole_for_that_one(name: str) -> None:
    payload = for_number(sample(name), THEIRS)
    as_ours = parse(json.dumps(payload).encode(), phone_number_id=THEIRS)

    delivery = read(payload)

    assert dataclasses.replace(delivery, foreign=()) == Webhook(count=as_ours.count)
    (part,) = delivery.foreign
    assert (part.phone_number_id, json.loads(part.payload)) == (THEIRS, payload)
    assert parse(part.payload.encode(), phone_number_id=THEIRS) == as_ours


def test_a_delivery_to_several_numbers_is_taken_apart() -> None:
    mine = said(text={"body": "Mine"})
    theirs = for_number(said(text={"body": "Theirs"}), THEIRS)
    others = for_number(said(text={"body": "Others"}), "7")
    mixed = {**mine, "entry": [*mine["entry"], *theirs["entry"], *others["entry"], *mine["entry"], *theirs["entry"]]}

    delivery = read(mixed)

    assert (delivery.count, [m.body for m in delivery.messages]) == (5, ["Mine", "Mine"])
    bodies = {}
    for part in delivery.foreign:
        again = parse(part.payload.encode(), phone_number_id=part.phone_number_id)
        bodies[part.phone_number_id] = [message.body for message in again.messages]
    assert bodies == {THEIRS: ["Theirs", "Theirs"], "7": ["Others"]}


def test_what_is_for_a_number_to_be_ignored_is_counted_and_forgotten() -> None:
    body = json.dumps(for_number(said(), THEIRS)).encode()
    assert parse(body, phone_number_id=OURS, ignored={THEIRS}) == Webhook(count=1)


def test_a_delivery_to_more_numbers_than_meta_would_put_into_it_is_bounded() -> None:
    payload = said()
    payload["entry"] = [for_number(said(), str(n))["entry"][0] for n in range(5000)]
    delivery = read(payload)
    assert (delivery.count, len(delivery.foreign)) == (5000, MOST_NUMBERS)
    assert delivery.notices[0].reason == "too many numbers in one webhook"


@pytest.mark.parametrize("metadata", [None, [], {}, {"phone_number_id": None}, {"phone_number_id": int(OURS)}])
def test_a_message_for_no_number_is_ours(metadata: Any) -> None:
    payload = said()
    payload["entry"][0]["changes"][0]["value"]["metadata"] = metadata
    assert only_message(payload).body == "Hi"


# --- batches


def test_every_entry_and_change_is_read() -> None:
    delivery = read(sample("batch"))
    assert delivery.count == len(delivery.messages) == 3
    assert [receipt.status for receipt in delivery.receipts] == [Status.DELIVERED, Status.READ]


JUNK = [None, 5, "x", [], {}, {"id": "wamid.9"}, {"from": "919216598210"}, {"id": [], "from": {}}]


@pytest.mark.parametrize("junk", JUNK, ids=json.dumps)
def test_one_malformed_part_leaves_its_neighbours_alone(junk: Any) -> None:
    good = said()["entry"][0]["changes"][0]["value"]["messages"][0]
    status = {"id": "wamid.2", "status": "read", "timestamp": "1789000000"}
    delivery = read(change({"messages": [good, junk, good], "statuses": [status, junk, status]}))
    assert delivery.count == 3
    assert [message.wamid for message in delivery.messages] == ["wamid.1", "wamid.1"]
    assert [receipt.wamid for receipt in delivery.receipts] == ["wamid.2", "wamid.2"]
    expected = json.dumps(junk, separators=(",", ":"))
    assert delivery.notices == (Notice("messages", "malformed", expected), Notice("statuses", "malformed", expected))


@pytest.mark.parametrize("junk", [None, 5, "x", [], {}, {"field": "messages"}, {"field": [], "value": {}}])
def test_one_malformed_change_or_entry_leaves_its_neighbours_alone(junk: Any) -> None:
    payload = said()
    payload["entry"][0]["changes"].insert(0, junk)
    payload["entry"].insert(0, junk)
    delivery = read(payload)
    assert [message.body for message in delivery.messages] == ["Hi"]
    assert [notice.reason for notice in delivery.notices] == ["unknown shape", "unknown shape"]


# --- hostile input


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\0", "not JSON"),
        (b"null", "unknown shape"),
        (b"[]", "unknown shape"),
        (b'"x"', "unknown shape"),
        (b"NaN", "unknown shape"),
        (b"{}", "unknown shape"),
        (b'{"entry":{}}', "unknown shape"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"entry":' * 100_000, "nested too deeply"),
    ],
    ids=range(12),
)
def test_what_cannot_be_read_is_kept_whole(body: bytes, reason: str) -> None:
    (notice,) = read(body).notices
    assert read(body) == Webhook(notices=(notice,))
    assert (notice.field, notice.reason) == ("unreadable", reason)
    assert notice.raw == body.decode(errors="replace").replace("\0", "\ufffd")


def test_what_can_be_read_but_not_written_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_deep(value: Any) -> str:
        raise RecursionError

    monkeypatch.setattr("wabot.core.webhook.compact", too_deep)  # the depth that does it differs between Pythons
    body = sample("account_restricted")
    assert read(body) == Webhook(notices=(Notice("unreadable", "nested too deeply", body.decode()),))


def test_bytes_that_are_no_utf_8_spoil_only_their_own_character() -> None:
    body = json.dumps(said(text={"body": "a?b"})).encode().replace(b"a?b", b"a\xffb")
    assert only_message(body).body == "a\ufffdb"


@pytest.mark.parametrize(
    ("escaped", "told"),
    [
        (r"a\ud83db", "a\ufffdb"),
        (r"a\ude0ab", "a\ufffdb"),
        (r"\ud83d\ude0a", "😊"),
        (r"a\u0000b", "a\ufffdb"),
        (r"a\\u0000b", r"a\u0000b"),
        (r"a\\\u0000b", "a\\\ufffdb"),
        (r"\u0000\u0000", "\ufffd\ufffd"),
    ],
)
def test_halves_of_characters_and_nuls_are_made_storable(escaped: str, told: str) -> None:
    message = only_message(json.dumps(said(text={"body": "@@"})).replace("@@", escaped).encode())
    assert message.body == told
    assert json.loads(message.raw)["text"]["body"] == told


def test_the_error_of_a_receipt_is_made_storable_all_the_way_down() -> None:
    error = {"code": 1, "error_data": {"details": ["\ud83d", "\0"]}}
    (receipt,) = read(change({"statuses": [{"id": "wamid.1", "status": "failed", "errors": [error]}]})).receipts
    assert receipt.error == {"code": 1, "error_data": {"details": ["\ufffd", "\ufffd"]}}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "-Infinity", "9" * 30, "9" * 5_000])
def test_a_number_that_nobody_could_store_becomes_text(number: str) -> None:
    message = only_message(json.dumps(said(context="@@")).replace('"@@"', number).encode())
    assert json.loads(message.raw, parse_constant=pytest.fail)["context"] == number


@pytest.mark.parametrize("depth", range(50, 1_000, 25))
def test_a_status_of_any_depth_is_read_or_kept(depth: int) -> None:
    error = b'{"a":' * depth + b"1" + b"}" * depth
    status = {"id": "wamid.1", "status": "failed", "errors": ["@@"]}
    body = json.dumps(change({"statuses": [status]})).encode().replace(b'"@@"', error)
    delivery = read(body)
    if delivery.receipts:
        assert delivery.notices == ()
    else:
        assert delivery.notices[0].raw == body.decode()


@pytest.mark.parametrize("name", ["text", "order", "edit", "flow_reply"])
def test_the_depth_of_a_message_never_makes_it_vanish(name: str) -> None:
    for depth in range(10, 1_200, 10):
        payload = sample(name).replace(b'"messages": [', b'"messages": [' + b"[" * depth + b"]" * depth + b",")
        delivery = read(payload)
        assert delivery.notices
        assert delivery.messages or delivery.notices[0].field == "unreadable"


# What hypothesis makes of it: any string has lone surrogates and NULs, any number may be huge, NaN or infinite.
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(10**400)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=8,
)
PAYLOADS = [json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("webhook_*.json"))]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


PLACES = [list(places(payload)) for payload in PAYLOADS]


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """A sample in which one to three values are replaced by something else, also by parts of itself."""
    index = draw(st.integers(0, len(PAYLOADS) - 1))
    payload = copy.deepcopy(PAYLOADS[index])
    for path in draw(st.lists(st.sampled_from(PLACES[index]), min_size=1, max_size=3)):
        where = payload
        try:
            for key in path[:-1]:
                where = where[key]
            where[path[-1]] = draw(ANY_JSON)
        except (LookupError, TypeError):
            continue  # an earlier change took this place away
    return payload


@given(ANY_JSON)
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_without_an_error(payload: Any) -> None:
    assert_storable(read(payload))


@given(
    ANY_JSON, st.sampled_from(["messages", "smb_message_echoes", "user_preferences", "message_template_status_update"])
)
@settings(max_examples=100, deadline=None)
def test_any_value_of_a_known_field_is_read_without_an_error(value: Any, field: str) -> None:
    assert_storable(read(change({"messages": [value], "statuses": value, "errors": value, field: value}, field)))


@given(spoiled())
@settings(max_examples=400, deadline=None)
def test_any_spoiled_sample_is_read_without_an_error(payload: Any) -> None:
    assert_storable(read(payload))


@given(st.binary(max_size=300))
@example(b'{"entry":[\x00]}')
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    delivery = read(body)
    assert_storable(delivery)
    assert len(delivery.notices) == 1 or json.loads(body)["entry"] == []


@given(spoiled())
@settings(max_examples=100, deadline=None)
def test_a_spoiled_sample_never_spoils_another_entry(payload: Any) -> None:
    entries = payload.get("entry")
    if isinstance(entries, list):
        messages = read({**payload, "entry": [*entries, *said(id="wamid.whole")["entry"]]}).messages
        assert messages[-1].wamid == "wamid.whole"


@given(st.text(st.characters()), st.text(st.characters()))
def test_every_plain_text_comes_through(text: str, name: str) -> None:
    payload = said(text={"body": text})
    payload["entry"][0]["changes"][0]["value"]["contacts"] = [{"wa_id": ASHA.wa_id, "profile": {"name": name}}]
    message = only_message(payload)
    if text.isprintable() and text:
        assert message.body == text
    assert_storable(Webhook(messages=(message,)))


def test_very_many_bad_entries_make_a_bounded_number_of_notices() -> None:
    bad: list[Any] = [{"n": n} for n in range(5000)]
    for name in ("messages", "statuses", "errors"):
        value = {
            "metadata": {"phone_number_id": OURS},
            name: bad if name != "errors" else [{"code": n} for n in range(5000)],
        }
        payload = {"entry": [{"changes": [{"field": "messages", "value": value}] * 2}]}
        delivery = parse(json.dumps(payload).encode(), phone_number_id=OURS)
        assert len(delivery.notices) == webhook.MOST_NOTICES + 1
        assert delivery.notices[-1].reason.startswith(f"{10_000 - webhook.MOST_NOTICES} more")


@pytest.mark.parametrize("part", ["{}", "[]", "0.5", '""', '{"a":1}'])
def test_absurdly_many_values_are_unreadable_and_kept(part: str) -> None:
    body = f'{{"entry": [{",".join([part] * 1_100_000)}]}}'.encode()
    (notice,) = parse(body, phone_number_id=OURS).notices
    assert (notice.reason, notice.raw) == ("too many values", body.decode())


def test_a_large_delivery_is_read_like_a_small_one() -> None:
    said = [
        {
            "from": "919216598210",
            "id": f"wamid.{n}",
            "timestamp": "1789000000",
            "type": "text",
            "text": {"body": f'é{n}\\"'},
        }
        for n in range(20_000)
    ]
    value = {"metadata": {"phone_number_id": OURS}, "messages": said}
    body = json.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).encode()
    delivery = parse(body, phone_number_id=OURS)
    assert delivery.count == len(delivery.messages) == 20_000
    assert delivery.notices == ()
    assert delivery.messages[7].body == 'é7\\"'
