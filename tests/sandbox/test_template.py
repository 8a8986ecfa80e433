"""Templates: what an account has, what Meta says about them, and what a send must bring."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.sandbox.conftest import PHONE, Business, Webhook, value
from wabot.sandbox.meta import Meta
from wabot.sandbox.people import user_id_of
from wabot.sandbox.template import Template
from wabot.sandbox.templates import Library

PATH = "200000000000002/message_templates"
BODY = {"type": "BODY", "text": "Order {{1}} is {{2}}.", "example": {"body_text": [["7", "ready"]]}}
NEW = {"name": "order_news", "language": "en", "category": "UTILITY", "components": [BODY]}


async def codes(business: Business, *sends: Any) -> list[int | None]:
    return [(await send)[1].get("error", {}).get("code") for send in sends]


async def test_every_account_begins_with_some(business: Business) -> None:
    _, body = await business.graph("GET", f"{PATH}?fields=name,status,language")
    shown = {(template["name"], template["status"], template["language"]) for template in body["data"]}
    assert {("hello_world", "APPROVED", "en_US"), ("invitation", "APPROVED", "en_US")} <= shown
    _, one = await business.graph("GET", body["data"][0]["id"])
    assert one["components"][1]["type"] == "BODY"


async def test_they_can_be_looked_for(business: Business) -> None:
    async def found(query: str) -> set[str]:
        return {template["name"] for template in (await business.graph("GET", f"{PATH}?{query}"))[1]["data"]}

    assert await found("name=hello") == {"hello_world"}
    assert await found("category=AUTHENTICATION,MARKETING") == {"verification_code", "invitation"}
    assert await found("status=REJECTED") == set()
    assert await found("language=de") == set()
    assert await found("content=shipped") == await found("name_or_content=shipping") == {"sample_shipping_confirmation"}
    _, body = await business.graph("GET", f"{PATH}?summary=total_count")
    assert body["summary"]["message_template_count"] == 5


async def test_a_new_one_is_pending_and_then_approved_and_can_be_sent(
    business: Business, meta: Meta, webhook: Webhook
) -> None:
    meta.review_delay = 60.0
    _, made = await business.graph("POST", PATH, json=NEW)
    assert (made["status"], made["category"]) == ("PENDING", "UTILITY")
    assert await codes(business, business.template("order_news", "7", "ready", language="en")) == [132001]
    assert await meta.set_template("order_news", "en", status="APPROVED") == 200
    told = webhook.taken[-1]["entry"][0]["changes"][0]
    assert told["field"] == "message_template_status_update"
    assert told["value"] | {"event": "APPROVED", "message_template_name": "order_news"} == told["value"]
    assert str(told["value"]["message_template_id"]) == made["id"]
    assert await codes(business, business.template("order_news", "7", "ready", language="en")) == [None]


async def test_the_review_comes_by_itself(business: Business, meta: Meta, webhook: Webhook) -> None:
    await business.graph("POST", PATH, json=NEW)
    async with asyncio.timeout(5):
        while not webhook.taken:
            await asyncio.sleep(0.005)
    assert value(webhook.taken[0])["event"] == "APPROVED"


async def test_what_was_decided_in_between_is_not_overruled(meta: Meta, webhook: Webhook) -> None:
    template = meta.templates.add("order_news", "en", "UTILITY", [BODY], status="PENDING")
    deciding = asyncio.create_task(meta.decide(template, "APPROVED"))
    await asyncio.sleep(0)
    template.status = "REJECTED"
    await deciding
    assert (template.status, webhook.taken) == ("REJECTED", [])
    await meta.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Order News"},
        {"name": ""},
        {"language": ""},
        {"category": "JOKES"},
        {"components": []},
        {"components": [{"type": "BODY", "text": "x" * 1025}]},
        {"components": [{"type": "BODY", "text": "Hi {{1}}"}]},
        {"name": "hello_world", "language": "en_US"},
    ],
)
async def test_what_meta_would_not_review_is_refused(business: Business, wrong: dict[str, Any]) -> None:
    status, body = await business.graph("POST", PATH, json=NEW | wrong)
    assert (status, body["error"]["code"]) == (400, 100)


async def test_one_can_be_edited_and_deleted(business: Business, meta: Meta) -> None:
    meta.review_delay = 60.0
    _, made = await business.graph("POST", PATH, json=NEW)
    _, edited = await business.graph("POST", made["id"], json={"components": [{"type": "BODY", "text": "Thanks."}]})
    assert edited == {"success": True, "id": made["id"], "name": "order_news", "category": "UTILITY"}
    assert (await business.graph("GET", made["id"]))[1]["components"] == [{"type": "BODY", "text": "Thanks."}]
    assert (await business.graph("DELETE", f"{PATH}?name=order_news"))[1] == {"success": True}
    assert (await business.graph("GET", made["id"]))[0] == 400
    _, again = await business.graph("DELETE", f"{PATH}?name=order_news")
    assert again["error"]["error_user_msg"] == "Message template not found."


async def test_another_category_is_told_and_charged(business: Business, meta: Meta, webhook: Webhook) -> None:
    await meta.set_template("hello_world", "en_US", category="MARKETING")
    told = webhook.taken[0]["entry"][0]["changes"][0]
    assert told["field"] == "template_category_update"
    assert (told["value"]["previous_category"], told["value"]["new_category"]) == ("UTILITY", "MARKETING")
    await business.template("hello_world")
    await business.send()
    await meta.until(lambda m: len(m.told) == 6)
    prices = {status["pricing"]["category"] for status in webhook.told("statuses") if "pricing" in status}
    assert prices == {"marketing", "service"}
    assert {s["pricing"]["type"] for s in webhook.told("statuses") if "pricing" in s} == {"regular"}
    with pytest.raises(KeyError):
        await meta.set_template("nobody", "en", status="PAUSED")


async def test_what_a_send_must_bring(business: Business, meta: Meta) -> None:
    await meta.set_template("sample_shipping_confirmation", "en_US", status="PAUSED")
    await meta.set_template("sample_issue_resolution", "en_US", status="DISABLED")
    assert await codes(
        business,
        business.template("hello_world"),
        business.template("hello_world", "Ann"),
        business.template("invitation"),
        business.template("invitation", "Ann"),
        business.template("invitation", ""),
        business.template("invitation", "x" * 1000),
        business.template("invitation", "Ann", language="de"),
        business.template("nobody_knows_it"),
        business.template("sample_shipping_confirmation", "3"),
        business.template("sample_issue_resolution", "Ann"),
    ) == [None, 132000, 132000, None, 131008, 132005, 132001, 132001, 132015, 132016]


async def test_a_code_for_a_bsuid_is_refused(business: Business) -> None:
    code = [{"type": "text", "text": "123456"}]
    button = {"type": "button", "sub_type": "url", "index": "0", "parameters": code}
    content = {"name": "verification_code", "language": {"code": "en_US"}}
    content["components"] = [{"type": "body", "parameters": code}, button]
    message = {"messaging_product": "whatsapp", "type": "template", "template": content}
    assert (await business.post(message | {"recipient": user_id_of(PHONE)}))[1]["error"]["code"] == 131062
    assert (await business.post(message | {"to": PHONE}))[0] == 200
    assert (await business.template("verification_code", "123456"))[1]["error"]["code"] == 131008


def parameters(*texts: str, **named: str) -> dict[str, Any]:
    given = [{"type": "text", "text": text} for text in texts]
    given += [{"type": "text", "parameter_name": name, "text": text} for name, text in named.items()]
    return {"components": [{"type": "body", "parameters": given}]}


def test_named_parameters_need_their_names() -> None:
    named = Template("1", "n", "en", "UTILITY", [{"type": "BODY", "text": "{{first}} {{last}}"}], named=True)
    assert named.complaint(parameters(first="Ann", last="Lee")) is None
    assert named.text(parameters(first="Ann", last="Lee")) == "Ann Lee"
    found = named.complaint(parameters("Ann", "Lee"))
    assert found
    assert found.code == 132012


def test_a_picture_above_must_be_one_and_a_button_may_need_its_part_of_the_address() -> None:
    buttons = [{"type": "URL", "text": "Track", "url": "https://example.com/{{1}}"}]
    components = [{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hi"}]
    with_button = Template("1", "n", "en", "UTILITY", [*components, {"type": "BUTTONS", "buttons": buttons}])
    picture = {"type": "header", "parameters": [{"type": "image", "image": {"id": "1"}}]}
    words = {"type": "header", "parameters": [{"type": "text", "text": "Hi"}]}
    track = {"type": "button", "sub_type": "url", "index": 0, "parameters": [{"type": "text", "text": "7"}]}

    def code(*components: dict[str, Any]) -> int | None:
        found = with_button.complaint({"components": list(components)})
        return found and found.code

    assert code(picture, track) is None
    assert code(track) == 132012
    assert code(words, track) == 132012
    assert code(picture) == 131008
    assert code(picture, track, track | {"index": "4"}) == 132018
    assert with_button.text({"components": [picture, track]}) == "[image]\nHi"


def test_amounts_and_dates_are_read_by_their_fallback() -> None:
    template = Template("1", "n", "en", "UTILITY", [{"type": "BODY", "text": "{{1}} until {{2}}"}])
    price = {"type": "currency", "currency": {"fallback_value": "5 €", "code": "EUR", "amount_1000": 5000}}
    day = {"type": "date_time", "date_time": {"fallback_value": "Friday"}}
    sent = {"components": [{"type": "body", "parameters": [price, day]}]}
    assert template.complaint(sent) is None
    assert template.text(sent) == "5 € until Friday"


def test_a_lenient_library_takes_what_it_does_not_know() -> None:
    def sent(name: str) -> dict[str, Any]:
        return {"name": name, "language": {"code": "xx"}, **parameters("a", "b", "c")}

    assert Library(lenient=True).complaint(sent("anything")) is None
    found = Library(lenient=True).complaint(sent("Not A Name"))
    assert found
    assert found.code == 132001


@pytest.mark.parametrize(
    "components",
    [
        [],
        [{"type": "body", "parameters": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        parameters(first="Ann")["components"],
        [
            {"type": "header", "parameters": [{"type": "image", "image": {"id": "1"}}]},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "7"}]},
        ],
        [{"type": "header", "parameters": [{"type": "text", "text": "Hi"}]}],
    ],
)
def test_a_template_that_somebody_has_at_meta_is_supposed_to_be_as_they_send_it(components: Any) -> None:
    library = Library()
    made = library.suppose("welcome", "pt_BR", components)
    assert library.suppose("welcome", "pt_BR", []) is made
    assert library.complaint({"name": "welcome", "language": {"code": "pt_BR"}, "components": components}) is None
    assert "[template welcome]" in made.text({"components": components})
