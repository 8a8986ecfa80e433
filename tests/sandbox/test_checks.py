"""What Meta takes and what it complains about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.complaint import Complaint
from wabot.core.message_check import TYPES, Known
from wabot.sandbox.checks import address, astray, complaint, unfolded
from wabot.sandbox.templates import Library

GOOD: dict[str, Any] = {"messaging_product": "whatsapp", "to": "+919876543210", "type": "text", "text": {"body": "Hi"}}
TEMPLATE = {"name": "hello_world", "language": {"code": "en_US"}}
CARD = {"name": {"formatted_name": "Ben Lee"}}
BUTTON = {"type": "reply", "reply": {"id": "a", "title": "Yes"}}


def body(**fields: Any) -> dict[str, Any]:
    """A good body with some fields replaced; None leaves one out."""
    return {key: value for key, value in (GOOD | fields).items() if value is not None}


def interactive(kind: str, action: Any, text: str = "Well?") -> dict[str, Any]:
    return body(type="interactive", interactive={"type": kind, "body": {"text": text}, "action": action})


@pytest.mark.parametrize(
    "payload",
    [
        body(),
        body(to="91 (987) 654-3210"),
        body(type=None),
        body(text={"body": "x" * 4096}),
        body(to=None, recipient="IN.abc123"),
        body(type="template", template=TEMPLATE),
        body(type="image", image={"link": "https://example.com/a.jpg"}),
        body(type="image", image={"id": "1", "caption": "x" * 1024}),
        body(type="document", document={"id": "1", "caption": "x", "filename": "x.pdf"}),
        body(type="audio", audio={"id": "1", "voice": True}),
        body(to="IN.abc123"),
        body(type="reaction", reaction={"message_id": "wamid.a", "emoji": ""}),
        body(type="location", location={"latitude": 1, "longitude": 2}),
        body(type="contacts", contacts=[CARD]),
        interactive("button", {"buttons": [BUTTON]}),
        interactive("list", {"button": "Open", "sections": [{"rows": [{"id": "1", "title": "One"}]}]}),
        interactive("flow", {"name": "flow"}),
        body(context={"message_id": "wamid.a"}, biz_opaque_callback_data="x" * 512),
        {
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": "wamid.a",
            "typing_indicator": {"type": "text"},
        },
    ],
)
def test_meta_takes_a_good_body(payload: dict[str, Any]) -> None:
    assert complaint(payload) is None


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, 100),
        ([], 100),
        (body(messaging_product=None), 100),
        (body(messaging_product="signal"), 100),
        (body(to=None), 100),
        (body(to="12"), 100),
        (body(to=919876543210), 100),
        (body(to=None, recipient="+919876543210"), 100),
        (body(recipient_type="group"), 100),
        (body(type="poll"), 100),
        (body(type=["text"]), 100),
        (body(text=None), 131008),
        (body(text={"body": ""}), 100),
        (body(text={"body": "x" * 4097}), 100),
        (body(biz_opaque_callback_data="x" * 513), 100),
        (body(context={}), 100),
        (body(type="template", template={"language": {"code": "en"}}), 100),
        (body(type="template", template={"name": "hello_world"}), 100),
        (body(type="template", template=TEMPLATE | {"language": "en_US"}), 100),
        (body(type="image", image={"id": "1", "caption": "x" * 1025}), 100),
        (body(type="document", document={"link": "https://example.com/a.pdf", "caption": ["x"]}), 100),
        (body(type="image", image={}), 100),
        (body(type="image", image={"link": "example.com/a.jpg"}), 100),
        (body(type="audio", audio={"id": "1", "caption": "x"}), 100),
        (body(type="video", video={"id": "1", "filename": "x.mp4"}), 100),
        (body(type="reaction", reaction={"emoji": "x"}), 100),
        (body(type="location", location={"latitude": 1}), 100),
        (body(type="contacts", contacts=[]), 100),
        (body(type="contacts", contacts=[CARD, {"name": {}}]), 100),
        (body(type="interactive", interactive={}), 131008),
        (interactive("button", {"buttons": [BUTTON] * 2}), 131009),
        (interactive("button", {"buttons": [BUTTON]}, text="x" * 1025), 131009),
        (interactive("button", {"buttons": []}), 131009),
        (interactive("list", {"button": "x" * 21, "sections": [{"rows": [{"id": "1", "title": "One"}]}]}), 131009),
        (interactive("list", {"button": "Open", "sections": [{"rows": [{"title": "One"}] * 11}]}), 131009),
        (interactive("button", {"buttons": [BUTTON]}, text=""), 131008),
        ({"messaging_product": "whatsapp", "status": "read"}, 100),
        ({"messaging_product": "whatsapp", "status": "seen", "message_id": "wamid.a"}, 100),
        ({"messaging_product": "whatsapp", "status": "read", "message_id": "a", "typing_indicator": True}, 100),
    ],
)
def test_meta_complains_about_a_bad_body(payload: Any, code: int) -> None:
    found = complaint(payload)
    assert found is not None
    assert found.code == code
    assert found.details


ROW = {"id": "1", "title": "One", "description": "the first"}
BUTTONS = {"type": "button", "body": {"text": "Well?"}, "action": {"buttons": [BUTTON]}}
LIST = {"type": "list", "body": {"text": "Well?"}, "action": {"button": "Open", "sections": [{"rows": [ROW]}]}}
LINK = {"type": "cta_url", "body": {"text": "Look"}, "action": {"name": "cta_url", "parameters": {
    "display_text": "Open", "url": "https://example.com"}}}  # fmt: skip


def replies(*buttons: tuple[str, str]) -> dict[str, Any]:
    return BUTTONS | {"action": {"buttons": [{"type": "reply", "reply": {"id": i, "title": t}} for i, t in buttons]}}


def rows(*rows: dict[str, Any], **section: str) -> dict[str, Any]:
    return LIST | {"action": {"button": "Open", "sections": [{"rows": list(rows), **section}]}}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (BUTTONS | {"footer": {"text": "x" * 60}}, BUTTONS | {"footer": {"text": "x" * 61}}),
        (LIST | {"header": {"type": "text", "text": "x" * 60}}, LIST | {"header": {"type": "text", "text": "x" * 61}}),
        (replies(("a", "x" * 20)), replies(("a", "x" * 21))),
        (replies(("a" * 256, "Yes")), replies(("a" * 257, "Yes"))),
        (replies(("a", "Yes"), ("b", "No"), ("c", "So")), replies(("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"))),
        (replies(("a", "Yes"), ("b", "No")), replies(("a", "Yes"), ("a", "No"))),
        (replies(("a", "Yes"), ("b", "No")), replies(("a", "Yes"), ("b", "Yes"))),
        (LIST | {"body": {"text": "x" * 4096}}, LIST | {"body": {"text": "x" * 4097}}),
        (rows(ROW | {"description": "x" * 72}), rows(ROW | {"description": "x" * 73})),
        (rows(ROW | {"title": "x" * 24}), rows(ROW | {"title": "x" * 25})),
        (rows(ROW | {"id": "x" * 200}), rows(ROW | {"id": "x" * 201})),
        (rows(ROW, title="x" * 24), rows(ROW, title="x" * 25)),
        (rows(*(ROW | {"id": str(nth)} for nth in range(10))), rows(*(ROW | {"id": str(nth)} for nth in range(11)))),
        (rows(ROW, ROW | {"id": "2"}), rows(ROW, ROW)),
        (LINK, LINK | {"action": {"name": "cta_url", "parameters": {"display_text": "Open", "url": "here"}}}),
    ],
)
def test_buttons_and_lists_have_their_limits(good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert complaint(body(type="interactive", interactive=good)) is None
    found = complaint(body(type="interactive", interactive=bad))
    assert found
    assert found.code == 131009


def test_what_the_account_does_not_have_cannot_be_sent() -> None:
    known = Known(lambda content: Complaint(132001, content["name"]), lambda id_: id_ == "1")

    assert complaint(body(type="template", template=TEMPLATE), known) == Complaint(132001, "hello_world")
    assert complaint(body(type="image", image={"id": "1"}), known) is None
    missing = complaint(body(type="image", image={"id": "2"}), known)
    assert missing
    assert missing.code == 100


def test_objects_may_come_as_json_text() -> None:
    folded = body(type="contacts", contacts=json.dumps([CARD]), text=None)
    assert unfolded(folded)["contacts"] == [CARD]
    assert complaint(unfolded(folded)) is None
    assert unfolded(body(text="[nonsense"))["text"] == "[nonsense"
    assert unfolded(["x"]) == ["x"]


def test_to_wins_over_recipient() -> None:
    assert address({"to": "+91 98765 43210", "recipient": "IN.abc"}) == "919876543210"
    assert address({"recipient": "IN.abc"}) == "IN.abc"


def test_a_bsuid_where_a_number_belongs_goes_astray() -> None:
    assert address({"to": "IN.abc"}) == "IN.abc"
    assert astray({"to": "IN.abc"})
    assert not astray({"recipient": "IN.abc"})
    assert not astray({"to": "+91 98765 43210"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["body", "name", "language", "components", "type", "action", "buttons", "sections", "rows", "code"]
)
contents = st.recursive(
    json_values, lambda inner: st.dictionaries(names, inner | st.lists(inner, max_size=2), max_size=4)
)


@given(kind=st.sampled_from(TYPES), content=contents)
def test_no_content_whatever_makes_it_stumble(kind: str, content: Any) -> None:
    found = complaint(body(type=kind, **{kind: content}), Known(Library().complaint))
    assert found is None or found.code in (100, 131008, 131009, 132000, 132001)
