"""What Meta takes and what it complains about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.sandbox.checks import TYPES, address, complaint

GOOD: dict[str, Any] = {"messaging_product": "whatsapp", "to": "+919876543210", "type": "text", "text": {"body": "Hi"}}
TEMPLATE = {"name": "hello_world", "language": {"code": "en_US"}}
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
        body(type="reaction", reaction={"message_id": "wamid.a", "emoji": ""}),
        body(type="location", location={"latitude": 1, "longitude": 2}),
        body(type="contacts", contacts=[{"name": {}}]),
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
        (body(to="IN.abc123"), 100),
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
        (body(type="template", template=TEMPLATE | {"name": "Hello World"}), 132001),
        (body(type="image", image={}), 100),
        (body(type="reaction", reaction={"emoji": "x"}), 100),
        (body(type="location", location={"latitude": 1}), 100),
        (body(type="contacts", contacts=[]), 100),
        (body(type="interactive", interactive={}), 131008),
        (interactive("button", {"buttons": [BUTTON] * 2}), 131009),
        (interactive("button", {"buttons": [BUTTON]}, text="x" * 1025), 131009),
        (interactive("button", {"buttons": []}), 131009),
        (interactive("list", {"button": "x" * 21, "sections": [{"rows": [{"title": "One"}]}]}), 131009),
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


def test_an_approved_template_is_taken_with_as_many_parameters_as_it_has() -> None:
    approved = {("order", "en"): 1, ("hello_world", "en_US"): 0}
    one = [{"type": "body", "parameters": [{"type": "text", "text": "Ann"}]}]
    order = {"name": "order", "language": {"code": "en"}}

    def code_for(template: dict[str, Any]) -> int | None:
        found = complaint(body(type="template", template=template), approved)
        return found and found.code

    assert code_for(TEMPLATE) is None
    assert code_for(order | {"components": one}) is None
    assert code_for(order) == 132000
    assert code_for(TEMPLATE | {"components": one}) == 132000
    assert code_for(order | {"language": {"code": "de"}}) == 132001


def test_to_wins_over_recipient() -> None:
    assert address({"to": "+91 98765 43210", "recipient": "IN.abc"}) == "919876543210"
    assert address({"to": "IN.abc", "recipient": "IN.abc"}) is None
    assert address({"recipient": "IN.abc"}) == "IN.abc"


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
    found = complaint(body(type=kind, **{kind: content}), {("a", "b"): 0})
    assert found is None or found.code in (100, 131008, 131009, 132000, 132001)
